"""Inactivity on the real broker and database: any number of replicas, one that dies in the middle, a whole service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

import pytest

from services.common.clock import utcnow
from services.common.events.chats import CloseRequested
from services.common.events.messages import CitizenSilent, CitizenStayed, MessagePosted
from services.common.events.types import Cause, CloseReason, Party
from services.common.mongo.client import Database
from services.transcripts.app import create_app
from services.transcripts.inactivity.rules import limits_of
from services.transcripts.inactivity.timers import InactivityTimers
from services.transcripts.jobs import timer_loop
from services.transcripts.log import subscription, writer
from services.transcripts.log.delivery import DeliveredEvent
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.conditions import until
from tests.support.metrics import sample
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import opened
from tests.transcripts.conftest import OPENED_AT, EventObserver, entry, new_id, opened_event, posted, seal_entry, state
from tests.transcripts.replicas import Replicas, two_publishers

LIMITS = limits_of(900)
assert LIMITS is not None


def counted() -> dict[str, float]:
    name = "eloket_transcripts_silences_total"
    steps = ("warned_1", "warned_2", "closed", "stayed")
    return {s: n for s in steps if (n := sample(name, {"step": s}) or 0.0)}


def since_then(before: dict[str, float]) -> dict[str, float]:
    return {step: n - before.get(step, 0.0) for step, n in counted().items() if n != before.get(step, 0.0)}


def seen(observer: EventObserver, chat_id: str) -> list[int | CloseReason]:
    """What was published of a chat's inactivity: warnings by their number, and by whom its end was asked for."""
    published: list[int | CloseReason] = []
    for event in observer.seen:
        if isinstance(event, CitizenSilent) and event.chat_id == chat_id:
            published.append(event.warning)
        elif isinstance(event, CloseRequested) and event.chat_id == chat_id:
            published.append(event.by)
    return published


class Post(Replicas[InactivityTimers]):
    """Two replicas, and their chats."""

    async def due(self, after: float) -> list[str]:
        found = await self.store.due_chats(OPENED_AT + timedelta(seconds=after), 100)
        return [c.chat_id for c in found]

    async def begin(self) -> str:
        """A chat that an agent has just got."""
        chat_id = new_id()
        assert LIMITS is not None
        await self.store.open_chats([opened_event(chat_id)])
        await self.store.note_states([(chat_id, 1, "an")], {chat_id: OPENED_AT + LIMITS.quiet})
        await self.store.insert([entry(chat_id, 1, Party.SYSTEM, "Verbonden", event=Cause.ASSIGNED)])
        return chat_id

    async def add(self, chat_id: str, seq: int, after: float, party: Party, event: Cause | None = None) -> None:
        at = OPENED_AT + timedelta(seconds=after)
        await self.store.insert([entry(chat_id, seq, party, event=event, at=at)])


@pytest.fixture
async def post(vhost_url: str, database: Database, store: Store) -> AsyncIterator[Post]:
    """Two replicas, each with a publisher of its own."""
    made = Post(store)
    assert LIMITS is not None
    async with two_publishers(vhost_url) as both:
        made.replicas = [InactivityTimers(Store(database), p, LIMITS, lambda: made.now, made.well) for p in both]
        yield made


async def test_an_inactive_citizen_is_warned_twice_and_then_the_end_is_requested(
    post: Post, observer: EventObserver
) -> None:
    before, chat = counted(), await post.begin()
    await post.look(599)
    await post.look(600.5)
    await post.look(780.5)
    await post.look(790)
    await post.look(815)
    await post.look(840)
    await post.look(865)
    await post.look(890)
    await observer.caught_up()
    assert CloseReason.INACTIVE not in seen(observer, chat)
    await post.look(900)
    await until(lambda: CloseReason.INACTIVE in seen(observer, chat), "the end")
    published = seen(observer, chat)
    assert sorted(set(map(str, published))) == ["1", "2", "inactive"]
    assert published == [
        *(t for t in published if t == 1),
        *(t for t in published if t == 2),
        *(t for t in published if t not in (1, 2)),
    ]
    assert since_then(before) == {"warned_1": 1, "warned_2": 1, "closed": 1}, "each once, whoever looked"
    first, *_ = (f for f in observer.seen if isinstance(f, CitizenSilent))
    assert (first.since, first.closes_at) == (OPENED_AT, OPENED_AT + timedelta(seconds=900))


