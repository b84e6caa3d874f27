"""services/presence/consumers.py, with the real broker and database: events in any order, doubled, and two replicas."""

import asyncio
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.common.clock import utcnow
from services.common.events.agents import AgentChanged, StateRequested
from services.common.events.chats import AcceptOverdue, ChatState, EmptyQueue, QueueChanged
from services.common.events.places import PlaceClaimed, PlaceReleased, PlaceWanted
from services.common.events.types import AgentState, Cause, ChatStatus, ChoiceRule, ReleaseReason
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.mongo.client import Database
from services.presence import repairs as repair_jobs
from services.presence.agents import store
from services.presence.consumers import Handlers
from services.presence.context import Context
from services.presence.slots.allocator import Allocator
from services.presence.slots.rules import Agent
from services.presence.stores import Stores
from tests.presence.conftest import EventObserver, account, repairs, standing, there
from tests.support.in_process.handlers import handling

AN, BERT = account("an"), account("bert")
WIDE = account("wide", "algemeen", "premies", capacity=3)


def wanted(chat: str, turn: int = 1, agent: str | None = None, department: str = "algemeen") -> PlaceWanted:
    return PlaceWanted(chat_id=chat, turn=turn, department=department, agent_id=agent)


def state(chat: str, status: ChatStatus, turn: int = 1, agent: str | None = None) -> ChatState:
    return ChatState(
        chat_id=chat,
        v=1,
        state=status,
        turn=turn,
        department="algemeen",
        cause=Cause.ASSIGNED,
        agent_id=agent,
        at=utcnow(),
    )


def handlers_of(context: Context) -> Handlers:
    """The handlers as one replica has them."""
    return Handlers(context, Allocator(context, {}, {}))


async def free(stores: Stores, id_: str) -> int:
    found = await stores.agents.agent(id_)
    assert found is not None
    return found.free


@pytest.fixture
def chat() -> str:
    return str(uuid.uuid4())


async def test_a_request_is_granted_and_published_again_when_repeated(
    context: Context, observer: EventObserver, chat: str
) -> None:
    await there(context.stores, AN, BERT)
    woken: list[list[str]] = []
    handler = handlers_of(
        Context(context.stores, context.publisher, lambda departments: woken.append([*departments]))
    ).place_wanted
    for _ in range(3):
        await handler(wanted(chat))
    await observer.catch_up(context.publisher)
    allocator = observer.seen(PlaceClaimed)
    assert len(allocator) == 3
    assert len({(c.chat_id, c.turn, c.agent_id, c.agent_name) for c in allocator}) == 1
    assert await free(context.stores, AN.id) + await free(context.stores, BERT.id) == 1
    assert woken == [["algemeen"]]


async def test_after_a_crash_before_publishing_the_same_agent_is_published(
    context: Context, observer: EventObserver, chat: str
) -> None:
    await there(context.stores, AN, BERT)
    mute = Context(context.stores, Publisher("amqp://127.0.0.1:1/", "presence"), lambda departments: None)
    with pytest.raises(Unconfirmed):
        await handlers_of(mute).place_wanted(wanted(chat))
    (holder,) = await context.stores.agents.holders(chat)
    await handlers_of(context).place_wanted(wanted(chat))
    assert [c.agent_id for c in await observer.wait_for(PlaceClaimed)] == [holder.id]


async def test_an_attempt_that_was_overtaken_gets_no_agent(
    context: Context, observer: EventObserver, chat: str
) -> None:
    await there(context.stores, AN, BERT)
    await handlers_of(context).place_wanted(wanted(chat, turn=2))
    await handlers_of(context).place_wanted(wanted(chat, turn=1))
    await handlers_of(context).place_wanted(wanted(chat, turn=2))
    assert [c.turn for c in await observer.wait_for(PlaceClaimed, 2)] == [2, 2]
    assert await free(context.stores, AN.id) + await free(context.stores, BERT.id) == 1


