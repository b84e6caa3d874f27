"""A chat is erased by its number: a marked word is then on no disk, and a backup from before does not bring it back.

What is searched, byte by byte: the files of the database after a copy, and those of the broker. Before, the same search
finds the word in both, so neither is compressed.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import pymongo
from aio_pika.exceptions import AMQPError

from deploy.local import embedded_mongodb, rabbitmq
from services.common.http.tokens import Keys
from services.common.messaging import topology
from tests.support.clients import agent, citizen, new_id, pair, say
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT, System, running, running_system

SECRET = "a secret of the tests alone, long enough"
RUN = {"RATE_LIMITS": "off", "TOKEN_SECRET": SECRET}
MARKED = "kwz" + os.urandom(6).hex()
OTHER = "lbr" + os.urandom(6).hex()
WORDS_PASS = (
    topology.TRANSCRIPTS_MESSAGES,
    topology.TRANSCRIPTS_NOTES,
    topology.TRANSCRIPTS_OUTBOX,
    topology.ROUTING_CHATS,
)
REASON = ("--reason", "verzoek 2026/14", "--by", "griffie")


def found(root: Path, word: str = MARKED) -> dict[str, int]:
    """How often the word is in each file below this folder, as bytes."""
    counts = {str(p.relative_to(root)): p.read_bytes().count(word.encode()) for p in root.rglob("*") if p.is_file()}
    return {name: number for name, number in counts.items() if number}


def operate(module: str, *arguments: str, **environ: str) -> str:
    """Runs an operator's command, which succeeds; what it said."""
    status, said = attempt(module, *arguments, **environ)
    assert status == 0, said
    return said


def attempt(module: str, *arguments: str, **environ: str) -> tuple[int, str]:
    """Runs an operator's command; its status and what it said. No word that a person wrote is in its output."""
    kept = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
    command = [sys.executable, "-m", module, *arguments]
    env = {**kept, "TOKEN_SECRET": SECRET, **environ}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=5 * PATIENCE)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert MARKED not in said
    return done.returncode, said


class Operator:
    """`make erase` for a running system."""

    def __init__(self, system: System, erasures: Path) -> None:
        self._environ = {
            "DATA_DIR": str(system.data_dir),
            "ERASURE_LIST": str(erasures),
            **{f"{s.upper()}_PORT": str(system.ports[s]) for s in ("transcripts", "routing")},
        }

    def erase(self, *arguments: str) -> str:
        return operate("deploy.erasures", *arguments, **self._environ)

    def verify(self, *arguments: str, status: int = 0) -> str:
        ended, said = attempt("deploy.access_log", *arguments, **self._environ)
        assert ended == status, said
        return said

    def refused(self, *arguments: str) -> str:
        status, said = attempt("deploy.erasures", *arguments, **self._environ)
        assert (status, said.splitlines()[-1][:9]) == (1, "refused: ")
        return said

    def receipt(self, *arguments: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.erase(*arguments, *REASON))
        return made


async def talk(system: System, word: str) -> str:
    """A chat in which every place that takes words has this one; its number."""
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, ours = await pair(visitor, an, name=f"naam {word}", question=f"vraag {word}")
        await say(theirs, f"bericht {word}")
        await say(ours, f"antwoord {word}", visitor.chat_id)
        file = await (await visitor.upload(f"{word}.txt", f"bijlage {word} ".encode() * 100)).json()
        await theirs.send(type="message", id=new_id(), attachment=file["id"])
        await ours.expect("message", attachment=lambda a: a is not None)
        await ours.send(type="note", chat_id=visitor.chat_id, id=new_id(), text=f"nota {word}")
        await ours.expect("note")
        await leave_question(system, visitor.chat_id, word)
        await ours.send(type="close", chat_id=visitor.chat_id)
        assert await theirs.closed() == 1000
        visitor.token = ""
        return visitor.chat_id


