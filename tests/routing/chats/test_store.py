"""services/routing/chats/store.py against the real database."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import uuid4

from services.common.events.chats import CloseRequested
from services.common.events.types import Choice, ChoiceRule, CloseReason, Form, Hold
from services.routing.chats import rules, transfer_rules
from tests.routing.scene import Scene, opening

PREFIX = "0b5ca1ab-1e00-4abc"


async def test_a_chat_comes_back_as_it_was_written(scene: Scene) -> None:
    event = opening()
    _, written = await scene.store.change(event.chat_id, lambda c: rules.opened(c, event, scene.now()))
    read = await scene.store.load(event.chat_id)
    assert read.form == Form(id="f-1", url="https://loket.example/f")
    assert replace(read, opened_at=None, changed_at=None, known_since=None, waiting_since=None, due_at=None) == replace(
        written, opened_at=None, changed_at=None, known_since=None, waiting_since=None, due_at=None
    )
    assert abs((read.opened_at or scene.now()) - event.opened_at) < timedelta(milliseconds=1), "to the millisecond"


async def test_what_is_taken_away_is_away_in_the_database(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.store.change(chat_id, lambda c: rules.closed(c, CloseReason.CITIZEN, scene.now()))
    document = await scene.database["chats"].find_one({"_id": chat_id})
    assert document is not None
    assert not {"name", "question", "form", "due_at"} & document.keys()
    assert document["expire_at"] > scene.now() + timedelta(days=29)


async def test_members_of_a_newer_version_are_left_alone(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.database["chats"].update_one({"_id": chat_id}, {"$set": {"mood": "glad"}})
    await scene.assign(chat_id)
    document = await scene.database["chats"].find_one({"_id": chat_id})
    assert document is not None
    assert (document["mood"], document["state"]) == ("glad", "assigned")


async def test_of_many_who_claim_at_once_one_wins(pair: tuple[Scene, Scene]) -> None:
    chat_id = await pair[0].press()

    async def claim(n: int) -> bool:
        scene, name = pair[n % 2], f"agent{n}"
        before, after = await scene.store.change(chat_id, lambda c: rules.assigned(c, 1, name, name, scene.now()))
        return after != before

    winners = await asyncio.gather(*(claim(n) for n in range(30)))
    chat = await pair[0].chat(chat_id)
    assert sum(winners) == 1
    assert chat.agent_id == f"agent{winners.index(True)}"
    assert chat.v == 2


async def test_what_a_replica_remembers_of_a_chat_is_never_believed_unchecked(pair: tuple[Scene, Scene]) -> None:
    one, other = pair
    chat_id = await one.press()
    await other.assign(chat_id, "bert")
    await one.assign(chat_id, "an")
    assert (await one.chat(chat_id)).agent_id == "bert", "a write on an old memory does not succeed"
    await one.handle(CloseRequested(chat_id=chat_id, by=CloseReason.AGENT, agent_id="bert"))
    assert (await one.chat(chat_id)).closed, "and that nothing is to be done is checked"


async def test_an_opening_and_a_close_at_once_end_closed_with_the_data(pair: tuple[Scene, Scene]) -> None:
    one, other = pair
    for event in [opening() for _ in range(20)]:
        close = CloseRequested(chat_id=event.chat_id, by=CloseReason.CITIZEN)
        await asyncio.gather(one.handle(event), other.handle(close))
        chat = await one.chat(event.chat_id)
        assert chat.closed
        assert chat.department == "algemeen"


async def test_the_queue_is_head_first_then_the_longest_waiting(scene: Scene) -> None:
    first, second, third = [await scene.press() for _ in range(3)]
    await scene.press("premies")
    await scene.assign(third)
    await scene.store.change(third, lambda c: rules.released(c, 1, "an", scene.now()))
    assert await scene.store.waiting_ids("algemeen") == [third, first, second]
    assert [c.id for c in await scene.store.first_waiting("algemeen", 2)] == [third, first]
    assert await scene.store.waiting_departments() == {"algemeen", "premies"}


async def test_only_chats_with_a_deadline_that_passed_are_due(scene: Scene) -> None:
    quiet, greeted = await scene.press(greeted=False), await scene.press()
    gone = await scene.press()
    await scene.store.change(gone, lambda c: rules.closed(c, CloseReason.CITIZEN, scene.now()))
    assert await scene.store.due(scene.now(), 10) == []
    assert [c.id for c in await scene.store.due(scene.now() + timedelta(seconds=11), 10)] == [quiet]
    assert [c.id for c in await scene.store.due(scene.now() + timedelta(seconds=601), 10)] == [quiet, greeted]


async def test_searches_are_by_an_index_and_do_not_read_closed_chats(scene: Scene) -> None:
    chats = scene.database["chats"]
    await chats.insert_many([{"_id": f"old{n}", "state": "closed", "department": "algemeen"} for n in range(200)])
    for query in (
        {"state": "waiting", "department": "algemeen"},
        {"state": "assigned", "department": "algemeen"},
        {"due_at": {"$lte": scene.now()}},
        {"agent_id": "an", "state": "assigned"},
        {"assignments.department": "algemeen", "assignments.at": {"$gte": scene.now()}},
    ):
        plan = await chats.find(query).explain()
        assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"]), plan


async def test_open_chats_are_counted_by_department_and_state(scene: Scene) -> None:
    await scene.assign(await scene.press())
    await scene.press()
    await scene.press("premies")
    found = await scene.store.open_counts()
    counts = {("algemeen", "assigned"): 1, ("algemeen", "waiting"): 1, ("premies", "waiting"): 1}
    assert {labels: n for labels, (n, _) in found.items()} == counts
    assert found["premies", "waiting"][1] == min(
        c.waiting_since for c in await scene.store.first_waiting("premies", 5) if c.waiting_since
    )


async def test_the_open_chats_of_departments_are_counted_and_the_first_are_listed(scene: Scene) -> None:
    first, second = await scene.press(), await scene.press()
    await scene.assign(first)
    scene.later(minutes=1)
    third = await scene.press()
    await scene.press("premies")
    algemeen, premies, nowhere = await scene.store.open_of(["algemeen", "premies", "elders"], 1)
    assert (algemeen.department, algemeen.waiting, algemeen.running) == ("algemeen", 2, 1)
    assert [c.chat_id for c in algemeen.first_waiting] == [second]
    assert algemeen.waiting_since == (await scene.chat(second)).waiting_since
    agent_id = (await scene.chat(first)).agent_id
    assert [(c.chat_id, c.agent_id, c.accepted) for c in algemeen.first_running] == [(first, agent_id, False)]
    assert (premies.waiting, premies.running, nowhere.waiting, nowhere.waiting_since) == (1, 0, 0, None)
    (both,) = await scene.store.open_of(["algemeen"], 5)
    assert [c.chat_id for c in both.first_waiting] == [second, third]
    assert agent_id is not None
    assert await scene.store.numbers_of([agent_id, "nobody"]) == {agent_id: 1, "nobody": 0}
    assert await scene.store.numbers_of([]) == {}


async def test_everything_that_a_chat_can_be_comes_back_as_it_was_written(scene: Scene) -> None:
    choice = Choice(rule=ChoiceRule.LANGUAGE, candidates=3, speaks=True, chats=1, idle_for=2.5)
    event = opening().model_copy(update={"held": Hold(agent_id="an", agent_name="An", choice=choice)})
    await scene.handle(event)
    await scene.store.change(
        event.chat_id, lambda c: transfer_rules.transferred(c, "an", "premies", "bert", scene.now(), scene.limits)
    )
    chat = await scene.chat(event.chat_id)
    assert (chat.origin and chat.origin.agent_id, chat.origin and chat.origin.to_agent) == ("an", "bert")
    assert [(a.agent_id, a.turn, a.choice) for a in chat.assignments] == [("an", 1, choice)]
    before, after = await scene.store.change(event.chat_id, lambda c: c, known=chat)
    assert before == after == chat, "a chat that was read is a guess as good as one that was written"


async def test_the_latest_assignments_of_departments_come_first_and_are_few(scene: Scene) -> None:
    chats = [await scene.press() for _ in range(5)]
    for chat in chats:
        scene.later(minutes=10)
        await scene.assign(chat)
    other = await scene.press("premies")
    await scene.assign(other, "cas")

    async def latest(*departments: str, limit: int = 100) -> list[str]:
        return [a.chat_id for a in await scene.store.latest_assignments(departments, limit, scene.now())]

    assert await latest("algemeen") == chats[::-1]
    assert await latest("algemeen", limit=2) == chats[:2:-1]
    assert await latest("premies", "algemeen", limit=2) == [other, chats[-1]]
    assert await latest() == []


async def test_chats_of_one_key_are_found_by_the_beginning_of_their_ids(scene: Scene) -> None:
    one, other = (f"{PREFIX}-8{digit * 3}-{digit * 12}" for digit in "0f")
    for chat_id in (one, other, str(uuid4())):
        event = opening().model_copy(update={"chat_id": chat_id})
        await scene.store.change(chat_id, partial(rules.opened, event=event, now=scene.now()))
    hour = timedelta(hours=1)
    assert {c.id for c in await scene.store.some([], [PREFIX], scene.now() - hour)} == {one, other}
    assert [c.id for c in await scene.store.some([one], [], scene.now())] == [one]
    assert {c.id for c in await scene.store.some([one], [PREFIX], scene.now() + hour)} == {one}, "others are too old"
