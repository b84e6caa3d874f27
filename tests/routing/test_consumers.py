"""services/routing/consumers.py: what follows from each event, against the real broker and database."""

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from services.common.events.agents import StateRequested
from services.common.events.chats import (
    ChatAccepted,
    ChatOpened,
    ChatState,
    CitizenArrived,
    CloseRequested,
    QueueChanged,
    TransferRefused,
)
from services.common.events.places import DepartmentPlaces, PlaceClaimed, PlaceReleased, PlacesChanged, PlaceWanted
from services.common.events.types import AgentState, Block, Cause, CloseReason, Hold, ReleaseReason, Revocation
from services.common.mongo.client import Database
from services.routing.chats import rules, transfer_rules
from services.routing.chats.chat import Chat
from services.routing.consumers import STALE
from tests.routing.scene import Scene, free, opening


async def test_an_opening_publishes_the_state_and_requests_at_once(scene: Scene) -> None:
    chat_id = await scene.press()
    state = await scene.observer.wait_for(ChatState)
    assert (state.chat_id, state.v, state.state, state.turn, state.cause) == (chat_id, 1, "waiting", 1, "opened")
    wanted = await scene.observer.wait_for(PlaceWanted)
    assert (wanted.chat_id, wanted.turn, wanted.department, wanted.locale) == (chat_id, 1, "algemeen", "nl")
    assert wanted.agent_id is None


async def test_a_claim_assigns_and_is_answered_each_time(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    await scene.assign(chat_id, "bert")
    await scene.catch_up()
    published = [(s.v, s.state, s.agent_id, s.agent_name) for s in scene.observer.of(ChatState, chat_id)]
    assert published == [(1, "waiting", None, None), (2, "assigned", "an", "An"), (2, "assigned", "an", "An")]


async def test_a_claim_lets_the_next_in_the_queue_request(scene: Scene) -> None:
    first, second = await scene.press(), await scene.press()
    await scene.catch_up()
    assert [w.chat_id for w in scene.observer.of(PlaceWanted)] == [first], "one free place is what is known of"
    await scene.assign(first)
    await scene.observer.wait_for(PlaceWanted, lambda w: w.chat_id == second)


async def test_freed_slots_wake_as_many_as_there_are_in_order(scene: Scene) -> None:
    first, second, third = [await scene.press() for _ in range(3)]
    await scene.handle(free("algemeen", 2, revision=5))
    await scene.catch_up()
    assert [w.chat_id for w in scene.observer.of(PlaceWanted)][1:] == [first, second], "also who asked in vain just now"
    await scene.handle(free("algemeen", 1, revision=6))
    await scene.handle(free("algemeen", 2, revision=7))
    await scene.catch_up()
    assert [w.chat_id for w in scene.observer.of(PlaceWanted)][3:] == [first], "as many as came free, not everybody"
    await scene.handle(free("algemeen", 3, revision=4))
    await scene.catch_up()
    assert third not in [w.chat_id for w in scene.observer.of(PlaceWanted)], "an older count is not news"


async def test_no_chat_requests_again_and_again(scene: Scene) -> None:
    chat_id = await scene.press()
    for _ in range(5):
        await scene.slot_requests.request("algemeen")
    await scene.catch_up()
    assert [w.chat_id for w in scene.observer.of(PlaceWanted)] == [chat_id]


async def test_a_close_before_the_opening_ends_closed_and_is_published_then(scene: Scene) -> None:
    event = opening()
    await scene.handle(CloseRequested(chat_id=event.chat_id, by=CloseReason.CITIZEN))
    await scene.handle(event)
    await scene.handle(event)
    await scene.catch_up()
    published = {(s.v, s.state, s.reason, s.department) for s in scene.observer.of(ChatState, event.chat_id)}
    assert published == {(2, "closed", "citizen", "algemeen")}
    assert scene.observer.of(PlaceWanted) == []


async def test_a_claim_after_the_close_gets_closed(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
    await scene.assign(chat_id)
    await scene.catch_up()
    assert [s.state for s in scene.observer.of(ChatState, chat_id)] == ["waiting", "closed", "closed"]


async def test_a_claim_of_an_unknown_chat_gets_closed(scene: Scene) -> None:
    await scene.assign("11111111-2222-4333-8444-555555555555", turn=4)
    state = await scene.observer.wait_for(ChatState)
    assert (state.state, state.turn) == ("closed", 4)


async def test_the_agents_close_counts_only_for_the_chat_that_they_have(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.AGENT, agent_id="bert"))
    await scene.catch_up()
    assert [s.state for s in scene.observer.of(ChatState, chat_id)][-1] == "assigned"
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.AGENT, agent_id="an"))
    state = await scene.observer.wait_for(ChatState, lambda s: s.state == "closed")
    assert (state.reason, state.agent_id) == ("agent", "an")


