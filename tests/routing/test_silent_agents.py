"""An agent who leaves a citizen without an answer loses the chat once: rule, handler, and a process that dies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.common.events.chats import AnswerOverdue, ChatAccepted, ChatOpened, ChatState
from services.common.events.places import PlaceClaimed, PlacesChanged, PlaceWanted
from services.common.events.presence import GatewayConnections, ListenerEcho
from services.common.events.types import Cause, ChatStatus, Detail
from services.routing.chats import deadlines, rules, transfer_rules
from services.routing.chats.chat import Chat, Limits
from services.routing.consumers import Handlers
from tests.routing.scene import Scene

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LIMITS = Limits(reassign={"algemeen": timedelta(seconds=300)})
OPENING = ChatOpened(chat_id="c", department="algemeen", locale="fr", opened_at=NOW - timedelta(seconds=1))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def talking(department: str = "algemeen") -> Chat:
    opening = OPENING.model_copy(update={"department": department})
    waiting = rules.arrived(rules.opened(Chat("c"), opening, NOW))
    return rules.accepted(rules.assigned(waiting, 1, "an", "An", NOW), "an", NOW)


def overdue(since: datetime = NOW, turn: int = 1, answered: int = 4) -> AnswerOverdue:
    return AnswerOverdue(chat_id="c", turn=turn, since=since, answered=answered)


def taken(chat: Chat, event: AnswerOverdue | None = None, seconds: float = 300, writes: bool = False) -> Chat:
    return transfer_rules.taken_from_silent(chat, event or overdue(), writes, at(seconds), LIMITS)


def test_the_chat_goes_to_the_head_of_its_queue_for_anyone_but_its_agent() -> None:
    after = taken(talking())
    assert (after.state, after.turn, after.department, after.head) == (ChatStatus.WAITING, 2, "algemeen", True)
    assert (after.cause, after.detail, after.former_agent_id) == (Cause.TRANSFERRED, Detail.SILENT, "an")
    assert (after.unwanted_agent, after.taken_after, after.untold_since) == ("an", 4, at(300))
    found = rules.assigned(rules.published(after), 2, "bert", "Bert", at(301))
    assert (found.agent_id, found.unwanted_agent, found.refusable) == ("bert", None, True)


@pytest.mark.parametrize(
    ("chat", "event", "seconds", "writes"),
    [
        (talking(), overdue(), 299.9, False),
        (talking(), overdue(since=at(10)), 300, False),
        (talking(), overdue(), 300, True),
        (talking(), overdue(turn=2), 300, False),
        (talking("premies"), overdue(), 9_999, False),
        (replace(talking(), accepted=False), overdue(), 300, False),
        (replace(talking(), taken_after=4), overdue(), 300, False),
        (rules.closed_by_agent(talking(), "an", at(1)), overdue(), 300, False),
        (Chat("c"), overdue(), 300, False),
    ],
)
def test_it_stays(chat: Chat, event: AnswerOverdue, seconds: float, writes: bool) -> None:
    assert taken(chat, event, seconds, writes) is chat


def test_it_is_taken_once_until_somebody_answers() -> None:
    """The second agent does not answer either: the citizen waits with them, and supervisors are told as before."""
    at_bert = rules.assigned(rules.published(taken(talking())), 2, "bert", "Bert", at(301))
    at_bert = rules.accepted(at_bert, "bert", at(302), 2)
    assert taken(at_bert, overdue(since=at(302), turn=2), 9_000) is at_bert
    answered = taken(at_bert, overdue(since=at(1_000), turn=2, answered=9), 1_300)
    assert (answered.waits, answered.turn, answered.unwanted_agent, answered.taken_after) == (True, 3, "bert", 9)


def test_without_another_agent_it_comes_back_and_stays() -> None:
    waiting = rules.published(taken(talking()))
    back = deadlines.overdue(waiting, True, at(300) + LIMITS.named, LIMITS)
    assert (back.wanted_agent, back.unwanted_agent, back.detail) == ("an", None, Detail.UNANSWERED)
    home = rules.assigned(rules.published(back), 3, "an", "An", at(362))
    home = rules.accepted(home, "an", at(363), 3)
    assert taken(home, overdue(since=at(363), turn=3), 9_000) is home


# ── the handler ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def reassigning(scene: Scene) -> Scene:
    """A replica whose department algemeen gives a silent agent five minutes."""
    limits = replace(scene.limits, reassign={"algemeen": timedelta(seconds=300)})
    scene.context = replace(scene.context, limits=limits)
    return scene


async def silent(scene: Scene, free: int = 1) -> AnswerOverdue:
    """A chat of an, whose citizen has waited for five minutes; so many slots are free. The event that says so."""
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    await scene.handle(ChatAccepted(chat_id=chat_id, agent_id="an", turn=1))
    since = scene.now()
    scene.later(seconds=301)
    await scene.handle(PlacesChanged(department="algemeen", revision=1, free=free))
    return AnswerOverdue(chat_id=chat_id, turn=1, since=since, answered=4, occurred_at=scene.now())


async def test_the_chat_is_published_once_and_asks_for_another_agent(reassigning: Scene) -> None:
    scene = reassigning
    event = await silent(scene)
    handlers = Handlers(scene.context)
    for _ in range(3):
        await handlers.answer_overdue(event)
    state = await scene.observer.wait_for(ChatState, lambda s: s.cause is Cause.TRANSFERRED)
    assert (state.state, state.turn, state.detail, state.former_agent_id) == ("waiting", 2, Detail.SILENT, "an")
    wanted = await scene.observer.wait_for(PlaceWanted, lambda w: (w.chat_id, w.turn) == (event.chat_id, 2))
    assert (wanted.agent_id, wanted.not_agent_id) == (None, "an")
    claim = PlaceClaimed(chat_id=event.chat_id, turn=2, agent_id="bert", agent_name="Bert")
    await scene.handle(claim)
    chat = await scene.chat(event.chat_id)
    assert (chat.agent_id, chat.turn, chat.untold_since) == ("bert", 2, None)


@pytest.mark.parametrize("why", ["no slot", "writes", "late"])
async def test_it_stays_with_its_agent(reassigning: Scene, why: str) -> None:
    scene = reassigning
    event = await silent(scene, free=0 if why == "no slot" else 1)
    if why == "late":
        scene.later(seconds=31)
    await Handlers(scene.context, lambda chat_id: why == "writes").answer_overdue(event)
    assert (await scene.chat(event.chat_id)).agent_id == "an"


async def test_a_process_that_is_killed_after_the_write_has_its_change_published(reassigning: Scene) -> None:
    scene = reassigning
    event = await silent(scene)
    now = scene.now()
    await scene.store.change(
        event.chat_id,
        lambda c: transfer_rules.taken_from_silent(c, event, False, now, scene.context.limits),
    )  # and then it died
    await Handlers(scene.context).answer_overdue(event)  # delivered again: nothing changes
    await scene.catch_up()
    assert not [s for s in scene.observer.of(ChatState) if s.cause is Cause.TRANSFERRED]
    scene.later(seconds=2.1)
    await scene.routing_timers.timers()
    state = await scene.observer.wait_for(ChatState, lambda s: s.cause is Cause.TRANSFERRED)
    assert (state.turn, state.detail) == (2, Detail.SILENT)
    chat = await scene.chat(event.chat_id)
    assert (chat.turn, chat.untold_since, chat.taken_after) == (2, None, 4)


# ── who writes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_gateways_say_who_writes_and_without_them_everyone_may(scene: Scene) -> None:
    citizens, listener = scene.citizens, scene.citizens.listener
    seconds = 0.0
    listener.clock = lambda: seconds
    assert citizens.is_writing("c"), "nothing is received: it is not known"
    listener.handle(ListenerEcho(listener=listener.id, counter=1, digests=True))
    assert not citizens.is_writing("c")
    lists = {"incarnation": "g", "agents": [], "digests": True}
    listener.handle(GatewayConnections(**lists, counter=1, writing={"c": 4.0}))
    assert citizens.is_writing("c")
    assert not citizens.is_writing("d")
    seconds = 6.1
    listener.handle(ListenerEcho(listener=listener.id, counter=2, digests=True))
    assert not citizens.is_writing("c")