async def test_only_the_named_agent_will_do(context: Context, observer: EventObserver, chat: str) -> None:
    await there(context.stores, AN, BERT)
    handler = handlers_of(context).place_wanted
    await handler(wanted(chat, agent=BERT.id))
    await handler(wanted(str(uuid.uuid4()), agent=BERT.id))
    await observer.catch_up(context.publisher)
    assert [c.agent_id for c in observer.seen(PlaceClaimed)] == [BERT.id]
    assert await free(context.stores, AN.id) == 1


async def test_fewest_chats_first_then_idle_longest(
    context: Context, db: Database, stores: Stores, observer: EventObserver
) -> None:
    await there(context.stores, WIDE, AN, BERT)
    idle = {AN.id: datetime.fromisoformat("2026-01-02T00:00Z"), BERT.id: datetime.fromisoformat("2026-01-01T00:00Z")}
    for who, since in idle.items():
        await db["agents"].update_one({"_id": who}, {"$set": {"idle_since": since}})
    await context.stores.agents.reserve(WIDE.id, "another", 1, utcnow())
    handler = handlers_of(context).place_wanted
    for _ in range(6):
        await handler(wanted(str(uuid.uuid4())))
    await observer.catch_up(context.publisher)
    order = [c.agent_id for c in observer.seen(PlaceClaimed)]
    assert order == [BERT.id, AN.id, WIDE.id, WIDE.id]  # and the last two wait


async def test_two_replicas_give_each_slot_once(context: Context, observer: EventObserver) -> None:
    """Thirty chats, each asking both replicas, for ten places."""
    agents = [account(f"agent{n}") for n in range(7)] + [WIDE]
    await there(context.stores, *agents)
    handlers = [
        handlers_of(context).place_wanted,
        handlers_of(Context(context.stores, context.publisher, lambda departments: None)).place_wanted,
    ]
    wishes = [wanted(str(uuid.uuid4())) for _ in range(30)]
    await asyncio.gather(*(handler(wish) for wish in wishes for handler in handlers))
    busy = await context.stores.agents.with_slots([agent.id for agent in agents])
    slots = {(slot.chat_id, agent.id) for agent in busy for slot in agent.slots}
    assert len(slots) == 10
    for agent in await context.stores.agents.colleagues("algemeen", None):
        assert agent.free == 0
        assert len({s.chat_id for s in agent.slots}) == agent.capacity
    await observer.catch_up(context.publisher)
    assert {(c.chat_id, c.agent_id) for c in observer.seen(PlaceClaimed)} == slots


async def test_of_two_agents_for_one_attempt_the_loser_is_free_again(context: Context, chat: str) -> None:
    """Two replicas that could not see each other gave the same turn to two agents: routing has chosen one."""
    await there(context.stores, AN, BERT)
    await context.stores.agents.reserve(AN.id, chat, 1, utcnow())
    await context.stores.agents.reserve(BERT.id, chat, 1, utcnow())
    await handlers_of(context).chat_state(state(chat, ChatStatus.ASSIGNED, 1, BERT.id))
    assert (await free(context.stores, AN.id), await free(context.stores, BERT.id)) == (1, 0)
    (holder,) = await context.stores.agents.holders(chat)
    assert holder.slots[0].confirmed


@pytest.mark.parametrize(
    ("status", "turn", "stays"),
    [
        (ChatStatus.CLOSED, 2, False),
        (ChatStatus.WAITING, 3, False),
        (ChatStatus.WAITING, 2, True),
        (ChatStatus.WAITING, 1, True),
    ],
)
async def test_a_slot_is_freed_when_it_is_over(
    context: Context, chat: str, status: ChatStatus, turn: int, stays: bool
) -> None:
    await there(context.stores, AN)
    await context.stores.agents.reserve(AN.id, chat, 2, utcnow())
    for _ in range(2):
        await handlers_of(context).chat_state(state(chat, status, turn))
    assert await free(context.stores, AN.id) == (0 if stays else 1)