async def test_the_agents_inactivity_a_wait_and_an_end_are_left_alone(post: Post, observer: EventObserver) -> None:
    answered, waiting, late, over, asked = [await post.begin() for _ in range(5)]
    await post.add(answered, 2, 10, Party.CITIZEN)
    await post.add(asked, 2, 10, Party.CITIZEN)
    await post.add(asked, 3, 11, Party.SYSTEM, Cause.TRANSFERRED)
    await post.add(asked, 4, 12, Party.SYSTEM, Cause.ASSIGNED)  # their question waits for this agent now
    await post.add(waiting, 2, 10, Party.SYSTEM, Cause.AGENT_LEFT)
    await post.add(late, 2, 10, Party.SYSTEM, Cause.TRANSFERRED)
    await post.add(late, 3, 11, Party.AGENT)
    await post.store.insert([seal_entry(over, 2)])
    await post.look(100_000)
    await post.store.close_chats([seal_entry(waiting, 3)])
    assert sorted(await post.due(200_000)) == sorted([answered, late, asked]), (
        "an end leaves the index, by whoever sees it"
    )
    spoke = await post.begin()
    await post.add(spoke, 2, 600, Party.AGENT)
    await post.look(1_199)
    await post.look(1_201)
    await until(lambda: seen(observer, spoke), "a warning that counts from what the agent said")
    assert not any(seen(observer, c) for c in (answered, waiting, late, over, asked))


async def test_who_stays_has_all_the_time_again(post: Post, observer: EventObserver) -> None:
    chat = await post.begin()
    await post.look(600)
    await post.look(780)
    assert await post.store.stay(chat, OPENED_AT + timedelta(seconds=890))
    await post.look(900)
    await post.look(1_489)
    assert await post.due(1_489) == []
    await post.look(1_491)
    anew = (1, OPENED_AT + timedelta(seconds=1_790))
    await until(
        lambda: anew in ((f.warning, f.closes_at) for f in observer.seen if isinstance(f, CitizenSilent)), "anew"
    )
    assert CloseReason.INACTIVE not in seen(observer, chat)
    assert not await post.store.stay(new_id(), OPENED_AT), "nobody there"


