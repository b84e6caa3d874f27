"""The database is lost and a backup restored: what people had read is there byte for byte, and open chats go on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import aiohttp
import pytest

from deploy.local.service_programs import KEY_FOLDER
from tests.e2e.test_files import PNG
from tests.support.clients import Agent, Citizen, agent, citizen, http_client, new_id, pair, say, until_blue
from tests.support.servers import OUR_VARIABLES, ROOT, Broker, System, patient, running_system, unique

SECRET = {"TOKEN_SECRET": "a secret of the tests alone, long enough"}  # operators keep it apart from the data
FORMATS = ("txt", "json", "html")
Downloads = dict[str, bytes]


def operator(data: Path, *arguments: str) -> str:
    """Runs `make backup` or `make restore` on the data of a system that is stopped."""
    kept = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
    command = [sys.executable, "-m", "deploy.backup", *arguments]
    env = {**kept, "DATA_DIR": str(data)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Kept:
    """What a citizen keeps of their chat: its number and token, and the files that they sent."""

    def __init__(self, visitor: Citizen) -> None:
        self.chat_id, self.token = visitor.chat_id, visitor.token
        self.files: list[str] = []

    def back(self, base: str, http: aiohttp.ClientSession) -> Citizen:
        """The citizen comes back, with another browser's connection."""
        participant = Citizen(base, http)
        participant.chat_id, participant.token = self.chat_id, self.token
        return participant

    async def downloads(self, base: str) -> Downloads:
        """Everything that they can download, byte for byte."""
        async with http_client(cookie_jar=aiohttp.DummyCookieJar()) as http:
            found: Downloads = {}
            visitor = self.back(base, http)
            for format in FORMATS:
                answer = await visitor.transcript(format)
                assert answer.status == 200, await answer.text()
                found[format] = await answer.read()
            for file in self.files:
                url = f"{base}/api/chats/{self.chat_id}/attachments/{file}"
                answer = await http.get(url, headers=visitor.bearer)
                assert answer.status == 200, await answer.text()
                found[file] = await answer.read()
            return found


async def ended_chat(base: str, an: Agent) -> Kept:
    async with citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, name="Lien", question="Waar vind ik mijn attest?")
        kept = Kept(visitor)
        for number in range(20):
            await say(theirs, f"vraag {number} ü ≤ 😀")
            await say(ours, f"antwoord {number}", visitor.chat_id)
        file = await (await visitor.upload("gevel.png", PNG)).json()
        await theirs.send(type="message", id=new_id(), attachment=file["id"])
        await ours.expect("message", attachment=lambda a: a is not None)
        kept.files.append(file["id"])
        await ours.send(type="close", chat_id=visitor.chat_id)
        assert await theirs.closed() == 1000
        visitor.token = ""
        return kept


async def begin_open_chat(base: str, an: Agent) -> Kept:
    """A chat that nobody ends: both go away from it."""
    async with citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        await say(theirs, "Tot morgen?")
        await say(ours, "Tot morgen.", visitor.chat_id)
        kept = Kept(visitor)
        visitor.token = ""
        return kept


def started(home: Path, broker_url: str) -> AbstractContextManager[System]:
    """The system, with a database of its own."""
    return running_system(home, RATE_LIMITS="off", RABBITMQ_URL=broker_url, **SECRET)


def lose_database(data: Path) -> None:
    """What the broker still holds is of after the backup."""
    shutil.rmtree(data / "database")


def lose_everything(data: Path) -> None:
    """All files but the keys, which are in the operator's own store, as the secret is (docs/backup.md)."""
    for found in data.iterdir():
        if found.name != KEY_FOLDER:
            shutil.rmtree(found) if found.is_dir() else found.unlink()


@pytest.fixture
def new_vhost_url(broker: Broker) -> Iterator[str]:
    """The broker without anything that it had."""
    name = unique("restore-")
    yield patient(broker.make_vhost(name))
    broker.remove_vhost(name)