@pytest.mark.parametrize(("age", "mended"), [(60, 1), (1, 0)])
async def test_a_slot_that_only_a_repetition_frees_is_a_repair(
    context: Context, chat: str, age: float, mended: int
) -> None:
    """The chat was over long before: the state that said so was lost, and a reminder had it published again."""
    await there(context.stores, AN)
    await context.stores.agents.reserve(AN.id, chat, 1, utcnow())
    await context.stores.agents.confirm(AN.id, chat, 1)
    before = repairs("reminder")
    closed = state(chat, ChatStatus.CLOSED)
    closed = closed.model_copy(update={"at": closed.occurred_at - timedelta(seconds=age)})
    await handlers_of(context).chat_state(closed)
    await handlers_of(context).chat_state(closed)
    assert repairs("reminder") - before == mended
    assert await free(context.stores, AN.id) == 1


async def test_a_reservation_is_confirmed_by_the_state_of_its_chat(
    context: Context, observer: EventObserver, chat: str
) -> None:
    await there(context.stores, AN)
    await context.stores.agents.reserve(AN.id, chat, 1, utcnow(), by_press=True)
    await handlers_of(context).chat_state(state(chat, ChatStatus.ASSIGNED, 1, AN.id))
    (holder,) = await context.stores.agents.holders(chat)
    assert not holder.slots[0].reserved
    await observer.catch_up(context.publisher)
    assert observer.events == []


async def test_the_reason_goes_with_the_claim_the_second_time_too(
    context: Context, observer: EventObserver, chat: str
) -> None:
    french = account("louise", locales=("fr",))
    await there(context.stores, AN, french)
    wish = PlaceWanted(chat_id=chat, turn=1, department="algemeen", locale="fr")
    for _ in range(2):
        await handlers_of(context).place_wanted(wish)
    await repair_jobs.publish_unconfirmed(context, age=0)
    allocator = await observer.wait_for(PlaceClaimed, 3)
    assert {c.agent_id for c in allocator} == {french.id}
    assert len({c.choice for c in allocator}) == 1
    choice = allocator[0].choice
    assert choice is not None
    assert (choice.rule, choice.candidates, choice.speaks) == (ChoiceRule.LANGUAGE, 2, True)


async def test_an_agent_who_has_no_such_slot_is_released(context: Context, observer: EventObserver, chat: str) -> None:
    await there(context.stores, AN)
    await handlers_of(context).chat_state(state(chat, ChatStatus.ASSIGNED, 4, AN.id))
    (released,) = await observer.wait_for(PlaceReleased)
    assert (released.chat_id, released.turn, released.agent_id) == (chat, 4, AN.id)
    assert released.reason is ReleaseReason.NO_SLOT


async def test_other_chats_are_left_alone(context: Context, observer: EventObserver, chat: str) -> None:
    await there(context.stores, WIDE)
    await context.stores.agents.reserve(WIDE.id, "other", 1, utcnow())
    await context.stores.agents.reserve(WIDE.id, chat, 1, utcnow())
    await handlers_of(context).chat_state(state(chat, ChatStatus.CLOSED, 1))
    assert [h.id for h in await context.stores.agents.holders("other")] == [WIDE.id]
    await observer.catch_up(context.publisher)
    assert observer.seen(PlaceReleased) == []


async def test_an_agent_pauses_and_it_is_published_each_time(context: Context, observer: EventObserver) -> None:
    await there(context.stores, AN)
    pause = StateRequested(agent_id=AN.id, state=AgentState.PAUSED)
    for _ in range(2):
        await handling(handlers_of(context))(pause)
    first, second = await observer.wait_for(AgentChanged, 2)
    assert (first.state, first.cause, first.online) == (AgentState.PAUSED, "request", True)
    assert first.v == second.v
    assert await context.stores.agents.unpublished(utcnow()) == []


async def test_who_does_not_accept_is_paused_once(context: Context, observer: EventObserver, chat: str) -> None:
    await there(context.stores, AN)
    overdue = AcceptOverdue(chat_id=chat, turn=1, agent_id=AN.id)
    await handling(handlers_of(context))(overdue)
    await handling(handlers_of(context))(StateRequested(agent_id=AN.id, state=AgentState.AVAILABLE))
    await handling(handlers_of(context))(AcceptOverdue(chat_id=chat, turn=1, agent_id=AN.id))
    published = await observer.wait_for(AgentChanged, 3)
    assert [(t.state, t.cause) for t in published] == [
        (AgentState.PAUSED, "accept_overdue"),
        (AgentState.AVAILABLE, "request"),
        (AgentState.AVAILABLE, "request"),
    ]


