"""Services of both versions beside each other on one broker and database: a whole conversation in every combination."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from tests.support.clients import WAIT, Agent, Citizen, agent, button, citizen, new_id, pair, say
from tests.support.servers import running_broker, running_database
from tests.system.report import Report
from tests.system.rollout.deployment import ORDER, Deployment, deployment
from tests.system.rollout.versions import PRESENT, Version
from tests.system.tables import table

PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
FORMATS = {"txt": "text/plain", "html": "text/html", "pdf": "application/pdf", "json": "application/json"}


async def conversation(base: str) -> None:
    """From the press to the download, with a file, a note and a transfer; everything is where it ought to be."""
    async with agent(base, "an") as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, name="An Peeters", question="Waar vind ik het formulier?")
        chat_id = visitor.chat_id
        receipt = await say(theirs, "Goeiemorgen")
        await ours.expect("message", chat_id=chat_id, id=receipt["id"])
        attachment = await _attach(visitor)
        await ours.expect("message", chat_id=chat_id, attachment=lambda a: a and a["id"] == attachment)
        await _fetch(an, chat_id, attachment)
        await ours.send(type="note", chat_id=chat_id, id=new_id(), text="vraagt naar dossier 42")
        await ours.expect("note", chat_id=chat_id)
        async with agent(base, "bert") as bert:
            await _until_online(an, bert.id)
            await ours.send(type="transfer", chat_id=chat_id, to={"agent": bert.id}, note="kent dit dossier")
            await bert.socket.expect("assigned", chat=lambda c: c["chat_id"] == chat_id)
            await bert.socket.send(type="accept", chat_id=chat_id)
            await theirs.expect("status", dot="green", agent=lambda a: a and a["name"] == "Bert")
            answer = await say(bert.socket, "Dag, ik neem over", chat_id)
            await theirs.expect("message", id=answer["id"])
            await bert.socket.send(type="close", chat_id=chat_id)
            await theirs.expect("closed", reason="agent")
            assert await theirs.closed() == 1000
            await bert.socket.expect("closed", chat_id=chat_id)
        await _downloads(visitor, theirs.messages())
        errors = [f for s in (theirs, ours, bert.socket) for f in s.frames if f["type"] == "error"]
        assert not errors, errors


async def _attach(visitor: Citizen) -> str:
    """Uploads a file and posts it; its id."""
    answer = await visitor.upload("attest.pdf", PDF)
    assert answer.status == 201, await answer.text()
    attachment: str = (await answer.json())["id"]
    await visitor.sockets[-1].send(type="message", id=new_id(), attachment=attachment)
    return attachment


async def _until_online(helper: Agent, colleague: str, wait: float = 60.0) -> None:
    """Returns when presence knows that this colleague is online."""
    async with asyncio.timeout(wait):
        while True:
            answer = await helper.http.get(f"{helper.base}/api/agents", headers={"Origin": helper.base})
            if colleague in {a["id"] for a in (await answer.json())["agents"]}:
                return
            await asyncio.sleep(0.05)


async def _fetch(helper: Agent, chat_id: str, attachment: str) -> None:
    url = f"{helper.base}/api/chats/{chat_id}/attachments/{attachment}"
    answer = await helper.http.get(url, headers={"Origin": helper.base})
    assert (answer.status, await answer.read()) == (200, PDF)


async def _transcript(visitor: Citizen, format: str) -> aiohttp.ClientResponse:
    """The answer to a download, which is asked for again where it cannot be made just now (503)."""
    end = time.monotonic() + WAIT
    while (answer := await visitor.transcript(format)).status == 503 and time.monotonic() < end:
        await asyncio.sleep(0.5)
    return answer


async def _downloads(visitor: Citizen, shown: list[dict[str, object]]) -> None:
    events = [str(m["event"]) for m in shown if m["from"] == "system"]
    assert events[0] == "opened", events
    assert sorted(events[1:-1]) == ["assigned", "assigned", "transferred"], (
        events
    )  # two replicas may store them at once
    assert events[-1] == "closed", events
    for format, kind in FORMATS.items():
        answer = await _transcript(visitor, format)
        assert (answer.status, answer.content_type) == (200, kind), (format, await answer.text("utf-8", "replace"))
        assert "dossier" not in await answer.text(errors="replace")
    assert (await (await visitor.transcript()).json())["messages"] == shown


def gray(bits: int) -> list[int]:
    """Every combination once, each differing from the one before in one place only."""
    return [number ^ (number >> 1) for number in range(2**bits)]


async def every_combination(ours: Deployment, former: Version) -> Report:
    """Each service of either version, one process each; at the end one of each version of every service."""
    report = Report(f"{former.name} and the present version side by side: a conversation in every combination")
    rows: list[list[str]] = []
    await ours.start(former, *ORDER)
    for combination in gray(len(ORDER)):
        present = {service: bool(combination & (1 << place)) for place, service in enumerate(ORDER)}
        for service, is_present in present.items():
            (running,) = ours.of(service)
            if (running.version is PRESENT) != is_present:
                await ours.replace(PRESENT if is_present else former, service)
        rows.append(await _tried(ours, {s: "present" if p else former.name for s, p in present.items()}, report))
    await ours.replace(PRESENT, *(s for s in ORDER if ours.of(s)[0].version is not PRESENT))
    await ours.start(former, *ORDER)
    for _ in range(5):  # which process has a part in it is chance
        rows.append(await _tried(ours, dict.fromkeys(ORDER, "both"), report))
    report.tables.append(table([*ORDER, "conversation"], rows))
    return report


async def _tried(ours: Deployment, names: Mapping[str, str], report: Report) -> list[str]:
    began = time.monotonic()
    try:
        await conversation(ours.base_url)
    except Exception as error:
        details = f"{type(error).__name__} {error}; the button: {await button(ours.base_url)}"
        report.faults.append(f"{', '.join(names.values())}: {details}")
        return [*names.values(), "failed"]
    print(f"{', '.join(names.values())}: {time.monotonic() - began:.1f} s", flush=True)
    return [*names.values(), f"{time.monotonic() - began:.1f} s"]


async def run_alone(home: Path, former: Version | None) -> Report:
    """With a broker and a database of its own."""
    if former is None:
        return Report("combinations: left out, there is no former version")
    with running_broker(home / "broker") as broker, running_database(home / "database") as mongodb:  # noqa: SIM117
        with deployment(home / "deployment", broker.url, mongodb) as ours:
            return await every_combination(ours, former)
