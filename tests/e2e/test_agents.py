"""Agents come, pause, hand over, leave and vanish; the citizen sees it at once, and is first in the queue."""

import asyncio
import contextlib
import time

import aiohttp
import pytest

from tests.e2e.raw import RawSocket, raw_socket
from tests.support.clients import (
    Agent,
    Citizen,
    Frame,
    Socket,
    agent,
    begin,
    button,
    citizen,
    http_client,
    new_id,
    pair,
    say,
    until_available,
    until_blue,
    until_green,
)
from tests.support.servers import PATIENCE, System

TRANSFERRED: Frame = {"type": "message", "event": "transferred"}
WITH_BERT: Frame = {"type": "status", "dot": "green", "agent": {"name": "Bert"}}


def events(socket: Socket) -> list[str]:
    """What the system said in a citizen's chat."""
    return [m["event"] for m in socket.messages() if m["from"] == "system"]


def dots(socket: Socket) -> list[str]:
    """The colours of a citizen's dot, one after the other."""
    return [f["dot"] for f in socket.frames if f["type"] == "status"]


async def given(helper: Agent, visitor: Citizen) -> Frame:
    """The chat came to this agent, who accepts it."""
    frame = await helper.socket.expect("assigned", chat=lambda c: c["chat_id"] == visitor.chat_id)
    chat: Frame = frame["chat"]
    return chat


async def until_accepted(raw: RawSocket, visitor: Citizen, theirs: Socket) -> None:
    """The agent, who cannot read that the chat has come, accepts it until that has its effect."""
    async with asyncio.timeout(PATIENCE):
        while "green" not in dots(theirs):
            await raw.send({"type": "accept", "chat_id": visitor.chat_id})
            await asyncio.sleep(0.05)
    await theirs.expect("status", dot="green")


async def test_who_logs_in_is_available_and_who_pauses_keeps_their_chat_and_gets_no_other(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as one, citizen(base) as two:
        theirs, ours = await pair(one, an)
        await ours.send(type="state", state="paused")
        await ours.expect("state", state="paused")
        await until_blue(base, "no_agents")
        assert (await say(theirs, "bent u er nog?"))["seq"]
        assert (await say(ours, "zeker", one.chat_id))["seq"]
        await theirs.send(type="close")
        await theirs.expect("closed")
        await ours.expect("closed", chat_id=one.chat_id)
        await until_blue(base, "no_agents")
        assert (await two.start()).status == 409
        await ours.close()
        assert (await an.connect())["agent"]["state"] == "paused", "a reload does not end a pause"
        await an.socket.send(type="state", state="available")
        await an.socket.expect("state", state="available")
        await pair(two, an)
        await an.log_out()
        assert await an.socket.closed() == 4401
        assert (await an.log_in()).status == 204
        assert (await an.connect())["agent"]["state"] == "available"


async def test_an_agent_who_logs_out_gives_the_chat_back_at_once_and_the_next_one_goes_on(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, question="Waar is mijn dossier?")
        await say(ours, "even kijken", visitor.chat_id)
        began = time.monotonic()
        assert (await an.log_out()).status == 204
        waiting = await theirs.expect("status", dot="grey")
        published = time.monotonic() - began
        assert waiting["agent"] is None
        assert (await theirs.expect("message", event="agent_left"))["from"] == "system"
        assert await ours.closed() == 4401
        async with agent(base, "bert") as bert:
            chat = await given(bert, visitor)
            assert chat["question"] == "Waar is mijn dossier?"
            assert (await theirs.expect("status", dot="green"))["agent"] == {"name": "Bert"}
            last = await say(bert.socket, "ik neem het over", visitor.chat_id)
            await theirs.expect("message", id=last["id"])
            assert bert.socket.messages(visitor.chat_id) == theirs.messages()
        print(f"\ntold after {published:.2f} s")
    assert events(theirs)[:4] == ["opened", "assigned", "agent_left", "assigned"]


async def test_the_longest_waiting_is_first_and_positions_are_pushed(system: System) -> None:
    base = system.base_url
    async with contextlib.AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(citizen(base)) for _ in range(3)]
        helpers = [await stack.enter_async_context(agent(base, name)) for name in ("agent1", "agent2", "agent3")]
        sockets = []
        for visitor in visitors:
            await begin(visitor)
            sockets.append(await visitor.join())
            await sockets[-1].expect("status", dot="green")
        await until_blue(base, "busy")
        for helper in reversed(helpers):
            await helper.log_out()
        for place, socket in enumerate(sockets, 1):
            await socket.expect("status", dot="grey", position=place)
        await until_blue(base, "no_agents")
        await sockets[0].send(type="close")
        await sockets[1].expect("status", dot="grey", position=1)
        await sockets[2].expect("status", dot="grey", position=2)
        bert = await stack.enter_async_context(agent(base, "bert"))
        await given(bert, visitors[1])
        await sockets[1].expect("status", dot="green")
        await sockets[2].expect("status", dot="grey", position=1)
        assert (await button(base))["colour"] == "blue"
        await sockets[1].send(type="close")
        await given(bert, visitors[2])
        await sockets[2].expect("status", dot="green")