async def leave_question(system: System, chat_id: str, word: str) -> None:
    question = {"chat_id": chat_id, "department": "algemeen", "name": word, "contact": f"{word}@example.be"}
    question |= {"text": f"later {word}", "at": datetime.now(UTC).isoformat()}
    headers = {"Authorization": f"Bearer {Keys(SECRET).service_token('gateway')}"}
    async with aiohttp.ClientSession() as http:
        url = system.url("transcripts") + "/internal/questions/leave"
        async with http.post(url, json=question, headers=headers) as answer:
            assert answer.status == 200, await answer.text()


async def bury(url: str, chat_id: str) -> None:
    """A dead letter of this chat, and one of another."""
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for number, word in ((chat_id, MARKED), (new_id(), OTHER)):
            body = json.dumps({"type": "message.posted", "chat_id": number, "text": word}).encode()
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, "transcripts.dead-letters")


def let_it_be_over(system: System, *chats: str) -> None:
    """The chats ended an hour ago: a chat that has just ended is not erased."""
    port = json.loads((system.data_dir / "ports.json").read_text())["database"]
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(embedded_mongodb.url(port))
    with client:
        an_hour_ago = {"$set": {"closed_at": datetime.now(UTC) - timedelta(hours=1)}}
        such = {"_id": {"$in": list(chats)}, "closed_at": {"$ne": None}, "listed": True}
        deadline = time.monotonic() + PATIENCE
        while client["transcripts"]["chats"].count_documents(such) < len(chats):
            assert time.monotonic() < deadline, "the chats do not end, or are not listed"
            time.sleep(0.1)
        client["transcripts"]["chats"].update_many(such, an_hour_ago)


def broker_url(system: System) -> str:
    port = json.loads((system.data_dir / "ports.json").read_text())["broker"]
    password = (system.data_dir / "broker" / "password").read_text()
    return f"amqp://{rabbitmq.USER}:{password}@127.0.0.1:{port}/"


def copied(data: Path, backup: Path, into: Path, *more: str, **environ: str) -> str:
    """Copy the database: what is live goes into new files, through a backup. The output of the restore."""
    operate("deploy.backup", "backup", str(backup), DATA_DIR=str(data))
    return operate("deploy.backup", "restore", str(backup), *more, DATA_DIR=str(into), **environ)


def test_after_an_erasure_and_a_compaction_the_word_is_on_no_disk(tmp_path: Path) -> None:
    home, erasures = tmp_path / "system", tmp_path / "erasures.jsonl"
    data = home / "data"
    with running_system(home, **RUN) as system:
        chat, other = (asyncio.run(talk(system, word)) for word in (MARKED, OTHER))
        asyncio.run(bury(broker_url(system), chat))
        let_it_be_over(system, chat, other)
    operate("deploy.backup", "backup", str(tmp_path / "before"), DATA_DIR=str(data))
    before = found(tmp_path / "before")
    places = ("chats", "entries", "notes", "attachments", "files.chunks", "questions", "past_chats")
    assert {f"transcripts/{name}.bson" for name in places} <= set(before)
    assert found(tmp_path / "before", f"vraag {OTHER}")
    assert found(data / "database")
    assert found(data / "broker")

    with running_system(home, **RUN) as system:
        operator = Operator(system, erasures)
        held = operator.receipt("hold", chat, "--until", "2999-12-31")
        assert "legal hold" in operator.refused("chat", chat, *REASON)
        lifted = operator.receipt("lift", chat)
        receipt = operator.receipt("chat", chat)
        again = operator.receipt("chat", chat)  # as after an interruption
        message = operator.receipt("message", other, "2")
        assert "no message" in operator.refused("message", other, "1", *REASON)
        assert "no such conversation" in operator.refused("chat", new_id(), *REASON)
        report = operator.erase("report")
        listed = [json.loads(line) for line in operator.erase("list").splitlines()]
        access_log(operator, system, tmp_path)
        letters = {"RABBITMQ_URL": broker_url(system)}
        assert "1 discarded" in operate("deploy.dead_letters", "discard", "transcripts", "--all", "--yes", **letters)
    assert (receipt["act"], receipt["by"], receipt["department"]) == ("erase", "griffie", "algemeen")
    assert receipt["erased"]["dead letters"] == {"transcripts": 1}
    assert receipt["erased"]["routing"] == {"chats": 1, "origins": 1}
    counts = receipt["erased"]["transcripts"]
    assert (counts["files"], counts["notes"], counts["questions"]) == (1, 1, 1)
    assert counts["conversation"] >= 6
    assert again["erased"] == {"transcripts": counts}
    wanted = [held, lifted, receipt, again, message]
    assert listed == wanted == [json.loads(line) for line in erasures.read_text().splitlines()]
    assert "algemeen" in report
    assert "NOT CONFIRMED" in report

    copied(data, tmp_path / "after", tmp_path / "copy")
    assert found(tmp_path / "after") == found(tmp_path / "copy") == {}
    assert found(tmp_path / "copy", OTHER)
    said = operate("deploy.backup", "restore", str(tmp_path / "before"), DATA_DIR=str(tmp_path / "older"))
    assert "no erasure list is given" in said
    said = operate(
        "deploy.backup",
        "restore",
        str(tmp_path / "before"),
        "--drop",
        f"--erased={erasures}",
        DATA_DIR=str(tmp_path / "older"),
    )
    assert "1 chats were erased again, 0 are on hold" in said
    said = copied(tmp_path / "older", tmp_path / "once-more", tmp_path / "newest", ERASURE_LIST=str(erasures))
    assert "0 chats were erased again" in said
    assert found(tmp_path / "once-more") == found(tmp_path / "newest") == {}
    assert found(tmp_path / "newest", OTHER)
    for place in ("after", "once-more"):  # the message is gone, the rest of its chat is not
        assert found(tmp_path / place, f"vraag {OTHER}") == {}
        assert found(tmp_path / place, f"bericht {OTHER}")

    restarts = restart_broker(data)
    assert found(data / "broker") == {}, f"after {restarts} restarts"


