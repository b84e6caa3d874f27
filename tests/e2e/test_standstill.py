"""Processes that stand still (alive to the kernel, answering nobody) and come back: talks go on, nothing is lost."""

import asyncio
import time

from tests.support.clients import agent, citizen, new_id, pair, say, until, until_blue, until_green
from tests.support.faults import SERVICES, dead_letters, probe, ready, stopped, until_missed
from tests.support.lasting_clients import lasting_citizen, talking
from tests.support.servers import System

NOTHING_DEAD = {"presence": 0, "routing": 0, "transcripts": 0}


async def test_without_presence_talks_go_on_and_the_button_becomes_unknown(frail: System) -> None:
    base = frail.base_url
    async with talking(base) as talk:
        before = await until(lambda b: b["reason"] == "busy", base)
        async with stopped(frail, "presence"):
            began = time.monotonic()
            unknown = await until(lambda b: b["reason"] == "unknown", base)
            took = time.monotonic() - began
            assert unknown["colour"] == "blue"
            assert unknown["revision"] > before["revision"]
            await talk.flows()
            async with citizen(base) as other:
                assert (await other.start()).status in (409, 503)
        back = time.monotonic()
        again = await until(lambda b: b["reason"] == "busy", base)
        assert again["revision"] > unknown["revision"]
        print(f"\nunknown after {took:.1f} s, back after {time.monotonic() - back:.1f} s")
        await ready(frail)
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"]
    await until_blue(base, "no_agents")


async def test_without_routing_talks_go_on_and_a_new_chat_waits_and_is_served(frail: System) -> None:
    base = frail.base_url
    async with talking(base, "an") as talk, agent(base, "bert") as bert, citizen(base) as visitor:
        await until_green(base)
        async with stopped(frail, "routing"):
            # First what needs it to stand still: the runner starts another one in its place after 15 s.
            response = await visitor.start(question="Is daar iemand?")
            assert response.status == 201
            waiting = lasting_citizen(visitor)
            running = asyncio.create_task(waiting.run())
            await waiting.until(lambda: 1012 in waiting.closes, "1012 while nothing is known of the chat")
            assert "welcome" not in {f["type"] for _, f in waiting.frames}
            await talk.flows()
        await waiting.status(dot="green")
        await bert.socket.expect("assigned", chat=lambda c: c["chat_id"] == visitor.chat_id)
        await waiting.end()
        await running
        await talk.check()


async def test_without_transcripts_messages_queue_the_33rd_is_refused_and_order_is_kept(frail: System) -> None:
    base = frail.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        await say(theirs, "dag")  # with a receipt both hellos are answered to their end: nothing is read any more
        await say(ours, "goedendag", visitor.chat_id)
        texts = [f"bericht {i}" for i in range(40)]
        ids = [new_id() for _ in texts]
        async with stopped(frail, "transcripts"):
            for id_, text in zip(ids, texts, strict=True):
                await theirs.send(type="message", id=id_, text=text)
            for id_ in ids[32:]:
                refused = await theirs.expect("error")
                assert (refused["code"], refused["id"]) == ("unavailable", id_)
            await ours.send(type="typing", chat_id=visitor.chat_id, active=True)
            await theirs.expect("typing")
            await asyncio.sleep(10.5)  # time is the subject: the first message is published again after 10 s
        for id_ in ids[:32]:
            await ours.expect("message", id=id_)
        for id_, text in zip(ids[32:], texts[32:], strict=True):
            await theirs.send(type="message", id=id_, text=text)
        await ours.expect("message", id=ids[-1])
        await theirs.expect("message", id=ids[-1])
        assert [m["text"] for m in ours.messages(visitor.chat_id) if m["from"] == "citizen"] == ["dag", *texts]
        kept = await (await visitor.transcript()).json()
        assert [m["text"] for m in kept["messages"] if m["from"] == "citizen"] == ["dag", *texts]
        assert theirs.messages() == kept["messages"]


async def test_a_database_that_stands_still_for_15_s_costs_time_and_nothing_else(frail: System) -> None:
    others = SERVICES[1:]
    async with talking(frail.base_url) as talk:
        async with stopped(frail, "database"):
            began = time.monotonic()
            missed = await until_missed(frail, others, "database")
            assert {name: probe(frail, name, "/healthz") for name in SERVICES} == dict.fromkeys(SERVICES, 200)
            await asyncio.sleep(began + 15 - time.monotonic())  # time is the subject
        back = time.monotonic()
        await talk.flows()
        flows = time.monotonic() - back
        await ready(frail)
        whole = time.monotonic() - back
        print(f"\nmissed after {missed:.1f} s; flows {flows:.1f} s, all ok {whole:.1f} s after it was back")
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"]
    assert await dead_letters(frail) == NOTHING_DEAD