async def test_a_replica_that_dies_between_publishing_and_marking_loses_nothing(
    post: Post, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await post.begin()
    victim, other = post.replicas
    marking = asyncio.Event()

    async def never(*_: object) -> bool:
        marking.set()
        await asyncio.Event().wait()
        return False

    steps: list[tuple[float, int | CloseReason]] = [(600.0, 1), (780.0, 2), (900.0, CloseReason.INACTIVE)]
    for step, (after, published) in enumerate(steps):
        post.now = OPENED_AT + timedelta(seconds=after)
        marking.clear()
        with monkeypatch.context() as patch:
            patch.setattr(victim.store, "set_next_check", never)
            dying = asyncio.create_task(victim.check_due())
            await until(lambda: marking.is_set() or dying.done(), "the mark")  # noqa: B023
            assert marking.is_set(), "it is told before it is marked"
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
        assert await post.due(after) == [chat], "still marked"
        await other.check_due()
        assert await post.due(after) == []
        await until(lambda: seen(observer, chat).count(published) == 2, f"step {step} told twice")  # noqa: B023
        if published == 2:
            await look_on(post, 785, 899)
            observer.seen.clear()


async def look_on(post: Post, begin: int, end: int) -> None:
    """Looks every five seconds, as while a warning holds."""
    for after in range(begin, end, 5):
        await post.look(after)


async def test_nothing_is_published_that_another_replica_has_marked_later(post: Post, observer: EventObserver) -> None:
    """A new agent while a look is under way: the look's mark does not take the new time away."""
    chat = await post.begin()
    (seen,) = await post.store.due_chats(OPENED_AT + timedelta(seconds=700), 10)
    anew = OPENED_AT + timedelta(seconds=1_300)
    await post.store.note_states([(chat, 4, "bert")], {chat: anew})
    assert not await post.store.set_next_check(seen, OPENED_AT + timedelta(seconds=605), None)
    assert not await post.store.set_next_check(seen, None, None)
    assert await post.due(1_299) == []
    assert await post.due(1_301) == [chat]


async def test_who_cannot_store_does_not_judge(post: Post, observer: EventObserver) -> None:
    chat = await post.begin()
    post.is_well = False
    await post.look(5_000)
    assert await post.due(5_000) == [chat]
    post.is_well = True
    await post.look(5_000)
    await until(lambda: seen(observer, chat), "the first warning")
    assert set(seen(observer, chat)) == {1}, "not closed unwarned"


class Time:
    """The time that a service sees: after each look it goes on by a step, up to where the test lets it come.

    `unlooked`: also when the service does not look, because something waits in the queue.
    """

    def __init__(self) -> None:
        self.began = self.now = self.end = utcnow()
        self.step, self.unlooked = timedelta(seconds=10), False

    def go_on(self) -> None:
        self.now = min(self.now + self.step, self.end)

    async def pass_until(self, seconds: float) -> None:
        """It is so many seconds after the beginning, and the looks of before are over."""
        self.end = self.began + timedelta(seconds=seconds)
        await until(lambda: self.now == self.end, "the looks")


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time that services see from now on. They look again at once."""
    made, real = Time(), InactivityTimers.check_due

    async def check_due(self: InactivityTimers) -> None:
        looks = made.unlooked or await self.well()
        await real(self)
        if looks:
            made.go_on()

    monkeypatch.setattr(InactivityTimers, "check_due", check_due)
    monkeypatch.setattr(timer_loop, "CHECK_EVERY", 0.01)
    monkeypatch.setattr(writer, "utcnow", lambda: made.now)
    return made


async def test_the_whole_service_warns_handles_an_answer_and_ends(
    observer: EventObserver, vhost_url: str, make_settings: Callable[..., Settings], store: Store, passing: Time
) -> None:
    """With a limit of 90 s the warnings come 30 s and 12 s before the end."""
    chat = new_id()
    app = create_app(make_settings(rabbitmq_url=vhost_url, silence_limit=90))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(opened(app))
        before = counted()
        await observer.put(opened_event(chat, None), state(chat, 1, Cause.ASSIGNED, agent="bert"))
        await until(lambda: len(observer.stored(chat)) == 2, "the agent")
        await passing.pass_until(65)
        await until(lambda: seen(observer, chat), "a warning")
        first = next(f for f in observer.seen if isinstance(f, CitizenSilent))
        await observer.put(CitizenStayed(chat_id=chat))
        await until(lambda: since_then(before).get("stayed") == 1, "the citizen to stay")
        await passing.pass_until(65 + 80)
        await observer.caught_up()
        assert CloseReason.INACTIVE not in seen(observer, chat), "the time is counted anew"
        await passing.pass_until(65 + 100)
        await until(lambda: CloseReason.INACTIVE in seen(observer, chat), "the end")
        warned = [f for f in observer.seen if isinstance(f, CitizenSilent)]
        assert warned[-1].since > first.since, "the time was counted anew"
        assert since_then(before)["stayed"] == 1
        await observer.put(state(chat, 2, Cause.CLOSED, reason=CloseReason.INACTIVE))
        await until(lambda: len(observer.stored(chat)) == 3, "the seal")
        await until_left(store)


async def test_no_chat_is_closed_while_an_answer_waits_in_the_queue(
    observer: EventObserver,
    vhost_url: str,
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    passing: Time,
) -> None:
    monkeypatch.setattr(subscription, "PREFETCH", 1)
    chat, other, slow, real = new_id(), new_id(), asyncio.Event(), Recorder.record

    async def record(self: Recorder, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        if any(isinstance(h.event, MessagePosted) for h in batch):
            await slow.wait()
        return await real(self, batch)

    monkeypatch.setattr(Recorder, "record", record)
    app = create_app(make_settings(rabbitmq_url=vhost_url, silence_limit=90))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(opened(app))
        await observer.put(opened_event(chat, None), state(chat, 1, Cause.ASSIGNED, agent="bert"))
        await until(lambda: len(observer.stored(chat)) == 2, "the agent")
        await observer.put(
            opened_event(other, None), posted(other), posted(chat)
        )  # theirs stands behind another one, for longer than the limit
        passing.unlooked, passing.step = True, timedelta(seconds=25)
        await passing.pass_until(200)
        await observer.caught_up()
        assert not seen(observer, chat)
        slow.set()
        await until(lambda: len(observer.stored(chat)) == 3, "their answer")
        await observer.caught_up()
        assert CloseReason.INACTIVE not in seen(observer, chat)


async def until_left(store: Store) -> None:
    """Returns when no chat is looked at any more."""
    async with asyncio.timeout(PATIENCE):
        while await store.due_chats(datetime.max.replace(tzinfo=OPENED_AT.tzinfo, microsecond=0), 1):
            await asyncio.sleep(0.02)
