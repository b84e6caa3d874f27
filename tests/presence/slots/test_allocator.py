"""allocator.py on the real database: presses and wishes at once, two replicas, never past the line."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import pytest

from services.common.events.types import AgentState, ButtonReason, Choice, ChoiceRule, ReleaseReason
from services.common.internal_api.presence import Held, HoldQuery, Reserved, ReserveQuery
from services.common.messaging.publisher import Publisher
from services.common.mongo.client import Database, open_database
from services.presence.agents.store import AgentStore
from services.presence.api.routes import HOLD_LIMIT
from services.presence.button import updater
from services.presence.context import Context
from services.presence.opening_hours import Schedule
from services.presence.settings import PresenceSettings
from services.presence.slots import allocator
from services.presence.slots.agent_selection import Ask, Candidate
from services.presence.slots.allocator import Allocator, Outcome, reserve, reserve_for_form
from services.presence.stores import Stores
from tests.presence.button.test_updater import OFFICE, clock_at
from tests.presence.conftest import account, counting_agents, there, waiting_chats
from tests.support.servers import PATIENCE

P = ParamSpec("P")
T = TypeVar("T")
ALWAYS = dict.fromkeys(("algemeen", "premies"), Schedule(None, ZoneInfo("Europe/Brussels")))
AN, BERT = account("an"), account("bert")
WIDE = account("wide", capacity=3, locales=("nl", "fr"))
LONGEST = 20
MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)  # no time passes: who was let in is forgotten after seconds


class Replica:
    """The claims of one process, without a broker: a reservation publishes nothing."""

    def __init__(
        self,
        stores: Stores,
        schedules: dict[str, Schedule] = ALWAYS,
        clock: Callable[[], datetime] = lambda: NOW,
        longest: int = LONGEST,
    ) -> None:
        self.woken = 0
        self.context = Context(stores, Publisher("amqp://127.0.0.1:1/", "presence"), self._wake, clock)
        self.allocator = Allocator(self.context, schedules, dict.fromkeys(schedules, longest))

    def _wake(self, departments: Iterable[str]) -> None:
        assert departments
        self.woken += 1

    async def hold(
        self, chat: str, locale: str = "nl", department: str = "algemeen", again: bool = False, green: bool = False
    ) -> Held:
        query = HoldQuery(chat_id=chat, department=department, locale=locale, again=again, green=green)
        return await reserve(self.allocator, query)

    async def form(self, chat: str, department: str = "algemeen") -> Reserved:
        """A form for this chat is opened."""
        return await reserve_for_form(self.allocator, ReserveQuery(chat_id=chat, department=department, seconds=60))


@pytest.fixture
async def one(stores: Stores) -> Replica:
    return Replica(stores)


@pytest.fixture
async def two(settings: PresenceSettings, stores: Stores) -> AsyncIterator[Replica]:
    """Another replica on the same database."""
    database = open_database(settings, "presence")
    yield Replica(Stores(database))
    database.client.close()


async def nothing() -> None:
    """What comes before and after the work, if the test does not say."""


def around(
    work: Callable[P, Awaitable[T]],
    before: Callable[[], Awaitable[object]] = nothing,
    after: Callable[[], Awaitable[object]] = nothing,
) -> Callable[P, Awaitable[T]]:
    """The same work, with something that the test does before or after it."""

    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        await before()
        result = await work(*args, **kwargs)
        await after()
        return result

    return wrapped


def chats(number: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(number)]


async def slots(stores: Stores) -> Counter[str]:
    """How many slots each chat has; every agent is checked to stay within their capacity."""
    found: Counter[str] = Counter()
    for agent in await stores.agents.colleagues(None, None):
        assert len(agent.slots) <= agent.capacity
        assert agent.free == agent.capacity - len(agent.slots)
        found.update(slot.chat_id for slot in agent.slots)
    return found


async def test_a_press_reserves_a_slot_and_a_repeat_gets_the_same_answer(one: Replica, two: Replica) -> None:
    await there(one.context.stores, AN, WIDE)
    first = await one.hold("c", "fr")
    assert first.hold is not None
    assert (first.hold.agent_id, first.hold.agent_name) == (WIDE.id, "Wide")
    assert first.hold.choice is not None
    assert (first.hold.choice.rule, first.hold.choice.speaks) == (ChoiceRule.LANGUAGE, True)
    assert await one.hold("c", "fr") == first == await two.hold("c", "fr")
    assert await slots(one.context.stores) == {"c": 1}
    assert one.woken == 1
    (agent,) = await one.context.stores.agents.holders("c")
    assert agent.slots[0].reserved


async def test_asked_again_a_press_finds_what_it_has_and_is_given_nothing_new(one: Replica, two: Replica) -> None:
    await there(one.context.stores, AN)
    assert await one.hold("c", again=True) == Held(reason=ButtonReason.BUSY), "the place is free, and stays so"
    assert await slots(one.context.stores) == {}
    first = await one.hold("c")
    assert first.hold is not None
    assert await two.hold("c", again=True) == first
    assert (await one.hold("late")).may_wait
    assert await two.hold("late", again=True) == Held(may_wait=True, reason=ButtonReason.BUSY)
    assert await two.hold("later", again=True) == Held(reason=ButtonReason.BUSY)


async def test_a_request_for_a_chat_with_a_reservation_finds_the_same_agent(one: Replica) -> None:
    await there(one.context.stores, AN, BERT)
    held = (await one.hold("c")).hold
    assert held is not None
    again = (await one.allocator.seek(Ask("c", 1, "algemeen"))).again
    assert [(agent.id, slot.choice) for agent, slot in again] == [(held.agent_id, held.choice)]


@pytest.mark.parametrize(
    ("waiting", "raced", "held", "may_wait"), [(0, 0, 1, 1), (1, 0, 0, 1), (0, 1, 0, 1), (20, 0, 0, 0), (19, 1, 0, 0)]
)
async def test_never_past_who_waits(one: Replica, waiting: int, raced: int, held: int, may_wait: int) -> None:
    """With one place free: a press gets it only when nobody waits, and joins the line only when that is short."""
    await there(one.context.stores, AN)
    await one.context.stores.queues.set_waiting("algemeen", 1, waiting_chats(waiting))
    line = (await one.context.stores.queues.read(ALWAYS, ["algemeen"], NOW))["algemeen"]
    assert await one.context.stores.queues.join("algemeen", line, [f"raced {n}" for n in range(raced)], 99, NOW)
    answer = await one.hold("c")
    assert bool(answer.hold) == held
    if not held:
        assert (answer.may_wait, answer.reason) == (bool(may_wait), ButtonReason.BUSY)
    assert await slots(one.context.stores) == ({"c": 1} if held else {})


async def test_an_admitted_citizen_gets_the_same_answer_and_a_slot_when_there_is_one(stores: Stores) -> None:
    one = Replica(stores, longest=1)
    await there(one.context.stores, AN)
    await one.hold("first")
    assert [(await one.hold("c")).may_wait for _ in range(3)] == [True] * 3
    assert not (await one.hold("late")).may_wait
    await one.context.stores.agents.drop(AN.id, "first", 1, NOW)
    assert (await one.hold("late")).hold is None  # that one would be past `c`
    assert (await one.hold("c")).hold is not None


async def test_an_admitted_citizen_who_has_been_served_is_before_nobody(stores: Stores) -> None:
    one = Replica(stores, longest=1)
    await there(stores, AN)
    await one.hold("first")
    assert (await one.hold("late")).may_wait
    await stores.agents.drop(AN.id, "first", 1, NOW)
    assert (await one.allocator.seek(Ask("late", 1, "algemeen"))).found
    assert (await one.hold("waits")).may_wait, "there is room in the queue again"
    await stores.agents.drop(AN.id, "late", 1, NOW)
    assert (await one.allocator.seek(Ask("waits", 1, "algemeen"))).found
    await stores.agents.drop(AN.id, "waits", 1, NOW)
    assert (await one.hold("next")).hold is not None


@pytest.mark.parametrize(
    ("hindrance", "reason"),
    [("offline", ButtonReason.NO_AGENTS), ("paused", ButtonReason.NO_AGENTS), ("closed", ButtonReason.CLOSED)],
)
async def test_no_slot_and_no_waiting_where_no_agent_serves(
    stores: Stores, hindrance: str, reason: ButtonReason
) -> None:
    await there(stores, AN)
    replica = Replica(stores, OFFICE, clock_at("2026-11-20T16:59:59.9"))
    if hindrance == "offline":
        (agent,) = await stores.agents.colleagues(None, None)
        await stores.agents.set_offline(AN.id, agent.v, ReleaseReason.AGENT_GONE, NOW)
    elif hindrance == "paused":
        await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "f", NOW)
    else:
        replica = Replica(stores, OFFICE, clock_at("2026-11-20T17:00"))
    answer = await replica.hold("c")
    assert answer == Held(reason=reason)
    assert await slots(stores) == {}


async def test_a_slot_is_reserved_until_the_last_moment_of_the_day(stores: Stores) -> None:
    await there(stores, AN)
    assert (await Replica(stores, OFFICE, clock_at("2026-11-20T16:59:59.999")).hold("c")).hold is not None


async def test_no_slot_once_another_replica_has_closed(stores: Stores) -> None:
    """Its clock is ahead of ours: the button is blue, and so are we."""
    await there(stores, AN)
    await updater.evaluate(stores, OFFICE, clock_at("2026-11-20T17:00"))
    assert (await Replica(stores, OFFICE, clock_at("2026-11-20T16:59:58")).hold("c")).reason is ButtonReason.CLOSED


async def test_an_unknown_department_has_no_slots(one: Replica) -> None:
    await there(one.context.stores, AN)
    assert await one.hold("c", department="nowhere") == Held(reason=ButtonReason.UNKNOWN)


async def test_a_chat_that_is_further_already_may_go_on(one: Replica) -> None:
    """The press was repeated much later: its chat had an agent, lost them and has another one."""
    await there(one.context.stores, AN)
    await one.context.stores.agents.reserve(AN.id, "c", 2, NOW)
    assert await one.hold("c") == Held(may_wait=True)


async def test_an_agent_who_is_leaving_the_chat_has_no_reservation(one: Replica) -> None:
    await there(one.context.stores, AN, BERT)
    held = (await one.hold("c")).hold
    assert held is not None
    gone = await one.context.stores.agents.agent(held.agent_id)
    assert gone is not None
    await one.context.stores.agents.set_offline(gone.id, gone.v, ReleaseReason.AGENT_GONE, NOW)
    again = (await one.hold("c")).hold
    assert again is not None
    assert again.agent_id != held.agent_id


async def test_asked_twice_at_once_both_replicas_answer_the_same_agent(one: Replica, two: Replica) -> None:
    """Many times, from both at once: one slot, one answer."""
    stores = one.context.stores
    await there(stores, *(account(f"agent{n}", capacity=2) for n in range(20)))
    for chat in chats(15):
        answers = await asyncio.gather(*(r.hold(chat) for r in (one, two, one, two)))
        assert len({a.hold.agent_id for a in answers if a.hold}) == 1
        assert all(a.hold for a in answers)
        assert (await slots(stores))[chat] == 1


@pytest.mark.parametrize("slow", [False, True])
async def test_of_two_claims_for_one_chat_only_one_stays(
    one: Replica, two: Replica, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    """Both have seen that nobody has the chat, and both have claimed, before either looks again.

    Both release, one of them slowly, after the other has its answer: that must not be the slot that is leaving.
    """
    stores = one.context.stores
    agents, drop, answered = stores.agents, AgentStore.withdraw, asyncio.Event()

    async def slowly(store: AgentStore, agent_id: str, chat_id: str, turn: int, now: datetime) -> bool:
        if slow and store is agents:
            await answered.wait()
        return await drop(store, agent_id, chat_id, turn, now)

    async def quickly() -> Held:
        answer = await two.hold("c")
        answered.set()
        return answer

    monkeypatch.setattr(AgentStore, "withdraw", slowly)
    await there(stores, AN, BERT, WIDE)
    claim, candidates, both = AgentStore.reserve, AgentStore.candidates, asyncio.Barrier(2)
    met: list[str] = []

    async def one_each(store: AgentStore, departments: Collection[str], ids: Collection[str] = ()) -> list[Candidate]:
        found = await candidates(store, departments, ids)
        return found if len(met) >= 2 else [c for c in found if c.id == (AN.id, BERT.id)[store is agents]]

    meeting = around(claim, before=both.wait, after=both.wait)

    async def together(
        store: AgentStore,
        agent_id: str,
        chat_id: str,
        turn: int,
        now: datetime,
        choice: Choice | None,
        held: bool,
        until: datetime | None,
    ) -> bool:
        met.append(agent_id)
        work = meeting if len(met) <= 2 else claim
        return await work(store, agent_id, chat_id, turn, now, choice, held, until)

    monkeypatch.setattr(AgentStore, "candidates", one_each)
    monkeypatch.setattr(AgentStore, "reserve", together)
    answers = await asyncio.gather(one.hold("c"), quickly())
    assert {a.hold.agent_id for a in answers if a.hold} == {h.id for h in await agents.holders("c")}
    assert await slots(stores) == {"c": 1}


async def test_a_slot_that_was_taken_past_the_queue_is_released(one: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another press took a slot between our read and our claim: now the last one is due to the chat that waits."""
    stores = one.context.stores
    await there(stores, WIDE)
    await stores.queues.set_waiting("algemeen", 1, waiting_chats(1))
    claim = AgentStore.reserve

    async def overtake() -> None:
        monkeypatch.setattr(AgentStore, "reserve", claim)
        for other in ("x", "y"):
            await claim(stores.agents, WIDE.id, other, 1, NOW)

    monkeypatch.setattr(AgentStore, "reserve", around(claim, before=overtake))
    answer = await one.hold("c")
    assert (answer.hold, answer.may_wait, answer.reason) == (None, True, ButtonReason.BUSY)
    assert await slots(stores) == {"x": 1, "y": 1}


