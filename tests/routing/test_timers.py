"""services/routing/timers.py: what time alone brings about, against the real broker and database."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from services.common.config.departments import QueueRules
from services.common.events.chats import AcceptOverdue, ChatAccepted, ChatState, CloseRequested, QueueChanged
from services.common.events.places import PlaceWanted
from services.common.events.presence import ListenerEcho
from services.common.events.types import Cause, CloseReason, Detail
from services.routing import timers
from services.routing.chats import deadlines, rules, transfer_rules
from services.routing.queues.slot_requests import FIRST_AGAIN
from services.routing.timers import BACKLOG, STOOD_STILL, Calm
from tests.routing.scene import DEPARTMENTS, Scene, free, listed
from tests.support.metrics import sample
from tests.support.servers import PATIENCE


@pytest.fixture
def scene(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A replica for which nothing waits to be handled."""
    monkeypatch.setattr(scene.citizens, "backlog", answer(0))
    return scene


def answer(n: int) -> Callable[[], Awaitable[int]]:
    async def backlog() -> int:
        return n

    return backlog


def test_timers_wait_until_all_has_been_well_for_a_while() -> None:
    calm = Calm(settle=10, now=100)
    assert not calm.look(True, 101)
    assert [calm.look(True, at) for at in (105, 109, 110, 111)] == [False, False, True, True]
    assert not calm.look(False, 112)
    assert [calm.look(True, at) for at in (117, 121, 122)] == [False, False, True]
    calm.trouble(123)
    assert not calm.look(True, 124)


def test_a_process_that_stood_still_is_trouble() -> None:
    calm = Calm(settle=10, now=0)
    assert [calm.look(True, at) for at in (4, 8, 12)] == [False, False, True]
    assert not calm.look(True, 12 + STOOD_STILL + 0.1)


async def test_a_chat_without_a_hello_is_closed_and_published(scene: Scene) -> None:
    chat_id = await scene.press(greeted=False)
    await scene.routing_timers.timers()
    assert (await scene.chat(chat_id)).waits
    scene.later(seconds=10.1)
    await scene.routing_timers.timers()
    state = await scene.observer.wait_for(ChatState, lambda s: s.state == "closed")
    assert (state.chat_id, state.reason) == (chat_id, CloseReason.INACTIVE)
    assert (await scene.chat(chat_id)).untold_since is None


async def test_a_chat_that_a_gateway_lists_needs_no_hello(scene: Scene) -> None:
    chat_id = await scene.press(greeted=False)
    scene.later(seconds=10.1)
    scene.citizens.listener.handle(listed(1, chat_id))
    await scene.routing_timers.timers()
    chat = await scene.chat(chat_id)
    assert chat.waits
    assert chat.greeted


async def test_a_chat_that_waits_too_long_is_closed(scene: Scene) -> None:
    chat_id = await scene.press()
    scene.later(seconds=599)
    await scene.routing_timers.timers()
    assert (await scene.chat(chat_id)).waits
    scene.later(seconds=2)
    before = abandoned("algemeen", "no_agent")
    await scene.routing_timers.timers()
    state = await scene.observer.wait_for(ChatState, lambda s: s.state == "closed")
    assert state.reason == CloseReason.NO_AGENT
    assert abandoned("algemeen", "no_agent") - before == 1


async def test_other_rules_of_a_queue_hold_for_the_chats_that_wait_already(scene: Scene) -> None:
    chat_id, accepted = await scene.press(), await scene.press()
    await scene.assign(accepted, "an")
    await scene.handle(ChatAccepted(chat_id=accepted, agent_id="an"))
    queues = scene.routing_timers.limits.queues
    assert isinstance(queues, dict)
    queues["algemeen"] = QueueRules(patience=60)
    scene.later(seconds=61)
    await scene.routing_timers.timers()
    assert (await scene.chat(chat_id)).waits, "it is still due by the former rules"
    await scene.routing_timers.judge_waits_again(["premies", "algemeen"])
    revision = (await scene.chat(chat_id)).rev
    await scene.routing_timers.judge_waits_again(["algemeen"])
    assert (await scene.chat(chat_id)).rev == revision, "it may be repeated"
    await scene.routing_timers.timers()
    assert (await scene.chat(chat_id)).closed
    assert not (await scene.chat(accepted)).closed