def access_log(operator: Operator, system: System, folder: Path) -> None:
    """The commands are in the log of accesses, which is intact until the database is changed by hand."""
    said = operator.verify("--by", "auditor")
    head = said.rpartition("head ")[2].strip()
    assert said.startswith("intact: entries 1 to ")
    export = folder / "access-log.jsonl"
    assert "intact" in operator.verify("--head", head, "--export", str(export))
    acts = [json.loads(line)["act"] for line in export.read_text().splitlines()]
    assert [act for act in acts if not act.startswith("access_log")][:3] == ["hold_set", "hold_lifted", "chat_erased"]
    assert "intact" in operator.verify("--file", str(export))
    port = json.loads((system.data_dir / "ports.json").read_text())["database"]
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(embedded_mongodb.url(port))
    with client:
        client["transcripts"]["access_log"].update_one({"_id": 2}, {"$set": {"who": "somebody else"}})
    assert operator.verify(status=1) == "ALTERED: entry 2 was altered\n"
    export.write_text("".join(export.read_text().splitlines(keepends=True)[:-1]))
    assert "are missing at the end" in operator.verify(
        "--file", str(export), "--head", f"99{head[head.index(':') :]}", status=1
    )


def restart_broker(data: Path) -> int:
    """Restart the node, at most twice, until the word is gone; the number of restarts.

    The queues that words pass are empty.
    """
    known = json.loads((data / "ports.json").read_text())
    sbin = rabbitmq.find_sbin()
    assert sbin is not None
    node = rabbitmq.prepare(data / "broker", sbin, {name: known[name] for name in rabbitmq.PORT_NAMES})
    restarts = 0
    while found(data / "broker") and restarts < 2:
        restarts += 1
        with running(rabbitmq.programs(node, data / "log" / "broker-again.log")):
            asyncio.run(are_empty(node.url))
    return restarts


async def are_empty(url: str) -> None:
    """Returns when the queues that take words have answered that they are empty, a moment after their node."""
    names = {q.name for q in WORDS_PASS} | {q.dead_letters for q in topology.QUEUES}
    async with asyncio.timeout(PATIENCE):
        while names:
            async with await aio_pika.connect(url) as connection:
                for name in sorted(names):
                    try:
                        channel = await connection.channel()
                        queue = await channel.get_queue(name)
                        assert await queue.get(fail=False) is None, name
                    except AMQPError:
                        break
                    names.discard(name)
            await asyncio.sleep(0.2)