async def test_a_release_while_waiting_ends_the_attempt(scene: Scene) -> None:
    chat_id = await scene.press()
    gone = PlaceReleased(chat_id=chat_id, turn=1, agent_id="an", reason=ReleaseReason.AGENT_GONE)
    await scene.handle(gone)
    await scene.assign(chat_id, "an", turn=1)
    chat = await scene.chat(chat_id)
    assert (chat.state, chat.turn, chat.head, chat.agent_id) == ("waiting", 2, True, None)
    await scene.observer.wait_for(PlaceWanted, lambda w: (w.chat_id, w.turn) == (chat_id, 2))


async def test_a_chat_that_lost_its_agent_is_first_in_the_queue_and_published_so(scene: Scene) -> None:
    lost = await scene.press()
    await scene.assign(lost)
    other = await scene.press()
    await scene.handle(PlaceReleased(chat_id=lost, turn=1, agent_id="an", reason=ReleaseReason.LOGGED_OUT))
    state = await scene.observer.wait_for(ChatState, lambda s: s.cause is Cause.AGENT_LEFT)
    assert (state.state, state.turn, state.agent_id, state.former_agent_id) == ("waiting", 2, None, "an")
    assert await scene.store.waiting_ids("algemeen") == [lost, other]


async def test_hello_is_stored_and_not_published_and_accept_is_published_each_time(scene: Scene) -> None:
    event = opening()
    await scene.handle(CitizenArrived(chat_id=event.chat_id))
    await scene.handle(event)
    await scene.assign(event.chat_id, "an")
    for _ in range(2):  # a replica that was killed after the first write gets it again, and must publish it
        await scene.handle(ChatAccepted(chat_id=event.chat_id, agent_id="an", turn=1))
    await scene.catch_up()
    chat = await scene.chat(event.chat_id)
    assert chat.greeted
    assert chat.accepted
    published = [(s.v, s.accepted) for s in scene.observer.of(ChatState, event.chat_id)]
    assert published == [(1, None), (2, False), (3, True), (3, True)]