async def test_a_chat_that_is_not_accepted_goes_back_and_the_agent_is_named_first(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    scene.later(seconds=31)
    await scene.routing_timers.timers()
    await scene.catch_up()
    late, state = [f for f in scene.observer.events if not isinstance(f, PlaceWanted)][-2:]
    assert isinstance(late, AcceptOverdue)
    assert (late.chat_id, late.turn, late.agent_id) == (chat_id, 1, "an")
    assert isinstance(state, ChatState)
    assert (state.state, state.turn, state.cause, state.former_agent_id) == ("waiting", 2, Cause.AGENT_LEFT, "an")
    chat = await scene.chat(chat_id)
    assert chat.head
    assert (chat.untold_since, chat.overdue_agent) == (None, None)


async def test_an_accepted_chat_stays(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    await scene.handle(ChatAccepted(chat_id=chat_id, agent_id="an"))
    scene.later(hours=5)
    await scene.routing_timers.timers()
    assert (await scene.chat(chat_id)).assigned


async def test_an_acceptance_that_a_former_version_did_not_publish_is_published(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    await scene.store.change(chat_id, lambda c: replace(c, accepted=True))  # as version 1.1 does it
    await scene.routing_timers.accepted()
    state = await scene.observer.wait_for(ChatState, lambda s: s.accepted is True)
    assert (state.v, state.turn, state.agent_id) == (3, 1, "an")
    assert (await scene.chat(chat_id)).untold_since is None


async def test_a_change_that_was_not_published_is_published_again_after_two_seconds(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    scene.later(seconds=31)
    now = scene.now()
    await scene.store.change(chat_id, lambda c: deadlines.overdue(c, True, now, scene.limits))  # and then it died
    await scene.routing_timers.timers()
    await scene.catch_up()
    assert scene.observer.of(AcceptOverdue) == []
    assert [s.v for s in scene.observer.of(ChatState)] == [1, 2]
    scene.later(seconds=2.1)
    await scene.routing_timers.timers()
    await scene.observer.wait_for(AcceptOverdue, lambda f: f.agent_id == "an")
    await scene.observer.wait_for(ChatState, lambda s: s.v == 3)
    chat = await scene.chat(chat_id)
    assert (chat.untold_since, chat.overdue_agent) == (None, None)


async def test_a_closed_chat_that_was_not_published_is_published_even_when_timers_may_not_judge(scene: Scene) -> None:
    chat_id = await scene.press(greeted=False)
    scene.later(seconds=11)
    now = scene.now()
    await scene.store.change(chat_id, lambda c: deadlines.overdue(c, False, now, scene.limits))
    scene.later(seconds=3)
    greeted = await scene.press()
    await scene.assign(greeted)
    scene.later(seconds=700)
    scene.well = False
    await replace(scene.routing_timers, calm=well_for_long(scene)).timers()
    assert (await scene.chat(greeted)).assigned, "it would be due"
    assert (await scene.observer.wait_for(ChatState, lambda s: s.state == "closed")).chat_id == chat_id
    scene.later(days=1)
    assert [c.id for c in await scene.store.due(scene.now(), 10)] == [greeted]


def well_for_long(scene: Scene) -> Calm:
    """All has been well until now."""
    calm = Calm(10, scene.monotonic())
    for _ in range(3):
        scene.later(seconds=4)
        calm.look(True, scene.monotonic())
    assert calm.lasts(scene.monotonic())
    return calm


@pytest.mark.parametrize("trouble", ["none", "not well", "backlog", "broker cannot be asked"])
async def test_timers_judge_nothing_in_trouble(scene: Scene, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    scene.later(seconds=700)
    scene.well = trouble != "not well"
    waits = {"backlog": BACKLOG + 1, "broker cannot be asked": -1}.get(trouble, 0)
    monkeypatch.setattr(scene.citizens, "backlog", answer(waits))
    await replace(scene.routing_timers, calm=well_for_long(scene)).timers()
    assert (await scene.chat(chat_id)).assigned is (trouble != "none")


async def test_the_chat_of_a_citizen_who_is_away_for_long_ends(scene: Scene) -> None:
    def gets_its_own_echo(counter: int) -> None:
        scene.citizens.listener.handle(ListenerEcho(listener=scene.citizens.listener.id, counter=counter))

    gets_its_own_echo(0)
    away, here = await scene.press(), await scene.press()
    await scene.assign(away, "an")
    await scene.routing_timers.away()
    for counter in range(155):
        scene.later(seconds=2)
        gets_its_own_echo(counter + 1)
        scene.citizens.listener.handle(listed(counter, here))
    await scene.routing_timers.away()
    state = await scene.observer.wait_for(ChatState, lambda s: s.state == "closed")
    assert (state.chat_id, state.reason, state.agent_id) == (away, CloseReason.INACTIVE, "an")
    assert (await scene.chat(here)).waits


def mended(reason: str) -> float:
    return sample("eloket_routing_repairs_total", {"reason": reason}) or 0.0


def abandoned(department: str, reason: str) -> float:
    labels = {"department": department, "reason": reason}
    return sample("eloket_routing_abandoned_total", labels) or 0.0


async def test_a_transfer_that_is_not_accepted_comes_back_to_the_agent_and_then_to_their_queue(scene: Scene) -> None:
    chat_id, before = await scene.press(), mended("unanswered")
    await scene.assign(chat_id, "an")
    await scene.handle(ChatAccepted(chat_id=chat_id, agent_id="an"))
    await scene.store.change(
        chat_id,
        lambda c: rules.published(transfer_rules.transferred(c, "an", "premies", "bert", scene.now(), scene.limits)),
    )
    await scene.slot_requests.request("premies")
    await scene.observer.wait_for(PlaceWanted, lambda w: (w.turn, w.agent_id, w.department) == (2, "bert", "premies"))
    scene.later(seconds=61)
    await scene.routing_timers.timers()
    state = await scene.observer.wait_for(ChatState, lambda s: s.turn == 3)
    assert (state.department, state.cause, state.detail) == ("algemeen", Cause.TRANSFERRED, Detail.UNANSWERED)
    assert mended("unanswered") == before + 1
    await scene.observer.wait_for(PlaceWanted, lambda w: (w.turn, w.agent_id, w.department) == (3, "an", "algemeen"))
    scene.later(seconds=6)
    await scene.routing_timers.timers()
    await scene.observer.wait_for(PlaceWanted, lambda w: (w.turn, w.agent_id) == (3, None))


async def test_a_chat_whose_opening_never_comes_is_published_closed_after_a_while(scene: Scene) -> None:
    chat_id, before = "11111111-2222-4333-8444-666666666666", mended("unknown_chat")
    await scene.assign(chat_id)
    await scene.routing_timers.timers()
    assert (await scene.chat(chat_id)).state is None, "its place was held before its opening, which may be late"
    scene.later(seconds=5.1)
    await scene.routing_timers.timers()
    state = await scene.observer.wait_for(ChatState, lambda s: s.chat_id == chat_id)
    assert (state.state, state.turn) == ("closed", 1)
    assert mended("unknown_chat") == before + 1


async def test_requesting_again_beside_free_slots_is_counted_as_a_repair(scene: Scene) -> None:
    await scene.handle(free("algemeen", 1, 1))
    chat_id, before = await scene.press(), mended("asked_again")
    scene.later(seconds=FIRST_AGAIN)
    await scene.routing_timers.ask()
    assert mended("asked_again") == before + 1, "a place was free, and it did not get it: something was lost"
    await scene.catch_up()
    assert [w.chat_id for w in scene.observer.of(PlaceWanted)] == [chat_id, chat_id]


async def test_waiting_chats_request_again_and_queues_are_published_again(scene: Scene) -> None:
    one, other = await scene.press("algemeen"), await scene.press("premies")
    await scene.catch_up()
    scene.observer.events.clear()
    scene.later(seconds=FIRST_AGAIN)
    await scene.routing_timers.ask()
    await scene.routing_timers.queues()
    await scene.catch_up()
    assert {w.chat_id for w in scene.observer.of(PlaceWanted)} == {one, other}
    assert {q.department: q.order for q in scene.observer.of(QueueChanged)} == {"algemeen": [one], "premies": [other]}


async def test_two_replicas_whose_timers_meet_change_a_chat_once(
    pair: tuple[Scene, Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    for scene in pair:
        monkeypatch.setattr(scene.citizens, "backlog", answer(0))
    chats = [await pair[0].press(greeted=False) for _ in range(10)]
    for scene in pair:
        scene.later(seconds=11)
    await asyncio.gather(*(s.routing_timers.timers() for s in pair))
    for chat_id in chats:
        chat = await pair[0].chat(chat_id)
        assert (chat.state, chat.v, chat.untold_since) == ("closed", 2, None)


async def test_a_repair_job_that_fails_is_repeated_and_keeps_timers_from_judging(scene: Scene) -> None:
    runs: list[int] = []

    async def repair() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("unexpected")

    calm = Calm(60, scene.monotonic() - 100)
    assert calm.lasts(scene.monotonic())
    task = asyncio.create_task(replace(scene.routing_timers, calm=calm).every(0.01, repair))
    async with asyncio.timeout(PATIENCE):
        while len(runs) < 3:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not calm.lasts(scene.monotonic())


async def test_open_chats_are_counted_for_the_metrics(scene: Scene) -> None:
    await scene.press()
    await scene.press("no-longer-there")
    await scene.routing_timers.count()
    for department in ("algemeen", "other"):
        labels = {"department": department, "state": "waiting"}
        assert sample("eloket_routing_chats", labels) == 1
    nobody = {"department": "premies", "state": "assigned"}
    assert sample("eloket_routing_chats", nobody) == 0, "there from the start"


async def test_how_long_the_first_of_them_has_waited_is_measured(scene: Scene) -> None:
    await scene.assign(await scene.press("premies"))
    await scene.press()
    scene.later(seconds=90)
    await scene.press()
    await scene.routing_timers.count()
    longest = {d: sample("eloket_routing_longest_wait_seconds", {"department": d}) for d in DEPARTMENTS}
    assert longest["premies"] == 0, "its only chat has its agent"
    assert 90 <= (longest["algemeen"] or 0) < 100


async def test_a_round_closes_all_absent_chats_not_a_hundred_of_them(scene: Scene) -> None:
    chats = [await scene.press(greeted=False) for _ in range(130)]
    scene.later(seconds=10.1)
    await scene.routing_timers.timers()
    await scene.catch_up()
    closed = {s.chat_id for s in scene.observer.of(ChatState) if s.state == "closed"}
    assert closed == {*chats}


async def test_two_replicas_begin_with_different_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[list[int]] = [[], []]
    for order in begun:

        async def work(item: int, order: list[int] = order) -> None:
            order.append(item)

        await timers._for_each(range(1_200), work)
        assert len({*order}) == timers.MOST
    assert begun[0] != begun[1]


async def test_empty_queues_are_published_again_in_a_digest_with_their_revisions(scene: Scene) -> None:
    many = [f"dienst-{n}" for n in range(250)]
    waits = await scene.press()
    await scene.announcer.repeat([*many, "algemeen"], True)
    await scene.catch_up()
    first = {q.department: q for q in scene.observer.of(QueueChanged)}
    assert first.keys() == {*many, "algemeen"}, "each by itself: their first revisions of this process"
    scene.observer.events.clear()
    await scene.announcer.repeat([*many, "algemeen"], True)
    await scene.catch_up()
    seen = scene.observer.of(QueueChanged)
    assert {q.department: q.order for q in seen if q.order} == {"algemeen": [waits]}
    digests = [q for q in seen if not q.order]
    assert len(digests) == 2
    assert {(q.department, q.revision) for d in digests for q in (d, *(d.empty or ()))} == {
        (d, first[d].revision) for d in many
    }
    scene.observer.events.clear()
    await scene.announcer.repeat(many, False)
    await scene.catch_up()
    assert {q.department for q in scene.observer.of(QueueChanged)} >= {*many}, "a former presence reads no digest"


async def test_a_revocation_after_the_end_that_was_not_published_is_published_again(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
    now = scene.now()
    await scene.store.change(chat_id, lambda c: rules.revoked_by_officer(c, now))  # and then it died
    scene.later(seconds=2.1)
    await scene.routing_timers.timers()
    state = await scene.observer.wait_for(ChatState, lambda s: s.revoked_by is not None)
    assert (state.chat_id, state.state, state.revoked_by) == (chat_id, "closed", "officer")
    assert (await scene.chat(chat_id)).untold_since is None
