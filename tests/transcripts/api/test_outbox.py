"""The routes of the outbox, and `make deliveries`, over HTTP and the real database."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.common.internal_api import outbox as outbox_api
from services.common.internal_api.transcripts import QUESTION_ASK, RATING
from services.common.mongo.client import Database
from services.transcripts.app import create_app
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT
from tests.transcripts.api.client import CHAT, CITIZEN, ApiClient, fill, opened
from tests.transcripts.conftest import SECRET, new_id
from tests.transcripts.outbox.receiver import LOOPBACK, Receiver, receiving
from tests.transcripts.outbox.receiver import SECRET as HOOK

FILE = """
[[webhooks]]
id = "zaken"
url = "{url}"
secrets = ["file:{secret}"]
events = ["question.left", "rating.given"]
"""
ASKED = {
    "department": "algemeen",
    "locale": "nl",
    "name": "An Peeters",
    "contact": "an@voorbeeld.be",
    "text": "Waar is mijn premie?",
    "at": "2026-11-22T15:04:05.678000Z",
    "source": "button",
    "request": "x" * 64,
}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def api(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str, receiver: Receiver, tmp_path: Path
) -> AsyncIterator[ApiClient]:
    await fill(store)
    file, secret = tmp_path / "integrations.toml", tmp_path / "secret"
    secret.write_text(HOOK + "\n")
    file.write_text(FILE.format(url=receiver.url, secret=secret))
    settings = make_settings(rabbitmq_url=vhost_url, integrations_file=file, outbox_networks=LOOPBACK)
    async with opened(create_app(settings)) as made:
        yield made


async def came(receiver: Receiver, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(receiver.ids) < number:
            await asyncio.sleep(0.02)


async def rate(api: ApiClient, score: int) -> int:
    body = {"chat_id": CHAT, "helped": "yes", "score": score}
    async with api.client.post(RATING, json=body, headers=api.headers(CITIZEN)) as answer:
        return answer.status


async def test_a_left_question_and_a_rating_are_announced_without_what_was_asked(
    api: ApiClient, receiver: Receiver, database: Database
) -> None:
    question = new_id()
    status, receipt = await api.ask(QUESTION_ASK, {**ASKED, "chat_id": question})
    assert status == 200
    await came(receiver, 1)
    assert await rate(api, 5) == 204
    await came(receiver, 2)
    left, rated = (one.notice for one in sorted(receiver.got, key=lambda one: one.notice["type"]))
    about = {"question_id": question, "department": "algemeen", "source": "button", "number": receipt["number"]}
    assert (left["type"], left["timestamp"], left["data"]) == ("question.left", ASKED["at"], about)
    assert (rated["type"], rated["data"]["score"]) == ("rating.given", 5)
    text = str([one.body for one in receiver.got])
    assert not any(word in text for word in ("An Peeters", "voorbeeld", "premie?"))
    assert not await database["questions"].count_documents({"announced": False})


async def test_dead_letters_are_listed_replayed_and_discarded(api: ApiClient, receiver: Receiver) -> None:
    receiver.statuses = [410]
    await rate(api, 1)
    letters = await dead(api)
    (letter,) = letters
    assert letter["target"] == "zaken"
    assert letter["id"] in receiver.ids
    assert (letter["chat_id"], letter["cause"], letter["attempts"]) == (CHAT, "status_410", 1)
    status, told = await api.command(outbox_api.TARGETS, {})
    assert (status, told) == (200, {"targets": [{"id": "zaken", "due": 0, "oldest": None, "dead": 1}]})
    unknown = await api.command(outbox_api.REPLAY, {"target": "zaak"})
    assert (unknown[0], unknown[1]["code"]) == (404, "no_such_target")
    assert await api.command(outbox_api.REPLAY, {"target": "zaken", "id": new_id()}) == (200, {"number": 0})
    assert await api.command(outbox_api.REPLAY, {"target": "zaken"}) == (200, {"number": 1})
    async with asyncio.timeout(PATIENCE):
        while receiver.ids[str(letter["id"])] < 2:
            await asyncio.sleep(0.02)
    assert (await api.command(outbox_api.DEAD, {}))[1] == {"letters": []}
    assert await api.command(outbox_api.DISCARD, {"target": "zaken"}) == (200, {"number": 0})


async def dead(api: ApiClient) -> list[dict[str, object]]:
    async with asyncio.timeout(PATIENCE):
        while not (found := (await api.command(outbox_api.DEAD, {"target": "zaken"}))[1]["letters"]):
            await asyncio.sleep(0.02)
    letters: list[dict[str, object]] = found
    return letters


async def test_the_operators_command_does_the_same(api: ApiClient, receiver: Receiver) -> None:
    async with api.client.get("/healthz") as answer:
        url = str(answer.url.origin())
    receiver.statuses = [410, 410]

    async def command(*arguments: str) -> tuple[int, str]:
        kept = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "deploy.deliveries", *arguments],
            cwd=ROOT,
            env={**kept, "TRANSCRIPTS_URL": url, "TOKEN_SECRET": SECRET},
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    assert await command("replay", "zaken", "--all") == (1, "0 replayed\n")
    await rate(api, 1)
    await dead(api)  # one that is replaced before it was announced is not announced
    await rate(api, 2)
    async with asyncio.timeout(PATIENCE):
        while len(await dead(api)) < 2:
            await asyncio.sleep(0.02)
    first, second = (str(letter["id"]) for letter in await dead(api))
    assert await command("list") == (0, "zaken                    0 to deliver; 2 dead letters\n")
    status, said = await command("show", "zaken")
    assert status == 0
    assert first in said
    assert "status_410" in said
    assert said.endswith("2 dead letters\n")
    assert await command("replay", "zaken", first) == (0, "1 replayed\n")
    assert await command("discard", "zaken", "--all") == (0, "1 discarded\n")
    await came(receiver, 2)
    assert second in receiver.ids
    status, said = await command("replay", "zaak", "--all")
    assert (status, "no such target" in said) == (1, True)
    assert (await command("replay", "zaken"))[0] == 2


def test_the_command_says_why_it_refuses(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
    for more, said in (
        ({"DATA_DIR": str(tmp_path)}, "there is no system of `make run`"),
        ({"TOKEN_SECRET": SECRET, "TRANSCRIPTS_URL": "http://127.0.0.1:9"}, "transcripts does not answer"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.deliveries", "list"],
            cwd=ROOT,
            env={**kept, **more},
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
