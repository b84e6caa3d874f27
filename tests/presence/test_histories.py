"""Presence as a whole against a plain model: slots, the choice of agents, queues and buttons, through random histories.

The real stores, rules, claims and handlers take thousands of steps on a database in memory (memory.py), and some
hundreds on the real one. The model says after each step what must be there: who is there, who has which slots, who
is in the queue, the colours. In bursts, in which replicas race, only the invariants are known beforehand.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.common.config.opening_hours import parse_hours
from services.common.events.agents import StateRequested, WrapUpDone, WrapUpEnded
from services.common.events.chats import AcceptOverdue, ChatState, QueueChanged
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlaceReleased, PlaceWanted
from services.common.events.types import AgentState, Cause, ChatStatus, ReleaseReason
from services.common.internal_api.presence import Held, HoldQuery
from services.common.messaging.publisher import Publisher
from services.common.mongo.client import Database, open_database
from services.presence import repairs
from services.presence.agents import store
from services.presence.agents.transitions import go_offline, go_online
from services.presence.button import queue_store, updater
from services.presence.button import store as button_store
from services.presence.consumers import Handlers
from services.presence.context import Context
from services.presence.opening_hours import Schedule
from services.presence.settings import PresenceSettings
from services.presence.slots.allocator import Allocator, reserve
from services.presence.stores import Stores
from tests.presence import memory
from tests.presence.conftest import SECRET, account
from tests.presence.memory import Memory

T = TypeVar("T")
F = TypeVar("F", bound=Event)
BRUSSELS = ZoneInfo("Europe/Brussels")
SCHEDULES = {"algemeen": Schedule(parse_hours("Mon-Fri 09:00-17:00"), BRUSSELS), "premies": Schedule(None, BRUSSELS)}
ACCOUNTS = [
    account("an", capacity=1),
    account("bert", capacity=2, locales=("nl", "fr")),
    account("carla", "algemeen", "premies", capacity=2, locales=("fr",)),
    account("dirk", "premies", capacity=1),
]
IDS = [a.id for a in ACCOUNTS]
LONGEST = 3
WRAP_UP = 4.0  # seconds, in one of the departments
START = datetime(2026, 11, 23, 16, 59, 30, tzinfo=BRUSSELS)

agents = st.sampled_from(IDS)
chats = st.sampled_from(["c1", "c2", "c3", "c4", "c5", "c6"])
turns = st.integers(1, 3)
departments = st.sampled_from(["algemeen", "premies"])
locales = st.sampled_from(["nl", "fr"])


@dataclass
class Slot:
    turn: int
    held: bool = False
    leaving: bool = False
    confirmed: bool = False
    wraps_until: datetime | None = None


@dataclass
class Member:
    """An agent of the model."""

    capacity: int
    departments: tuple[str, ...]
    locales: tuple[str, ...]
    idle_since: datetime
    online: bool = False
    available: bool = True
    slots: dict[str, Slot] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.capacity - len(self.slots)

    @property
    def serves(self) -> bool:
        return self.online and self.available


@dataclass
class QueueState:
    revision: int = 0
    order: list[str] = field(default_factory=list)
    raced: dict[str, datetime] = field(default_factory=dict)


class RecordingPublisher(Publisher):
    """What was published, instead of a broker."""

    def __init__(self) -> None:
        super().__init__("", "presence")
        self.events: list[Event] = []

    async def publish(self, event: Event, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as it is declared
        self.events.append(event)

    def take(self, kind: type[F]) -> list[F]:
        found = [f for f in self.events if isinstance(f, kind)]
        self.events.clear()
        return found


class History(RuleBasedStateMachine):
    """Random histories of one presence on a database in memory."""

    db: Database

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = START
        self.published = RecordingPublisher()
        self.members = {a.id: Member(a.capacity, a.departments, a.locales, START) for a in ACCOUNTS}
        self.lines = {d: QueueState() for d in SCHEDULES}

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    async def open(self, seed: int) -> Database:
        return cast(Database, Memory(seed))

    def close(self) -> None:
        pass

    def teardown(self) -> None:
        self.close()
        self.loop.close()

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.run(self._begin(seed))
        self.all_are_there()

    async def _begin(self, seed: int) -> None:
        self.db = await self.open(seed)
        self.stores = Stores(self.db)
        await self.stores.agents.put_accounts(ACCOUNTS, self.now)
        await self.stores.buttons.create(SCHEDULES)
        await self.stores.queues.create(SCHEDULES)
        self.replicas = [self._replica(), self._replica()]
        self.context, self.allocator = self.replicas[0]
        self.handlers = Handlers(self.context, self.allocator, {"algemeen": WRAP_UP})

    def _replica(self) -> tuple[Context, Allocator]:
        context = Context(self.stores, self.published, lambda departments: None, lambda: self.now)
        return context, Allocator(context, SCHEDULES, dict.fromkeys(SCHEDULES, LONGEST))

    # ── the model's own rules, said plainly ──────────────────────────────────────────────────────────────────────

    def is_open(self, department: str) -> bool:
        wall = self.now.astimezone(BRUSSELS)
        return department == "premies" or (wall.weekday() < 5 and 9 <= wall.hour < 17)

    def crew(self, department: str) -> list[Member]:
        return [m for m in self.members.values() if m.serves and department in m.departments]

    def free(self, department: str) -> int:
        return sum(max(m.free, 0) for m in self.crew(department))

    def reason(self, department: str, ahead: int) -> str:
        if not self.is_open(department):
            return "closed"
        if not self.crew(department):
            return "no_agents"
        return "available" if self.free(department) > ahead else "busy"

    def raced(self, department: str) -> set[str]:
        since = self.now - timedelta(seconds=queue_store.RACED)
        return {chat for chat, at in self.lines[department].raced.items() if at > since}

    def holders(self, chat: str, turn: int) -> list[str]:
        found = [(i, m.slots[chat]) for i, m in self.members.items() if chat in m.slots]
        return sorted(i for i, s in found if s.turn == turn and not s.leaving and not s.wraps_until)

    def is_overtaken(self, chat: str, turn: int) -> bool:
        slots = [m.slots[chat] for m in self.members.values() if chat in m.slots]
        return any(slot.turn > turn and not slot.wraps_until for slot in slots)

    def best(self, chat: str, department: str, locale: str, named: str | None = None) -> str | None:
        able = [
            (locale not in m.locales, len(m.slots), m.idle_since, i)
            for i, m in self.members.items()
            if m.serves and m.free > 0 and chat not in m.slots
            if (i == named if named else department in m.departments)
        ]
        return min(able)[3] if able else None

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 3, 8, 16 * 3600]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(who=agents)
    def comes(self, who: str) -> None:
        agent = self.run(self.stores.agents.agent(who))
        assert agent is not None
        came = self.run(go_online(self.context, agent))
        member = self.members[who]
        assert came is not member.online
        if came:
            member.online, member.idle_since = True, self.now

    @rule()
    def all_are_there(self) -> None:
        """The morning of a good day, now and then: or there would hardly ever be anyone to choose from."""
        for who in IDS:
            self.comes(who)
            self.pauses_or_resumes(who, True)
            self.now += timedelta(seconds=0.001)
        for chat in {c for m in self.members.values() for c in m.slots}:
            self.handles_a_chat(chat, ChatStatus.CLOSED, 1, IDS[0])
            for who in IDS:
                self.has_wrapped_up(who, chat)

    @rule(who=agents, reason=st.sampled_from([ReleaseReason.AGENT_GONE, ReleaseReason.LOGGED_OUT]))
    def goes(self, who: str, reason: ReleaseReason) -> None:
        agent = self.run(self.stores.agents.agent(who))
        assert agent is not None
        self.published.events.clear()
        assert self.run(go_offline(self.context, agent, reason))
        member = self.members[who]
        member.online = False
        for chat, slot in [*member.slots.items()]:
            if slot.wraps_until is None:
                slot.leaving = True
            elif reason is ReleaseReason.LOGGED_OUT or slot.wraps_until <= self.now:
                self.is_free_of(member, chat)
        published = self.published.take(PlaceReleased)
        slots = {(c, s.turn) for c, s in member.slots.items() if not s.wraps_until}
        assert {(f.chat_id, f.turn) for f in published} == slots

    def is_free_of(self, member: Member, chat: str) -> None:
        del member.slots[chat]
        member.idle_since = self.now

    @rule(who=agents, available=st.booleans())
    def pauses_or_resumes(self, who: str, available: bool) -> None:
        state = AgentState.AVAILABLE if available else AgentState.PAUSED
        self.run(self.handlers.state_requested(StateRequested(agent_id=who, state=state)))
        if available and not self.members[who].available:
            self.members[who].idle_since = self.now
        self.members[who].available = available

    @rule(who=agents)
    def does_not_accept(self, who: str) -> None:
        event = AcceptOverdue(chat_id=str(uuid.uuid4()), turn=1, agent_id=who)
        for _ in range(2):
            self.run(self.handlers.accept_overdue(event))
        self.members[who].available = False

    @rule(who=agents, capacity=st.integers(1, 3))
    def has_another_capacity(self, who: str, capacity: int) -> None:
        self.members[who].capacity = capacity
        wanted = [a.model_copy(update={"capacity": self.members[a.id].capacity}) for a in ACCOUNTS]
        assert self.run(self.stores.agents.put_accounts(wanted, self.now)) == []

    @rule(chat=chats, department=departments, locale=locales)
    def presses(self, chat: str, department: str, locale: str) -> None:
        query = HoldQuery(chat_id=chat, department=department, locale=locale)
        answer = self.run(reserve(self.allocator, query))
        if again := self.holders(chat, 1):
            assert answer.hold is not None
            assert answer.hold.agent_id == again[0]
        elif self.is_overtaken(chat, 1):
            assert answer == Held(may_wait=True)
        else:
            self._answered(answer, chat, department, locale)
        assert self.published.take(PlaceClaimed) == []

    def _answered(self, answer: Held, chat: str, department: str, locale: str) -> None:
        line, raced = self.lines[department], self.raced(department)
        reason = self.reason(department, len(line.order) + len(raced - {chat}))
        best = self.best(chat, department, locale)
        if reason == "available" and best:
            assert answer.hold is not None
            assert answer.hold.agent_id == best
            self.members[best].slots[chat] = Slot(1, held=True)
            return
        assert answer.hold is None
        assert answer.reason.value == ("busy" if reason == "available" else reason)
        may_wait = reason in ("busy", "available") and (chat in raced or len(line.order) + len(raced) < LONGEST)
        assert answer.may_wait is may_wait
        if may_wait:
            line.raced = {c: line.raced[c] for c in raced}
            line.raced.setdefault(chat, self.now)

    @rule(chat=chats, turn=turns, department=departments, locale=locales, named=st.none() | agents)
    def wants(self, chat: str, turn: int, department: str, locale: str, named: str | None) -> None:
        event = PlaceWanted(chat_id=chat, turn=turn, department=department, locale=locale, agent_id=named)
        self.published.events.clear()
        self.run(self.handlers.place_wanted(event))
        expected = self.holders(chat, turn)
        if not expected and not self.is_overtaken(chat, turn):
            best = self.best(chat, department, locale, named)
            if best:
                self.members[best].slots[chat] = Slot(turn)
                expected = [best]
        published = self.published.take(PlaceClaimed)
        assert sorted(f.agent_id for f in published) == expected
        assert all((f.chat_id, f.turn) == (chat, turn) and f.choice for f in published)

    @rule(chat=chats, status=st.sampled_from(ChatStatus), turn=turns, who=agents)
    def handles_a_chat(self, chat: str, status: ChatStatus, turn: int, who: str) -> None:
        """Of any age: nothing says that this state is the chat's last one."""
        assigned = status is ChatStatus.ASSIGNED
        agent = who if assigned else None
        event = ChatState(
            chat_id=chat,
            v=1,
            state=status,
            turn=turn,
            department="algemeen",
            cause=Cause.ASSIGNED,
            agent_id=agent,
            at=self.now,
        )
        self.published.events.clear()
        for _ in range(2):
            self.run(self.handlers.chat_state(event))
        right = False
        for i, member in self.members.items():
            slot = member.slots.get(chat)
            if slot is None or slot.wraps_until:
                continue
            if status is ChatStatus.CLOSED or slot.turn < turn or (slot.turn == turn and assigned and i != who):
                del member.slots[chat]
                member.idle_since = self.now
            elif assigned and slot.turn == turn:
                slot.confirmed = right = True
        published = {(f.agent_id, f.turn, f.reason) for f in self.published.take(PlaceReleased)}
        assert published == ({(who, turn, ReleaseReason.NO_SLOT)} if assigned and not right else set())

    @rule(chat=chats, turn=turns, who=agents, accepted=st.booleans())
    def handles_an_end(self, chat: str, turn: int, who: str, accepted: bool) -> None:
        """Of a chat that this agent had: the slot is one of a wrap-up, unless it is another one than the event says."""
        event = ChatState(
            chat_id=chat,
            v=1,
            state=ChatStatus.CLOSED,
            turn=turn,
            department="algemeen",
            cause=Cause.CLOSED,
            agent_id=who,
            accepted=accepted,
            at=self.now,
        )
        for _ in range(2):
            self.run(self.handlers.chat_state(event))
        for i, member in self.members.items():
            slot = member.slots.get(chat)
            if slot is None or slot.wraps_until:
                continue
            if accepted and i == who and slot.turn == turn and not slot.leaving:
                slot.held, slot.confirmed, slot.wraps_until = True, False, self.now + timedelta(seconds=WRAP_UP)
            else:
                self.is_free_of(member, chat)

    @rule(who=agents, chat=chats)
    def has_wrapped_up(self, who: str, chat: str) -> None:
        self.published.events.clear()
        for _ in range(2):
            self.run(self.handlers.wrap_up_done(WrapUpDone(agent_id=who, chat_id=chat)))
        slot = self.members[who].slots.get(chat)
        wrapped = slot is not None and slot.wraps_until is not None
        if wrapped:
            self.is_free_of(self.members[who], chat)
        assert [ended.chat_id for ended in self.published.take(WrapUpEnded)] == ([chat] if wrapped else [])

    @rule()
    def wrap_ups_are_over(self) -> None:
        self.published.events.clear()
        for context, _ in self.replicas:
            self.run(repairs.end_in_time(context))
        over = []
        for member in self.members.values():
            for chat, slot in [*member.slots.items()]:
                if slot.wraps_until and slot.wraps_until <= self.now:
                    self.is_free_of(member, chat)
                    over.append(chat)
        assert sorted(ended.chat_id for ended in self.published.take(WrapUpEnded)) == sorted(over)

    @rule(department=departments, order=st.lists(chats, unique=True, max_size=4), newer=st.integers(-2, 2))
    def handles_a_queue(self, department: str, order: list[str], newer: int) -> None:
        line = self.lines[department]
        revision = line.revision + newer
        self.run(self.handlers.queue_changed(QueueChanged(department=department, revision=revision, order=order)))
        if newer > 0:
            line.revision, line.order = revision, order
            line.raced = {c: at for c, at in line.raced.items() if c not in order}

    @rule()
    def repair_jobs(self) -> None:
        """Whatever is published twice, the slots stay as they are; what is published is true."""
        self.published.events.clear()
        for repair_job in (repairs.publish_leaving, repairs.publish_unconfirmed, repairs.publish_reserved):
            self.run(repair_job(self.context, age=0))
        claimed = {(f.agent_id, f.chat_id, f.turn) for f in self.published.events if isinstance(f, PlaceClaimed)}
        released = {(f.agent_id, f.chat_id, f.turn) for f in self.published.take(PlaceReleased)}
        slots = [(i, c, s) for i, m in self.members.items() for c, s in m.slots.items() if not s.wraps_until]
        assert released == {(i, c, s.turn) for i, c, s in slots if s.leaving}
        assert claimed == {(i, c, s.turn) for i, c, s in slots if not s.confirmed and (s.held or not s.leaving)}
        self.run(repairs.remind(self.context))
        reminded = {(f.agent_id, f.chat_id, f.turn) for f in self.published.take(PlaceClaimed)}
        assert reminded == {(i, c, s.turn) for i, c, s in slots if not s.leaving and (s.confirmed or not s.held)}

    @rule(
        asked=st.lists(st.tuples(chats, departments, st.booleans()), min_size=2, max_size=8),
        who=agents,
        goes=st.booleans(),
    )
    def many_at_once(self, asked: list[tuple[str, str, bool]], who: str, goes: bool) -> None:
        """Presses and wishes at two replicas at once, while an agent comes or goes."""
        self.run(self._burst(asked, who, goes))

    async def _burst(self, asked: list[tuple[str, str, bool]], who: str, goes: bool) -> None:
        before = {d: self.free(d) - len(line.order) for d, line in self.lines.items()}
        work: list[Awaitable[object]] = []
        for n, (chat, department, press) in enumerate(asked):
            context, allocator = self.replicas[n % 2]
            if press:
                work.append(reserve(allocator, HoldQuery(chat_id=chat, department=department)))
            else:
                work.append(
                    Handlers(context, allocator).place_wanted(PlaceWanted(chat_id=chat, turn=1, department=department))
                )
        agent = await self.stores.agents.agent(who)
        assert agent is not None
        moves = not goes or agent.online
        if moves:
            work.append(
                go_offline(self.context, agent, ReleaseReason.AGENT_GONE) if goes else go_online(self.context, agent)
            )
        answers = await asyncio.gather(*work)
        pressed = {c for c, _, press in asked if press} - {c for c, _, press in asked if not press}
        old = {(c, s.turn) for m in self.members.values() for c, s in m.slots.items()}
        await self._look_again()
        self._held_once(pressed, {c for c, _ in old})
        if all(press for *_, press in asked) and not moves:
            for department in {d for _, d, _ in asked}:
                new = [
                    c
                    for m in self.members.values()
                    if department in m.departments
                    for c, s in m.slots.items()
                    if (c, s.turn) not in old
                ]
                assert len(new) <= max(0, before[department]) or len({d for _, d, _ in asked}) > 1
        if moves and not goes and not agent.online:
            assert self.members[who].online
        assert len(answers) == len(work)

    def _held_once(self, pressed: set[str], old: set[str]) -> None:
        for chat in pressed - old:
            assert len(self.holders(chat, 1)) <= 1

    async def _look_again(self) -> None:
        """After a race the model goes on from what is there: the invariants say whether that may be."""
        for doc in await self.db["agents"].find({}).to_list(None):
            member = self.members[doc["_id"]]
            assert len(doc["seats"]) <= max(doc["capacity"], len(member.slots))
            member.online, member.idle_since = doc["online"], doc["idle_since"]
            member.slots = {s["chat_id"]: slot_of(s) for s in doc["seats"]}
        for doc in await self.db["queues"].find({}).to_list(None):
            self.lines[doc["_id"]].raced = {r["chat_id"]: r["at"] for r in doc.get("raced", [])}
        self.published.events.clear()

    # ── what must be there after each step ───────────────────────────────────────────────────────────────────────

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        if hasattr(self, "db"):
            self.run(self._compare())

    async def _compare(self) -> None:
        for doc in await self.db["agents"].find({}).to_list(None):
            member, there = self.members[doc["_id"]], doc["seats"]
            assert doc["free"] == doc["capacity"] - len(there) == member.free
            assert len({s["chat_id"] for s in there}) == len(there)
            assert (doc["online"], doc["state"] == "available") == (member.online, member.available)
            assert member.online or all(s["leaving"] or s.get("wrap_up") for s in there)
            assert {s["chat_id"]: slot_of(s) for s in there} == member.slots
        await updater.evaluate(self.stores, SCHEDULES, lambda: self.now)
        for doc in await self.db["buttons"].find({}).to_list(None):
            department = doc["_id"]
            ahead = len(self.lines[department].order)
            assert doc["reason"] == self.reason(department, ahead)
            assert (doc["colour"] == "green") == (self.is_open(department) and self.free(department) - ahead > 0)
            assert doc["free"] == self.free(department)
            assert doc["places"] == sum(m.capacity for m in self.crew(department))


def slot_of(seat: dict[str, Any]) -> Slot:
    """Return what the model has of a slot in the database."""
    until = seat["until"] if seat.get("wrap_up") else None
    return Slot(seat["turn"], seat["held"], seat["leaving"] is not None, seat["confirmed"], until)


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Thousands of steps would fill the report with thousands of lines."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def steps(examples: int, each: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=each,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_thousands_of_steps_end_as_a_plain_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (store, button_store, queue_store):
        monkeypatch.setattr(module, "UpdateOne", memory.UpdateOne)
    run_state_machine_as_test(History, settings=steps(80, 50))


def test_the_real_database_does_the_same(mongodb_url: str, mongodb_prefix: str) -> None:
    with_settings = PresenceSettings(mongodb_url=mongodb_url, mongodb_prefix=mongodb_prefix, token_secret=SECRET)
    opened: list[Callable[[], None]] = []

    class Real(History):
        async def open(self, seed: int) -> Database:
            database = open_database(with_settings, "presence")
            opened.append(database.client.close)
            for name in ("agents", "buttons", "queues"):
                await database[name].delete_many({})
            return database

        def close(self) -> None:
            while opened:
                opened.pop()()

    run_state_machine_as_test(Real, settings=steps(8, 40))