async def test_when_all_are_busy_a_press_is_refused_however_many_press_at_once(system: System) -> None:
    base = system.base_url
    async with contextlib.AsyncExitStack() as stack:
        for n in range(1, 6):
            await stack.enter_async_context(agent(base, f"agent{n}"))
        for _ in range(5):
            visitor = await stack.enter_async_context(citizen(base))
            await begin(visitor)
            await (await visitor.join()).expect("status", dot="green")
        await until_blue(base, "busy")
        sixth = await stack.enter_async_context(citizen(base))
        refused = await sixth.start()
        assert refused.status == 409
        assert (await refused.json())["code"] == "button_blue"


async def test_an_agent_who_vanishes_is_missed_and_the_oldest_chat_is_served_first(system: System) -> None:
    """How soon is measured by `make soak`."""
    base = system.base_url
    async with contextlib.AsyncExitStack() as stack:
        sessions = [http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)) for _ in range(2)]
        helpers = [
            Agent(base, await stack.enter_async_context(s), n) for s, n in zip(sessions, ("an", "bert"), strict=True)
        ]
        visitors = [await stack.enter_async_context(citizen(base)) for _ in helpers]
        sockets, raws, staying = [], [], []
        for helper, visitor in zip(helpers, visitors, strict=True):
            assert (await helper.log_in()).status == 204
            stack.push_async_callback(helper.log_out)
            raws.append(await raw_socket(helper))
            stack.push_async_callback(raws[-1].break_off)
            staying.append(asyncio.create_task(raws[-1].stay()))
            stack.callback(staying[-1].cancel)
            await begin(visitor)
            sockets.append(await visitor.join())
            await sockets[-1].expect("status", assigned=True)
            await until_accepted(raws[-1], visitor, sockets[-1])
        third = await stack.enter_async_context(agent(base, "agent1"))
        await third.socket.send(type="state", state="paused")
        await third.socket.expect("state", state="paused")
        assert [dots(s)[-1] for s in sockets] == ["green", "green"], "both are there until now"
        for task in staying:
            task.cancel()
        await asyncio.gather(*staying, return_exceptions=True)
        await raws[0].break_off()  # the other one goes on being connected, and does not answer
        began = time.monotonic()
        await asyncio.gather(*(s.expect("status", dot="grey") for s in sockets))
        gone = time.monotonic() - began
        await asyncio.gather(*(s.expect("message", event="agent_left") for s in sockets))
        await third.socket.send(type="state", state="available")
        await given(third, visitors[0])
        assert (await sockets[0].expect("status", dot="green"))["agent"] == {"name": "Agent 1"}
        assert dots(sockets[1])[-1] == "grey"
        print(f"\nboth told within {gone:.1f} s")