async def test_after_a_restore_nothing_is_missing_and_open_chats_go_on(
    tmp_path: Path, vhost_url: str, new_vhost_url: str
) -> None:
    home, backup = tmp_path / "system", str(tmp_path / "backup")
    with started(home, vhost_url) as system:
        base = system.base_url
        async with agent(base) as an:
            ended = await ended_chat(base, an)
            open_ = await begin_open_chat(base, an)
            before = await ended.downloads(base)
            open_before = await open_.downloads(base)
            await an.socket.close()  # they do not log out: the chat stays theirs
            system.stop()
    assert "backed up" in operator(home / "data", "backup", backup)

    with started(home, vhost_url) as system:
        later, unknown = await what_the_backup_does_not_know(system, open_)
    for lose, broker_url in ((lose_database, vhost_url), (lose_everything, new_vhost_url)):
        lose(home / "data")
        assert "restored" in operator(home / "data", "restore", backup)
        with started(home, broker_url) as system:
            base = system.base_url
            assert await ended.downloads(base) == before
            open_after = await open_.downloads(base)
            assert open_after["txt"].startswith(open_before["txt"].rstrip())
            await goes_on(system, open_, later)
            await has_ended(system, unknown)
            await until_blue(base, "no_agents")


async def what_the_backup_does_not_know(system: System, open_: Kept) -> tuple[int, Kept]:
    """After the backup the open chat goes on, and another begins; the last seq that its citizen saw, and the other."""
    base = system.base_url
    # The open chat's agent is there first: else its chat is given to the other, as soon as the grace is over.
    async with (
        http_client(cookie_jar=aiohttp.DummyCookieJar()) as http,
        agent(base) as an,
        agent(base, "bert") as bert,
    ):
        await has(an, open_)
        visitor = open_.back(base, http)
        theirs = await visitor.join()
        for number in range(5):
            last = await say(theirs, f"na de back-up {number}")
        await theirs.close()
        another = Citizen(base, http)
        theirs, _ = await pair(another, bert)
        await say(theirs, "een dag te laat")
        await theirs.close()
        return int(last["seq"]), Kept(another)


async def has(helper: Agent, open_: Kept) -> None:
    """The agent has this chat: still, or again."""
    if open_.chat_id not in [c["chat_id"] for c in helper.socket.frames[0]["chats"]]:
        await helper.socket.expect("assigned", chat=lambda c: c["chat_id"] == open_.chat_id)


async def has_ended(system: System, unknown: Kept) -> None:
    """There is no such chat: its browser gets that answer, and offers a new one."""
    async with http_client(cookie_jar=aiohttp.DummyCookieJar()) as http:
        visitor = unknown.back(system.base_url, http)
        socket = await visitor.connect()
        await socket.send(type="hello", token=visitor.token, after=0)
        assert await socket.closed() == 4404
        await socket.close()
        assert (await visitor.transcript()).status == 404


async def goes_on(system: System, open_: Kept, seen: int) -> None:
    """The citizen of the open chat has seen more than there is now; they and the agent talk on, and end it."""
    base = system.base_url
    async with agent(base) as an, http_client(cookie_jar=aiohttp.DummyCookieJar()) as http:
        visitor = open_.back(base, http)
        theirs = await visitor.connect()
        await theirs.send(type="hello", token=visitor.token, after=seen)
        welcome = await theirs.expect("welcome")
        assert welcome["last_seq"] < seen, "their browser begins again at 0 (protocol: welcome.last_seq < after)"
        await theirs.send(type="hello", token=visitor.token, after=0)
        await theirs.expect("welcome")
        await theirs.expect("status", dot="green")
        asked = await say(theirs, "Bent u er nog?")
        await an.socket.send(type="hello", chats={visitor.chat_id: 0})
        shown = await an.socket.expect("message", id=asked["id"])
        assert shown["chat_id"] == visitor.chat_id
        answer = await say(an.socket, "Ja hoor.", visitor.chat_id)
        await theirs.expect("message", id=answer["id"])
        assert [m["seq"] for m in theirs.messages()] == list(range(1, answer["seq"] + 1))
        await an.socket.send(type="close", chat_id=visitor.chat_id)
        assert await theirs.closed() == 1000
        said = (await (await visitor.transcript()).json())["messages"]
        assert [m.get("text") for m in said if m["from"] != "system"] == [
            *("Tot morgen?", "Tot morgen."),
            *("Bent u er nog?", "Ja hoor."),
        ]
        assert said[-1]["event"] == "closed"
        async with citizen(base) as another:
            await pair(another, an)