async def test_a_request_that_was_given_up_takes_no_slot(one: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    await there(one.context.stores, WIDE)
    going = asyncio.Event()
    monkeypatch.setattr(AgentStore, "holders", around(AgentStore.holders, before=going.wait))
    first = asyncio.create_task(one.hold("a"))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await one.hold("late")
    going.set()
    assert (await first).hold is not None
    assert (await one.hold("b")).hold is not None
    assert await slots(one.context.stores) == {"a": 1, "b": 1}


async def given_up(press: Coroutine[None, None, Held], begun: asyncio.Event) -> None:
    """Let a press go on until `begun` is set; then nobody waits for it any more."""
    waiting = asyncio.create_task(press)
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_slot_whose_request_was_given_up_is_free_again(one: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway has given up while the claim was under way."""
    await there(one.context.stores, AN)
    begun, gone = asyncio.Event(), asyncio.Event()

    async def begin() -> None:
        begun.set()
        await gone.wait()

    monkeypatch.setattr(AgentStore, "reserve", around(AgentStore.reserve, before=begin))
    await given_up(one.hold("a"), begun)
    gone.set()
    assert (await one.hold("b")).hold is not None  # in the next round
    assert await slots(one.context.stores) == {"b": 1}


async def test_an_announced_slot_is_not_released(one: Replica, two: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """The press has given up, and before its slot is released the chat's request finds it: routing will get it."""
    await there(one.context.stores, AN)
    begun, over = asyncio.Event(), asyncio.Event()
    published: list[Outcome] = []

    async def linger() -> None:
        begun.set()
        await over.wait()

    async def overtake() -> None:
        published.append(await two.allocator.seek(Ask("c", 1, "algemeen")))

    monkeypatch.setattr(AgentStore, "reserve", around(AgentStore.reserve, after=linger))
    monkeypatch.setattr(AgentStore, "withdraw", around(AgentStore.withdraw, before=overtake))
    await given_up(one.hold("c"), begun)
    over.set()
    assert not (await one.hold("d")).hold  # in the next round
    assert [agent.id for agent, _ in published[0].again] == [AN.id]
    assert await slots(one.context.stores) == {"c": 1}


async def test_a_bad_moment_fails_only_those_who_asked_then(one: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    await there(one.context.stores, AN)
    holders = AgentStore.holders

    async def away(*_: object) -> object:
        monkeypatch.setattr(AgentStore, "holders", holders)
        raise ConnectionError

    monkeypatch.setattr(AgentStore, "holders", away)
    with pytest.raises(ConnectionError):
        await one.hold("a")
    assert (await one.hold("b")).hold is not None


async def test_two_hundred_presses_at_once_are_all_answered(one: Replica) -> None:
    """With sixty places: those are given, twenty may wait, the others are answered that all are busy."""
    await there(one.context.stores, *(account(f"agent{n}", capacity=3) for n in range(20)))
    answers = await asyncio.gather(*(one.hold(chat) for chat in chats(200)))
    assert sum(a.hold is not None for a in answers) == 60
    assert sum(a.may_wait for a in answers) == LONGEST
    assert set((await slots(one.context.stores)).values()) == {1}


async def test_a_thousand_presses_at_three_replicas_keep_to_the_capacity(
    stores: Stores, settings: PresenceSettings, request: pytest.FixtureRequest
) -> None:
    """Each chat is asked for twice, at two replicas. Looked at all the time, not only after."""
    staff = [account(f"agent{n}", capacity=4) for n in range(25)]
    await there(stores, *staff)
    databases = [open_database(settings, "presence") for _ in range(3)]
    for database in databases:
        request.addfinalizer(database.client.close)
    replicas = [Replica(Stores(database)) for database in databases]
    asked = chats(500)
    done, most = asyncio.Event(), Counter[int]()

    async def watch() -> None:
        while not done.is_set():
            most.update([max((await slots(stores)).values(), default=0)])
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*(replicas[(n + k) % 3].hold(c) for n, c in enumerate(asked) for k in (0, 1)))
    done.set()
    await watching
    assert most
    by_chat: dict[str, set[str]] = {}
    for chat, answer in zip((c for c in asked for _ in (0, 1)), answers, strict=True):
        if answer.hold:
            by_chat.setdefault(chat, set()).add(answer.hold.agent_id)
    held = await slots(stores)
    assert set(held.values()) == {1}
    let_in = (await stores.queues.read(ALWAYS, ["algemeen"], NOW))["algemeen"].raced
    assert len(let_in) <= LONGEST
    assert 100 - len(let_in) <= sum(held.values()) <= 100  # a place that was given back is for those who wait now
    for chat, agents in by_chat.items():  # both asked at the same moment: see above for the answer being the same
        assert {h.id for h in await stores.agents.holders(chat)} <= agents


def test_the_limits_leave_time_for_the_answer() -> None:
    """A press that must give its place back again and again is answered before the gateway gives up."""
    worst = allocator.TRIES * allocator.APART[1]
    assert worst < HOLD_LIMIT


async def test_a_press_reads_as_many_agents_however_many_other_departments_have(
    settings: PresenceSettings, db: Database, stores: Stores
) -> None:
    """Its agents, and the one who has its chat; the button's evaluation that follows it reads no others either."""
    await there(stores, account("an", capacity=9), account("bert", capacity=9))
    costs = []
    with counting_agents(settings, db) as (counted_stores, returned):
        counted = Replica(counted_stores)
        for others in (0, 300):
            accounts = [account(f"other{n}", "premies") for n in range(others)]
            await stores.agents.put_accounts([account("an", capacity=9), account("bert", capacity=9), *accounts], NOW)
            await db["agents"].update_many({}, {"$set": {"online": True}})
            before = returned.documents
            assert (await counted.hold(str(uuid.uuid4()))).hold
            await updater.evaluate(counted.context.stores, ALWAYS, lambda: NOW, ["algemeen"])
            costs.append(returned.documents - before)
    assert costs[0] == costs[1] <= 6


async def test_an_open_form_has_a_slot_that_its_chat_takes_over(one: Replica, two: Replica) -> None:
    await there(one.context.stores, AN)
    assert (await one.form("c")).seconds == 60
    assert (await two.form("c")).seconds == 60, "the same form"
    assert await slots(one.context.stores) == {"c": 1}
    (agent,) = await one.context.stores.agents.holders("c")
    assert (agent.slots[0].form, agent.slots[0].reserved, agent.slots[0].until) == (True, False, NOW + MINUTE)
    assert await two.form("d") == Reserved(reason=ButtonReason.BUSY)
    assert not (await two.hold("d", again=True)).may_wait, "an open form does not wait"
    held = await two.hold("c", again=True)
    assert held.hold is not None
    assert held.hold.agent_id == AN.id
    (agent,) = await one.context.stores.agents.holders("c")
    assert (agent.slots[0].form, agent.slots[0].reserved) == (False, True)
    assert await one.context.stores.agents.release_form("c", NOW) == [], "the chat has it now"
    assert await slots(one.context.stores) == {"c": 1}


async def test_an_open_form_is_never_before_who_waits(one: Replica) -> None:
    await there(one.context.stores, AN)
    await one.context.stores.queues.set_waiting("algemeen", 1, waiting_chats(1))
    assert await one.form("c") == Reserved(reason=ButtonReason.BUSY)
    assert await slots(one.context.stores) == {}


async def test_a_slot_of_a_form_is_renewed_for_ten_minutes_in_all_and_lapses(one: Replica) -> None:
    await there(one.context.stores, AN)
    agents, renewed = one.context.stores.agents, []
    await one.form("c")
    for times in range(1, 13):
        now = NOW + times * timedelta(seconds=50)
        renewed.append(round(await agents.renew("c", now, 60, 600)))
    assert renewed == [60] * 10 + [50, 0]
    assert await agents.renew("other", NOW, 60, 600) == 0
    assert await agents.release_form("c", NOW, lapsed_at=NOW + 10 * MINUTE - timedelta(seconds=1)) == []
    assert await agents.release_form("c", NOW, lapsed_at=NOW + 10 * MINUTE) == ["algemeen"]
    assert await slots(one.context.stores) == {}
    assert await agents.renew("c", NOW, 60, 600) == 0


@pytest.mark.parametrize("times", range(3))
async def test_a_chat_that_starts_while_its_form_lapses_has_its_slot_or_another_or_waits_for_it(
    one: Replica, two: Replica, times: int
) -> None:
    await there(one.context.stores, AN)
    await one.form("c")
    held, _ = await asyncio.gather(
        two.hold("c"), one.context.stores.agents.release_form("c", NOW, lapsed_at=NOW + MINUTE)
    )
    assert held.hold is not None or held.may_wait
    assert await slots(one.context.stores) == ({"c": 1} if held.hold else {})


async def test_a_press_on_green_waits_when_all_agents_have_just_paused(one: Replica) -> None:
    stores = one.context.stores
    await there(stores, AN)
    assert await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "e", NOW)
    assert await one.hold("a") == Held(reason=ButtonReason.NO_AGENTS), "a gateway before version 2.0"
    assert await one.hold("b", green=True) == Held(may_wait=True, reason=ButtonReason.BUSY)
    agent = await stores.agents.agent(AN.id)
    assert agent is not None
    assert await stores.agents.set_offline(AN.id, agent.v, ReleaseReason.AGENT_GONE, NOW)
    assert await one.hold("c", green=True) == Held(reason=ButtonReason.NO_AGENTS), "nobody is logged in"


async def test_a_press_on_green_that_comes_just_after_closing_time_is_served(stores: Stores) -> None:
    await there(stores, WIDE)
    for second, green, served in (("01", True, True), ("01", False, False), ("06", True, False)):
        replica = Replica(stores, OFFICE, clock_at(f"2026-11-20T17:00:{second}"))
        held = await replica.hold(f"{second} {green}", green=green)
        assert (held.hold is not None) is served, (second, green)