async def test_an_agent_who_accepts_what_is_not_theirs_gets_the_state(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    await scene.handle(ChatAccepted(chat_id=chat_id, agent_id="bert"))
    await scene.catch_up()
    assert [s.agent_id for s in scene.observer.of(ChatState, chat_id)] == [None, "an", "an"]
    assert not (await scene.chat(chat_id)).accepted


async def test_two_replicas_with_all_events_at_once_and_twice_agree(pair: tuple[Scene, Scene]) -> None:
    events = [opening() for _ in range(8)]
    claims = [
        PlaceClaimed(chat_id=f.chat_id, turn=1, agent_id=f"a{n}", agent_name=f"A{n}") for n, f in enumerate(events)
    ]
    await asyncio.gather(*(s.handle(f) for s in pair for f in events))
    await asyncio.gather(*(s.handle(f) for s in pair for f in claims))
    for n, event in enumerate(events):
        chat = await pair[0].chat(event.chat_id)
        assert (chat.state, chat.agent_id, chat.v, chat.turn) == ("assigned", f"a{n}", 2, 1)
    for scene in pair:
        await scene.catch_up()
        by_version: dict[tuple[str, int], set[tuple[str, str | None]]] = {}
        for state in scene.observer.of(ChatState):
            by_version.setdefault((state.chat_id, state.v), set()).add((state.state, state.agent_id))
        assert all(len(said) == 1 for said in by_version.values()), "a version always says the same"


async def test_every_change_of_who_waits_rings_for_its_queue(scene: Scene) -> None:
    chat_publisher = asyncio.create_task(scene.announcer.run())
    try:
        chat_id = await scene.press()
        one = await scene.observer.wait_for(QueueChanged, lambda q: q.order == [chat_id])
        await scene.assign(chat_id)
        two = await scene.observer.wait_for(QueueChanged, lambda q: q.order == [] and q.revision > one.revision)
        await scene.handle(PlaceReleased(chat_id=chat_id, turn=1, agent_id="an", reason=ReleaseReason.AGENT_GONE))
        three = await scene.observer.wait_for(
            QueueChanged, lambda q: q.order == [chat_id] and q.revision > two.revision
        )
        await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
        await scene.observer.wait_for(QueueChanged, lambda q: q.order == [] and q.revision > three.revision)
    finally:
        chat_publisher.cancel()
        await asyncio.gather(chat_publisher, return_exceptions=True)


async def test_events_of_others_change_nothing(scene: Scene) -> None:
    await scene.handle(StateRequested(agent_id="an", state=AgentState.PAUSED))
    assert await scene.database["chats"].count_documents({}) == 0


def held(event: ChatOpened, agent: str = "an") -> ChatOpened:
    return event.model_copy(update={"held": Hold(agent_id=agent, agent_name=agent.title())})


class Recorded:
    """A database that notes what its collections are asked."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.asked: list[tuple[str, str]] = []

    def __getitem__(self, name: str) -> "RecordedCollection":
        return RecordedCollection(self, name)


class RecordedCollection:
    """One of its collections."""

    def __init__(self, recorded: Recorded, name: str) -> None:
        self.recorded, self.name = recorded, name

    def __getattr__(self, work: str) -> object:
        self.recorded.asked.append((self.name, work))
        return getattr(self.recorded.database[self.name], work)


async def test_an_opening_with_a_slot_is_one_write_and_one_event(scene: Scene, vhost_url: str) -> None:
    recorded = Recorded(scene.database)
    watched = Scene(cast(Database, recorded), scene.publisher, vhost_url, scene.limits, scene.observer, scene.clock)
    event = held(opening())
    await watched.handle(event)
    assert recorded.asked == [("chats", "insert_one")], "a press reads nothing, and writes once"
    await watched.announcer.flush()
    await watched.catch_up()
    (state,) = scene.observer.events  # and no queue, since nobody waits
    assert isinstance(state, ChatState)
    assert (state.chat_id, state.v, state.state, state.turn, state.cause, state.agent_id) == (
        event.chat_id,
        2,
        "assigned",
        1,
        Cause.ASSIGNED,
        "an",
    )


async def test_an_opening_with_a_slot_that_is_handled_again_is_answered(scene: Scene) -> None:
    event = held(opening())
    await scene.handle(event)
    await scene.handle(event)
    await scene.catch_up()
    assert [(s.v, s.agent_id) for s in scene.observer.of(ChatState)] == [(2, "an"), (2, "an")]


async def test_a_slot_that_was_reserved_for_a_closed_chat_becomes_free(scene: Scene) -> None:
    event = held(opening())
    await scene.handle(CloseRequested(chat_id=event.chat_id, by=CloseReason.CITIZEN))
    await scene.handle(event)
    assert (await scene.observer.wait_for(ChatState)).state == "closed"


async def test_inactivity_closes_a_chat_only_while_an_agent_has_accepted_it(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.INACTIVE))
    assert (await scene.chat(chat_id)).waits
    await scene.assign(chat_id, "an")
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.INACTIVE))
    assert (await scene.chat(chat_id)).assigned
    await scene.handle(ChatAccepted(chat_id=chat_id, agent_id="an"))
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.INACTIVE))
    assert (await scene.observer.wait_for(ChatState, lambda s: s.state == "closed")).reason == CloseReason.INACTIVE


async def test_an_inactivity_that_was_published_long_ago_closes_nothing(scene: Scene) -> None:
    """It was in the queue while routing was down, and the citizen may have answered; if not, it is published again."""
    chat_id = await scene.press()
    await scene.assign(chat_id)
    then = scene.now() - STALE - timedelta(seconds=1)
    long_ago = CloseRequested(chat_id=chat_id, by=CloseReason.INACTIVE, occurred_at=then)
    await scene.handle(long_ago)
    assert (await scene.chat(chat_id)).assigned
    await scene.handle(long_ago.model_copy(update={"by": CloseReason.CITIZEN}))
    assert (await scene.observer.wait_for(ChatState, lambda s: s.state == "closed")).reason == CloseReason.CITIZEN


async def test_a_refused_transfer_goes_back_and_asks_for_the_former_agent(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    now = scene.now()
    await scene.store.change(
        chat_id, lambda c: rules.published(transfer_rules.transferred(c, "an", "premies", None, now, scene.limits))
    )
    await scene.assign(chat_id, "bert", turn=2)
    await scene.handle(TransferRefused(chat_id=chat_id, agent_id="an"))
    await scene.catch_up()
    assert scene.observer.of(ChatState, chat_id)[-1].v == 4, "not his to refuse: he is told who has it"
    await scene.handle(TransferRefused(chat_id=chat_id, agent_id="bert"))
    state = await scene.observer.wait_for(ChatState, lambda s: s.turn == 3)
    assert (state.department, state.detail, state.former_agent_id) == ("algemeen", "refused", "bert")
    await scene.observer.wait_for(PlaceWanted, lambda w: (w.turn, w.agent_id, w.department) == (3, "an", "algemeen"))


async def test_chats_that_ended_with_an_agent_make_the_average_that_is_published(scene: Scene) -> None:
    await scene.handle(PlacesChanged(department="algemeen", free=0, revision=1, places=2))
    for _ in range(3):
        chat_id = await scene.press()
        await scene.assign(chat_id)
        await scene.handle(ChatAccepted(chat_id=chat_id, agent_id="an"))
        scene.later(seconds=60)
        close = CloseRequested(chat_id=chat_id, by=CloseReason.AGENT, agent_id="an")
        await scene.handle(close)
        await scene.handle(close)
    await scene.announcer.announce("algemeen")
    published = await scene.observer.wait_for(QueueChanged)
    assert published.pace == pytest.approx(30, abs=1)


async def test_a_digest_is_the_slots_of_each_department_in_it_and_costs_one_query(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three hundred departments without chats, and two with chats that wait."""
    waiting = [await scene.press(), await scene.press(department="premies")]
    await scene.handle(free("algemeen", 0, 1))
    await scene.catch_up()
    scene.observer.events.clear()
    queues: list[str] = []
    read = scene.store.first_waiting

    async def queue(department: str, limit: int) -> list[Chat]:
        queues.append(department)
        return await read(department, limit)

    monkeypatch.setattr(scene.store, "first_waiting", queue)
    others = [DepartmentPlaces(department=f"dienst-{n}", free=2, revision=7, places=3) for n in range(300)]
    others += [DepartmentPlaces(department=d, free=1, revision=7, places=1) for d in ("algemeen", "premies")]
    digest = PlacesChanged(department="first", free=1, revision=7, places=1, others=others)
    await scene.handle(digest)
    await scene.catch_up()
    assert sorted(queues) == ["algemeen", "premies"]
    assert {w.chat_id for w in scene.observer.of(PlaceWanted)} == {*waiting}
    assert (scene.slot_requests.free("dienst-299"), scene.slot_requests.free("first")) == (2, 1)
    stored = {d["_id"]: d.get("places") async for d in scene.database["queues"].find({})}
    assert (stored["dienst-0"], stored["first"], stored["premies"]) == (3, 1, 1)
    queues.clear()
    await scene.handle(digest)
    assert sorted(queues) == ["algemeen", "premies"], "who waits may have been lost on the way"


async def test_a_reminder_is_answered_only_when_it_is_not_so(scene: Scene) -> None:
    """Each state also goes through the queue of messages."""
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    await scene.catch_up()
    answers = len(scene.observer.of(ChatState))

    async def remind(agent: str, turn: int = 1) -> int:
        before = len(scene.observer.of(ChatState))
        event = PlaceClaimed(chat_id=chat_id, turn=turn, agent_id=agent, agent_name=agent, reminder=True)
        await scene.handle(event)
        await scene.catch_up()
        return len(scene.observer.of(ChatState)) - before

    assert await remind("an") == 0
    assert len(scene.observer.of(ChatState)) == answers
    assert await remind("bert") == 1
    assert await remind("an", turn=2) == 1
    await scene.assign(chat_id, "an")
    await scene.catch_up()
    assert len(scene.observer.of(ChatState)) == answers + 3, "a claim that is no reminder is always answered"
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
    assert await remind("an") >= 1
    assert scene.observer.of(ChatState)[-1].state == "closed"


async def test_a_token_that_is_given_up_is_published_also_after_the_end_and_again(scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
    for _ in range(2):
        await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN, revoke=True))
    await scene.catch_up()
    published = [(s.v, s.state, s.revoked_by) for s in scene.observer.of(ChatState, chat_id)][1:]
    assert published == [(2, "closed", None), (3, "closed", "citizen"), (3, "closed", "citizen")]
    assert (await scene.chat(chat_id)).revoked_by is Revocation.CITIZEN


async def test_an_agent_who_blocks_revokes_the_token_of_their_own_chat_alone(scene: Scene) -> None:
    mine, theirs = await scene.press(), await scene.press()
    await scene.assign(mine, "an")
    await scene.assign(theirs, "bert")
    block = Block(minutes=15, reason="Scheldt")
    for chat_id in (mine, theirs):
        await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.AGENT, agent_id="an", block=block))
    chats = [await scene.chat(chat_id) for chat_id in (mine, theirs)]
    assert [(chat.state, chat.revoked_by) for chat in chats] == [("closed", Revocation.AGENT), ("assigned", None)]
    await scene.handle(CloseRequested(chat_id=theirs, by=CloseReason.AGENT, agent_id="bert"))
    assert (await scene.chat(theirs)).revoked_by is None, "a close without a block revokes nothing"
    revoked = await scene.observer.wait_for(ChatState, lambda s: s.chat_id == mine and s.state == "closed")
    assert (revoked.revoked_by, revoked.reason) == ("agent", "agent")