async def test_a_reload_within_the_grace_changes_nothing_for_the_citizen(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        last = await say(ours, "een ogenblik", visitor.chat_id)
        await theirs.expect("message", id=last["id"])
        before = [f for f in theirs.frames if f["type"] in ("status", "message")]
        await ours.close()
        await asyncio.sleep(1)  # time is the subject: the agent is away, for less than the grace
        welcome = await an.connect({visitor.chat_id: last["seq"]})
        assert [c["chat_id"] for c in welcome["chats"]] == [visitor.chat_id]
        after = await say(an.socket, "daar ben ik weer", visitor.chat_id)
        assert after["seq"] == last["seq"] + 1
        await theirs.expect("message", id=after["id"])
        assert [f for f in theirs.frames if f["type"] in ("status", "message")][: len(before)] == before
        assert dots(theirs)[-1] == "green"
        assert events(theirs) == ["opened", "assigned"]


async def test_two_tabs_of_one_agent_both_get_everything(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        first = an.socket
        await an.connect()
        second = an.socket
        theirs, _ = await pair(visitor, an)
        await first.expect("assigned", chat=lambda c: c["chat_id"] == visitor.chat_id)
        question = await say(theirs, "ziet u dit?")
        answer = await say(first, "in beide vensters", visitor.chat_id)
        await second.expect("message", id=answer["id"])
        await second.send(type="note", chat_id=visitor.chat_id, id=new_id(), text="intern")
        await first.expect("note", text="intern")
        await second.expect("note", text="intern")
        assert question["id"] in {m["id"] for m in second.messages(visitor.chat_id)}
        await first.close()
        more = await say(theirs, "en nu?")
        await second.expect("message", id=more["id"])
        await theirs.send(type="close")
        await second.expect("closed", chat_id=visitor.chat_id)
        assert await theirs.closed() == 1000
        assert second.messages(visitor.chat_id) == theirs.messages()


async def test_a_chat_is_handed_to_a_named_colleague_with_a_note_that_the_citizen_never_sees(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        async with agent(base, "bert") as bert:
            await until_available(an, bert)
            listed = await (await an.http.get(f"{base}/api/agents", params={"department": "algemeen"})).json()
            assert bert.id in {a["id"] for a in listed["agents"]}
            await ours.send(type="transfer", chat_id=visitor.chat_id, to={"agent": bert.id}, note="kent dossier 42")
            assert (await ours.expect("unassigned", chat_id=visitor.chat_id))["reason"] == "transferred"
            await given(bert, visitor)
            await bert.socket.expect("note", chat_id=visitor.chat_id, text="kent dossier 42")
            await theirs.expect_each(TRANSFERRED, WITH_BERT)
            await ours.send(type="message", chat_id=visitor.chat_id, id=new_id(), text="nog iets")
            assert (await ours.expect("error"))["code"] == "not_yours"
            await until_green(base)
            assert (await say(bert.socket, "goeiedag", visitor.chat_id))["seq"]
        kept = await (await visitor.transcript("json")).json()
        assert "dossier 42" not in str(kept) + str(theirs.frames)


async def test_a_chat_is_handed_to_a_department(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        async with agent(base, "bert") as bert:
            await until_available(an, bert)
            await ours.send(type="transfer", chat_id=visitor.chat_id, to={"department": "algemeen"})
            await ours.expect("unassigned", chat_id=visitor.chat_id)
            await given(bert, visitor)
            await theirs.expect_each(TRANSFERRED, WITH_BERT)


async def test_transfers_that_cannot_be_made_are_refused_and_the_chat_stays(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        async with agent(base, "bert") as bert, agent(base, "agent1") as absent:
            await bert.socket.send(type="state", state="paused")
            await bert.socket.expect("state", state="paused")
            await absent.log_out()
            refused = [
                {"agent": new_id()},
                {"agent": absent.id},
                {"agent": bert.id},
                {"agent": an.id},
                {"department": "bestaat-niet"},
                {"department": "premies"},
            ]
            for to in refused:
                await ours.send(type="transfer", chat_id=visitor.chat_id, to=to, note="wordt niet bewaard")
                assert (await ours.expect("error", chat_id=visitor.chat_id))["code"] == "unavailable", to
            await ours.send(type="transfer", chat_id=new_id(), to={"agent": bert.id})
            assert (await ours.expect("error"))["code"] == "not_yours"
        last = await say(ours, "ik blijf bij u", visitor.chat_id)
        await theirs.expect("message", id=last["id"])
        assert events(theirs) == ["opened", "assigned"]
        assert not [f for f in ours.frames if f["type"] == "note"]


async def test_a_chat_that_is_not_accepted_goes_to_the_next_agent_and_the_first_is_paused(hasty: System) -> None:
    base = hasty.base_url
    async with agent(base, accepts=False) as an, citizen(base) as visitor:
        await begin(visitor)
        theirs = await visitor.join()
        await theirs.expect("status", dot="grey", assigned=True, agent=None, position=None)
        async with agent(base, "bert") as bert:
            await given(bert, visitor)
            await an.socket.expect("unassigned", chat_id=visitor.chat_id)
            await an.socket.expect("state", state="paused")
            await theirs.expect("status", dot="green", agent={"name": "Bert"})
            await say(theirs, "eindelijk")
            await overdue(base)
            last = await say(bert.socket, "hier ben ik", visitor.chat_id)
            await theirs.expect("message", id=last["id"])
            assert events(theirs) == ["opened", "agent_left", "assigned"], "an accepted chat stays"
            assert not [f for f in theirs.frames if f["type"] == "status" and (f["agent"] or {}).get("name") == "An"]


async def overdue(base: str) -> None:
    """Returns when a chat that came after all others was taken from its agent, who did not accept it in time."""
    async with agent(base, "sofie", accepts=False) as sofie, citizen(base) as another:
        await begin(another)
        await another.join()
        await sofie.socket.expect("assigned", chat=lambda c: c["chat_id"] == another.chat_id)
        await sofie.socket.expect("unassigned", chat_id=another.chat_id)


async def test_no_citizen_is_connected_until_an_agent_has_accepted(system: System) -> None:
    base = system.base_url
    async with agent(base, accepts=False) as an, citizen(base) as visitor:
        await begin(visitor)
        theirs = await visitor.join()
        offered = await theirs.expect("status", assigned=True)
        assert (offered["dot"], offered["position"], offered["agent"]) == ("grey", None, None)
        await an.socket.expect("assigned", chat=lambda c: c["chat_id"] == visitor.chat_id and not c["accepted"])
        await say(theirs, "is daar iemand?")
        again = await visitor.connect()  # a second tab, or a page that was loaded again
        await again.send(type="hello", token=visitor.token, after=0)
        assert (await again.expect("welcome"))["dot"] == "grey"
        assert (await again.expect("status"))["assigned"] is True
        await an.socket.close()
        (shown,) = (await an.connect())["chats"]
        assert shown["accepted"] is False, "a hello accepts nothing"
        assert events(theirs) == ["opened"]
        await an.socket.send(type="accept", chat_id=visitor.chat_id)
        for socket in (theirs, again):
            assert (await socket.expect("status", dot="green"))["agent"] == {"name": "An"}
            assert (await socket.expect("message", event="assigned"))["text"] == "U bent nu verbonden met An."
        late = await visitor.join()
        assert [f["dot"] for f in late.frames if f["type"] == "welcome"] == ["green"]
        assert events(theirs) == ["opened", "assigned"]


@pytest.mark.parametrize("kind", ["message", "typing", "read", "note"])
async def test_whatever_an_agent_does_with_a_chat_accepts_it_and_is_introduced(system: System, kind: str) -> None:
    base = system.base_url
    contents: dict[str, Frame] = {
        "message": {"id": new_id(), "text": "Goeiedag"},
        "typing": {"active": True},
        "read": {"seq": 1},
        "note": {"id": new_id(), "text": "intern"},
    }
    async with agent(base, accepts=False) as an, citizen(base) as visitor:
        await begin(visitor)
        theirs = await visitor.join()
        await an.socket.expect("assigned", chat=lambda c: c["chat_id"] == visitor.chat_id)
        await an.socket.expect("message", chat_id=visitor.chat_id, seq=1)
        await an.socket.send(type=kind, chat_id=visitor.chat_id, **contents[kind])
        assert (await theirs.expect("status", dot="green"))["agent"] == {"name": "An"}
        await say(an.socket, "waarmee kan ik u helpen?", visitor.chat_id)
        await theirs.expect("message", text="waarmee kan ik u helpen?")
        shown = theirs.messages()
        assert [m.get("event") for m in shown[:2]] == ["opened", "assigned"], shown
        said = next(i for i, f in enumerate(theirs.frames) if f.get("from") == "agent" and f["type"] == "message")
        green = next(i for i, f in enumerate(theirs.frames) if f.get("dot") == "green")
        assert green < said, "green before the first answer is read"


async def test_a_colleague_who_refuses_a_transferred_chat_was_never_connected(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        await theirs.expect("message", event="assigned")
        async with agent(base, "bert", accepts=False) as bert:
            await until_available(an, bert)
            await ours.send(type="transfer", chat_id=visitor.chat_id, to={"agent": bert.id})
            await theirs.expect("status", dot="grey", agent=None)
            await theirs.expect("message", event="transferred")
            await bert.socket.expect("assigned", chat=lambda c: c["transferred"])
            await bert.socket.send(type="refuse", chat_id=visitor.chat_id)
            assert (await theirs.expect("status", dot="green"))["agent"] == {"name": "An"}
            await theirs.expect("message", event="assigned")
        assert events(theirs) == ["opened", "assigned", "transferred", "transferred", "assigned"]
        assert "Bert" not in str(theirs.frames)


async def test_agents_see_what_a_system_message_is_about(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        opened = await ours.expect("message", event="opened")
        assert opened["about"] == {"department": "algemeen"}
        taken = await ours.expect("message", event="assigned")
        assert taken["about"] == {"agent_id": an.id, "agent": "An"}
        await theirs.send(type="close")
        over = await ours.expect("message", event="closed")
        assert over["about"] == {"department": "algemeen", "reason": "citizen"}
        assert not [f for f in theirs.frames if "about" in f]


async def test_a_chat_whose_citizen_sends_no_hello_is_closed_and_its_slot_is_free(hasty: System) -> None:
    base = hasty.base_url
    async with agent(base) as an, citizen(base) as visitor:
        await begin(visitor)
        await given(an, visitor)
        await an.socket.expect("closed", chat_id=visitor.chat_id, reason="inactive")
        await until_green(base)
        late = await visitor.connect()
        await late.send(type="hello", token=visitor.token, after=0)
        assert (await late.expect("closed"))["reason"] == "inactive"
        assert await late.closed() == 1000


async def test_a_chat_that_waits_too_long_ends_as_no_agent(hasty: System) -> None:
    base = hasty.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, _ = await pair(visitor, an)
        await an.log_out()
        await theirs.expect("status", dot="grey", position=1)
        await theirs.expect("status", dot="red")
        assert (await theirs.expect("closed"))["reason"] == "no_agent"
        assert await theirs.closed() == 1000
        assert events(theirs) == ["opened", "assigned", "agent_left", "closed"]
        await until_blue(base, "no_agents")
