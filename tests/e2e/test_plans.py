"""Every search that services make of their databases, explained: none that grows with what is stored."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest

from services.common.clock import utcnow
from tests.e2e.wiretap import Search, Wiretap, tapped
from tests.support.clients import (
    Agent,
    Citizen,
    Socket,
    agent,
    begin,
    citizen,
    new_id,
    pair,
    say,
    until_available,
    until_green,
)
from tests.support.servers import System, running_system

SMALL = {
    "schema": "one document",
    "probe": "one document",
    "officers": "a handful of people, read when presence starts",
    "buttons": "one document a department",
    "queues": "one document a department, read when presence starts",
}
"""Collections that may be read from end to end, and why."""
WHOLE = {
    "agents: find {}": "when presence starts, and when accounts change",
    "agents: find {enabled}": "likewise",
    "agents: find {changed: {$exists}, enabled}": "likewise",
    "agents: update {missed: {$exists}}": "a migration",
    "agents: find {online}": "who is online: most of them, each 2 s",
    "agents: find {online, enabled, capacity: {$gt}}": "all crews, each 3 s",
    "agents: find {seats.0: {$exists}}": "the agents with a slot in use, each minute, by one replica in turn",
}
"""Searches that read a collection of people from end to end, and when. None belongs to a press or to a chat."""
LIMITS = {"ACCEPT_LIMIT": "10", "SETTLE_LIMIT": "3", "SILENCE_LIMIT": "30"}
"""Short ones, but longer than a full machine pauses."""


@pytest.fixture
def tap(mongodb_url: str) -> Iterator[Wiretap]:
    with tapped(mongodb_url) as tap:
        yield tap


async def test_no_search_reads_a_collection_from_end_to_end(
    tmp_path: Path, tap: Wiretap, mongodb_prefix: str, vhost_url: str, mongodb_client: "pymongo.MongoClient[Any]"
) -> None:
    servers = {"MONGODB_URL": tap.url, "MONGODB_PREFIX": mongodb_prefix, "RABBITMQ_URL": vhost_url}
    running = running_system(tmp_path, RATE_LIMITS="off", DEMO_AGENTS="1", **servers, **LIMITS)
    system = await asyncio.to_thread(running.__enter__)
    try:
        await a_day(system)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
    searches = [s for s in tap.searches.values() if s.collection not in SMALL and s.shape not in WHOLE]
    scans = [s.shape for s in searches if reads_all(mongodb_client, s)]
    assert len(tap.searches) > 60, "this is not what a day is made of"
    assert scans == []


def test_a_search_that_no_index_serves_is_seen(mongodb_prefix: str, mongodb_client: "pymongo.MongoClient[Any]") -> None:
    name = f"{mongodb_prefix}library"
    mongodb_client[name]["books"].create_index([("shelf", 1), ("place", 1)])
    for wanted, whole in (
        ({"shelf": 1, "place": {"$gt": 2}}, False),
        ({"_id": 7, "title": "x"}, False),
        ({"title": "x", "shelf": {"$in": [1]}}, False),
        ({"title": "x"}, True),
        ({"place": 2}, True),
        ({"$or": [{"shelf": 1}, {"_id": {"$gte": 7}, "title": "x"}]}, False),
        ({"$or": [{"shelf": 1}, {"title": "x"}]}, True),
        ({"_id": {"$ne": 7}}, True),
        ({}, True),
    ):
        assert reads_all(mongodb_client, Search(name, "books", "find", wanted, {})) == whole, wanted


def scans_all(client: "pymongo.MongoClient[Any]", search: Search) -> bool:
    if search.command == "findAndModify":  # reads all of it in the embedded server, whatever it looks for
        return True
    find = {"find": search.collection, "filter": search.filter, "sort": search.sort}
    explained = client[search.database].command("explain", find, verbosity="queryPlanner")
    return "COLLSCAN" in str(explained["queryPlanner"]["winningPlan"])


def reads_all(client: "pymongo.MongoClient[Any]", search: Search) -> bool:
    """Whether no part of what is looked for is served by an index: the embedded server explains them only alone.

    Of alternatives each has to be (MongoDB manual, "$or Clauses and Indexes"). Each collection has an index of `_id`,
    which serves ranges too; the embedded server explains those as a scan.
    """
    if _is_bounded(search.filter.get("_id")):
        return False
    alternatives = search.filter.get("$or", ())
    if alternatives and not any(reads_all(client, replace(search, filter=one)) for one in alternatives):
        return False
    parts = [search.filter, *({name: value} for name, value in search.filter.items())]
    return all(scans_all(client, replace(search, filter=part)) for part in parts)


def _is_bounded(wanted: object) -> bool:
    """Whether only a part of an index can have these values."""
    if isinstance(wanted, dict):
        return not {"$gt", "$gte", "$lt", "$lte", "$eq", "$in"}.isdisjoint(wanted)
    return wanted is not None


async def a_day(system: System) -> None:
    """What people do, once: a conversation with everything in it, and a citizen for whom nobody is there."""
    base = system.base_url
    async with agent(base, "an") as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, name="An Peeters", question="Waar?")
        async with agent(base, "bert") as bert:
            await until_available(an, bert)
            await say(theirs, "Goeiemorgen")  # from here on the citizen is not silent for long
            await say(ours, "Dag", visitor.chat_id)
            await ours.send(type="note", chat_id=visitor.chat_id, id=new_id(), text="dossier 42")
            await ours.expect("note")
            await a_file(visitor, theirs)
            again = await visitor.join(after=2)
            await ours.send(type="transfer", chat_id=visitor.chat_id, to={"agent": bert.id})
            await bert.socket.expect("assigned")
            await say(bert.socket, "Ik neem over", visitor.chat_id)
            await again.send(type="close")
            await theirs.expect("closed")
        for kind in ("txt", "html", "json", "pdf"):
            assert (await visitor.transcript(kind)).status == 200
    await nobody_there(base)


async def a_file(visitor: Citizen, theirs: Socket) -> None:
    file = await (await visitor.upload("a.txt", b"hallo\n")).json()
    await theirs.send(type="message", id=new_id(), attachment=file["id"])
    await theirs.expect("message", attachment=lambda a: a is not None)
    path = f"{visitor.base}/api/chats/{visitor.chat_id}/attachments/{file['id']}"
    assert (await visitor.http.get(path, headers=visitor.bearer)).status == 200


async def nobody_there(base: str) -> None:
    async with citizen(base) as left_alone, citizen(base) as patient:
        async with agent(base, "an"), agent(base, "bert"):
            await begin(left_alone)
            theirs = await left_alone.join()
            await begin(patient)
            waiting = await patient.join()
        for socket in (theirs, waiting):
            await socket.expect("status", dot="grey", assigned=None)
        asked = {"contact": "an@example.be", "text": "Wanneer?"}
        url = f"{base}/api/chats/{left_alone.chat_id}/question"
        assert (await left_alone.http.post(url, json=asked, headers=left_alone.bearer)).status == 201
        await theirs.expect("closed")
        async with agent(base, "sofie") as sofie:  # a supervisor
            await waiting.expect("status", dot="green")
            await too_late(base)
            reports = "agent/reports?from=2026-01-01&until=2026-12-31"
            assignments = ("assignments", f"assignments?chat_id={patient.chat_id}")
            for path in ("agent/me", "agents", *assignments, "questions", reports):
                assert (await sofie.http.get(f"{base}/api/{path}")).status == 200
            await supervise(base, sofie)
            done = f"{base}/api/questions/{left_alone.chat_id}/done"
            ours = {"Origin": base}
            assert (await sofie.http.post(done, headers=ours)).status == 204
            assert (await sofie.http.delete(done, headers=ours)).status == 200
            assert (await sofie.http.post(f"{done}?once=true", headers=ours)).status == 204
            before = f"&before=1-{left_alone.chat_id}"
            for filters in ("", f"?from=2026-11-01&until=2026-12-31{before}", "?number=C6DFAW9P"):
                assert (await sofie.http.get(f"{base}/api/questions/archive{filters}")).status == 200
            await waiting.expect("closed", reason="inactive")  # the citizen says nothing


async def supervise(base: str, sofie: Agent) -> None:
    """A supervisor looks at the live page and at past chats, and closes the intake for a time."""
    await sofie.socket.send(type="watch")
    await sofie.socket.expect("live")
    ours = {"Origin": base}
    for wanted in ({"own": True}, {"own": False}, {"own": False, "text": "goeiemorgen neem"}, {"form": "aanvraag"}):
        async with sofie.http.post(f"{base}/api/agent/chats/search", json=wanted, headers=ours) as found:
            assert found.status == 200
    intake = f"{base}/api/agent/intakes/algemeen"
    until = (utcnow() + timedelta(hours=1)).isoformat()
    async with sofie.http.put(intake, json={"reason": "staff", "until": until}, headers=ours) as closed:
        assert closed.status == 200
    async with sofie.http.delete(intake, headers=ours) as opened:
        assert opened.status == 204
    await until_green(base)


async def too_late(base: str) -> None:
    """A chat is taken from its agent, who does not accept it in time."""
    async with agent(base, "agent1", accepts=False) as idle, citizen(base) as another:
        await begin(another)
        await another.join()
        await idle.socket.expect("assigned")
        await idle.socket.expect("unassigned", chat_id=another.chat_id)