async def test_who_is_at_work_is_paused_for_the_third_chat_that_they_miss_and_not_before(context: Context) -> None:
    await there(context.stores, AN)
    now = utcnow()
    working = replace(context, at_work=lambda agent_id: agent_id == AN.id, clock=lambda: now)
    missed = [AcceptOverdue(chat_id=new_chat(), turn=1, agent_id=AN.id) for _ in range(3)]
    for event in (missed[0], missed[0], missed[1], missed[1]):
        await handling(handlers_of(working))(event)
        assert (await agent_of(context)).state is AgentState.AVAILABLE
    await handling(handlers_of(working))(missed[2])
    assert (await agent_of(context)).state is AgentState.PAUSED
    assert (await agent_of(context)).cause == "accept_overdue"
    await handling(handlers_of(working))(StateRequested(agent_id=AN.id, state=AgentState.AVAILABLE))
    await handling(handlers_of(working))(AcceptOverdue(chat_id=new_chat(), turn=1, agent_id=AN.id))
    assert (await agent_of(context)).state is AgentState.AVAILABLE


async def test_a_missed_chat_of_long_ago_does_not_count(context: Context) -> None:
    await there(context.stores, AN)
    now = utcnow()
    for missed_at in (now, now, now + store.MISSED_WITHIN * 2, now + store.MISSED_WITHIN * 2):
        working = replace(context, at_work=lambda agent_id: True, clock=standing(missed_at))
        await handling(handlers_of(working))(AcceptOverdue(chat_id=new_chat(), turn=1, agent_id=AN.id))
    assert (await agent_of(context)).state is AgentState.AVAILABLE


async def agent_of(context: Context) -> Agent:
    found = await context.stores.agents.agent(AN.id)
    assert found is not None
    return found


def new_chat() -> str:
    return str(uuid.uuid4())


async def test_a_state_of_an_unknown_agent_is_ignored(context: Context, db: Database) -> None:
    before = await db["agents"].count_documents({})
    await handling(handlers_of(context))(StateRequested(agent_id=str(uuid.uuid4()), state=AgentState.PAUSED))
    assert await db["agents"].count_documents({}) == before, "it has made none"


async def test_the_waiting_wake_the_button(context: Context, db: Database, stores: Stores) -> None:
    woken: list[list[str]] = []
    handler = handlers_of(
        Context(context.stores, context.publisher, lambda departments: woken.append([*departments]))
    ).queue_changed
    event = QueueChanged(department="algemeen", revision=3, order=["a", "b"])
    await handler(event)
    await handler(event)
    await handler(QueueChanged(department="nowhere", revision=1, order=[]))
    assert woken == [["algemeen"], ["nowhere"]]
    stored = await db["queues"].find_one({"_id": "algemeen"})
    assert stored is not None
    assert (stored["waiting"], stored["revision"]) == (2, 3)


async def test_a_digest_of_empty_queues_is_stored_and_its_repetition_is_not(context: Context, db: Database) -> None:
    woken: list[list[str]] = []
    handler = handlers_of(
        Context(context.stores, context.publisher, lambda departments: woken.append([*departments]))
    ).queue_changed
    await handler(QueueChanged(department="premies", revision=3, order=["a", "b"]))
    digest = QueueChanged(
        department="algemeen",
        revision=7,
        order=[],
        empty=[EmptyQueue(department="premies", revision=4), EmptyQueue(department="nowhere", revision=1)],
    )
    await handler(digest)
    assert woken == [["premies"], ["algemeen"], ["premies"], ["nowhere"]]
    assert await context.stores.queues.waiting(["premies", "algemeen", "nowhere"]) == dict.fromkeys(
        ("premies", "algemeen", "nowhere"), 0
    )
    await db["queues"].delete_many({})
    await handler(digest)
    assert len(woken) == 4, "not asked for again"
    await handler(QueueChanged(department="premies", revision=5, order=["c"]))
    assert woken[-1] == ["premies"]
