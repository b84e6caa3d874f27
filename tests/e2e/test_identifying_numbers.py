"""An identifying number in every place that takes words: it is on no disk, on no screen and in no transcript.

What is searched, byte by byte: a backup of the database, and the files of the broker. The masked form is in both.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import aiohttp
from pypdf import PdfReader

from tests.e2e.test_erasure import found, operate
from tests.support.clients import Citizen, Frame, Socket, agent, citizen, new_id, pair, say
from tests.support.servers import ROOT, System, running_system

WRITTEN = {
    "plain": "85073003328",
    "dotted": "85.07.30-033.28",
    "account": "BE71 0961 2345 6769",
    "card": "4111111111111111",
}
MASKED = ("•••••••••28", "BE••••••••••6769", "••••••••••••1111")
ALL = " en ".join(WRITTEN.values())
SHOWN = f"{MASKED[0]} en {MASKED[0]} en {MASKED[1]} en {MASKED[2]}"
RULES = 'numbers = {national = "refuse", iban = "refuse", card = "refuse"}'
OFFERS = "questions = true\nanswer_within = 2"


@contextlib.contextmanager
def system_with(home: Path, members: str) -> Iterator[System]:
    """A system whose default department has these members in the departments file."""
    text = (ROOT / "deploy/departments.toml").read_text("utf-8")
    file = home / "departments.toml"
    file.write_text(text.replace("origins = []", f"origins = []\n{members}", 1), "utf-8")
    with running_system(home, RATE_LIMITS="off", DEPARTMENTS_FILE=str(file)) as running:
        yield running


async def write_everywhere(system: System) -> None:
    """One conversation in which every text has the numbers, over both carriers; then two left questions."""
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        form = {"id": "f", "field": WRITTEN["plain"], "url": f"https://loket.be/?rrn={WRITTEN['plain']}"}
        theirs, ours = await pair(visitor, an, name=f"An {WRITTEN['dotted']}", question=f"vraag {ALL}", form=form)
        assert (await said(theirs, visitor, f"bericht {ALL}"))["text"] == f"bericht {SHOWN}"
        assert (await ours.expect("message", text=f"bericht {SHOWN}"))["name"] == f"An {MASKED[0]}"
        assert (await say(ours, f"antwoord {ALL}", visitor.chat_id))["text"] == f"antwoord {SHOWN}"
        await theirs.expect("message", text=f"antwoord {SHOWN}")
        await over_http(visitor, f"per verzoek {ALL}")
        await theirs.expect("message", text=f"per verzoek {SHOWN}")
        await theirs.send(type="details", name=f"Anna {WRITTEN['plain']}")
        await ours.expect("citizen", name=f"Anna {MASKED[0]}")
        file = await (await visitor.upload(f"{WRITTEN['dotted']}.txt", b"bijlage " * 100)).json()
        assert file["name"] == f"{MASKED[0]}.txt"
        await theirs.send(type="message", id=new_id(), attachment=file["id"])
        await ours.expect("message", attachment=lambda a: a is not None)
        await ours.send(type="note", chat_id=visitor.chat_id, id=new_id(), text=f"nota {ALL}")
        assert (await ours.expect("note"))["text"] == f"nota {SHOWN}"
        await transcripts(visitor)
        block = {"minutes": 1, "reason": f"test {WRITTEN['plain']}", "address": False}
        await ours.send(type="close", chat_id=visitor.chat_id, block=block)
        assert await theirs.closed() == 1000
        visitor.token = ""
    async with aiohttp.ClientSession(system.base_url) as http:
        given = {"contact": "an@example.be", "text": f"later {ALL}", "name": WRITTEN["plain"], "form": form}
        async with http.post("/api/questions", json=given) as answer:
            assert answer.status == 201, await answer.text()


async def said(socket: Socket, visitor: Citizen, text: str) -> Frame:
    """Send a message twice with one id; the receipt of both is the same text."""
    id_ = new_id()
    await socket.send(type="message", id=id_, text=text)
    first = await socket.expect("message", id=id_)
    await socket.send(type="message", id=id_, text=text)
    again = await socket.expect("message", id=id_)
    assert (again["seq"], again["text"]) == (first["seq"], first["text"])
    return first


async def over_http(visitor: Citizen, text: str) -> None:
    """Send a message in a request of its own, twice."""
    url = f"{visitor.base}/api/chats/{visitor.chat_id}/frames"
    frames = {"frames": [{"type": "message", "id": new_id(), "text": text}]}
    headers = {"Authorization": f"Bearer {visitor.token}"}
    for _ in range(2):
        async with visitor.http.post(url, json=frames, headers=headers) as answer:
            assert (answer.status, await answer.json()) == (200, {"frames": []})


async def transcripts(visitor: Citizen) -> None:
    """Each format has the masked forms and none of the numbers."""
    for format_ in ("txt", "html", "json", "pdf"):
        answer = await visitor.transcript(format_)
        assert answer.status == 200
        body = await answer.read()
        if format_ == "pdf":
            text = " ".join(page.extract_text() for page in PdfReader(BytesIO(body)).pages)
        else:
            text = json.dumps(json.loads(body), ensure_ascii=False) if format_ == "json" else body.decode()
        assert not [one for one in WRITTEN.values() if one in text], format_
        for form in MASKED:
            assert form in text, format_


def test_a_number_is_on_no_disk(tmp_path: Path) -> None:
    with system_with(tmp_path, OFFERS) as system:
        asyncio.run(write_everywhere(system))
    backup, broker = tmp_path / "backup", system.data_dir / "broker"
    operate("deploy.backup", "backup", str(backup), DATA_DIR=str(system.data_dir))
    for folder in (backup, broker, system.data_dir / "database"):
        for written in WRITTEN.values():
            assert found(folder, written) == {}, (folder, written)
    places = ("chats", "entries", "notes", "attachments", "questions")
    assert {f"transcripts/{name}.bson" for name in places} <= set(found(backup, MASKED[0]))
    assert found(broker, MASKED[0])


async def refused(system: System) -> None:
    async with citizen(system.base_url) as visitor, agent(system.base_url) as an:
        answer = await visitor.start(question=ALL)
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (422, "identifying_number")
        assert problem["kinds"] == ["card", "iban", "national"]
        theirs, ours = await pair(visitor, an)
        ids = [new_id() for _ in range(3)]
        for id_, text in zip(ids, ("eerste", ALL, "tweede"), strict=True):
            await theirs.send(type="message", id=id_, text=text)
        assert (await theirs.expect("error"))["id"] == ids[1]
        await theirs.expect("message", id=ids[2])
        await ours.send(type="message", chat_id=visitor.chat_id, id=new_id(), text=ALL)
        assert (await ours.expect("error"))["code"] == "identifying_number"
        page = await (await visitor.transcript("json")).json()
        texts = [entry.get("text") for entry in page["messages"] if entry["from"] == "citizen"]
        assert texts == ["eerste", "tweede"]


def test_a_department_refuses_a_message_and_takes_the_next_one(tmp_path: Path) -> None:
    with system_with(tmp_path, RULES) as system:
        asyncio.run(refused(system))
