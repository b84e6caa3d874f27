"""Routing's table beside a plain presence: events out of order, doubled or lost, crashes: it always ends right."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.common.events.chats import ChatOpened, ChatState, CitizenArrived, TransferRefused
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlaceReleased, PlaceWanted
from services.common.events.types import CloseReason
from tests.routing.world import AGENTS, CHATS, DEPARTMENTS, World

PLACES = tuple(DEPARTMENTS)
ENDS = (CloseReason.CITIZEN, CloseReason.AGENT, CloseReason.INACTIVE)


def play(world: World, random: Random) -> None:
    """One step of a random history."""
    chat, agent, n = random.choice(CHATS), random.choice(list(AGENTS)), random.randrange(1_000)
    acts = {
        lambda: world.deliver(n, keep=random.random() < 0.2, crash=random.random() < 0.05): 60,
        lambda: world.press(
            chat, random.choice(PLACES), random.random() < 0.7, random.random() < 0.1, random.random() < 0.1
        ): 9,
        lambda: world.close(chat, random.choice(ENDS), agent): 2,
        lambda: world.lose(n): 3,
        lambda: world.go(agent): 4,
        lambda: world.come(agent, random.random() > 0.2): 6,
        lambda: world.transfer(chat, random.choice([None, *PLACES]), random.choice([None, *AGENTS])): 4,
        lambda: world.refuse(chat): 4,
        lambda: world.accept(chat): 4,
        lambda: world.pass_time(random.choice([1, 6, 16, 31, 61])): 3,
        world.repair: 10,
    }
    random.choices(list(acts), list(acts.values()))[0]()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**64), steps=st.integers(5, 150))
def test_every_history_ends_right(seed: int, steps: int) -> None:
    world, random = World(), Random(seed)
    for _ in range(steps):
        play(world, random)
        assert all(a.free >= 0 for a in world.presence.agents.values())
    world.settle()
    assert world.faults() == []


class Model:
    """Who has which chat, by the table of the design alone: (state, turn, agent) of each."""

    def __init__(self) -> None:
        self.chats: dict[str, tuple[str, int, str | None]] = {}

    def receives(self, event: Event) -> None:
        chat = getattr(event, "chat_id", "")
        state, turn, agent = self.chats.get(chat, ("", 0, None))
        match event:
            case ChatOpened(held=held):
                if state == "":
                    state, turn = "waiting", 1
                if held and (state, turn) == ("waiting", 1):
                    state, agent = "assigned", held.agent_id
            case PlaceClaimed():
                if state == "" and event.turn > 1:
                    state, turn = "closed", event.turn
                elif (state, turn) == ("waiting", event.turn):
                    state, agent = "assigned", event.agent_id
            case PlaceReleased():
                if turn == event.turn and (state == "waiting" or (state == "assigned" and agent == event.agent_id)):
                    state, turn, agent = "waiting", turn + 1, None
        if state:
            self.chats[chat] = state, turn, agent


SIMPLE = (ChatOpened, PlaceClaimed, PlaceReleased)


class Assignment(RuleBasedStateMachine):
    """Acts in any order against the plain table, then everything comes to rest."""

    @initialize()
    def begin(self) -> None:
        self.world, self.model = World(), Model()
        self.turns: dict[str, tuple[int, int]] = {}

    @rule(
        chat=st.sampled_from(CHATS),
        department=st.sampled_from(PLACES),
        hold=st.booleans(),
        dies=st.sampled_from([False, False, False, True]),
        twice=st.sampled_from([False, False, False, True]),
    )
    def press(self, chat: str, department: str, hold: bool, dies: bool, twice: bool) -> None:
        self.world.press(chat, department, hold, dies, twice)

    @rule(n=st.integers(0, 50), keep=st.booleans(), crash=st.sampled_from([False, False, False, True]))
    def deliver(self, n: int, keep: bool, crash: bool) -> None:
        self._deliver(n, keep, crash)

    @rule(ns=st.lists(st.integers(0, 50), min_size=3, max_size=12))
    def deliver_many(self, ns: list[int]) -> None:
        for n in ns:
            self._deliver(n, False, False)

    def _deliver(self, n: int, keep: bool, crash: bool) -> None:
        if not self.world.bag:
            return
        event = self.world.bag[n % len(self.world.bag)]
        if isinstance(event, SIMPLE):
            self.learn(event.chat_id)
            self.model.receives(event)
        self.world.deliver(n, keep, crash)
        if isinstance(event, SIMPLE):
            assert self.seen(event.chat_id) == self.model.chats.get(event.chat_id, ("", 0, None))

    def seen(self, chat_id: str) -> tuple[str, int, str | None]:
        chat = self.world.chats.get(chat_id)
        if chat is None or chat.state is None:
            return "", 0, None
        return chat.state.value, chat.turn, chat.agent_id if chat.assigned else None

    def learn(self, chat_id: str) -> None:
        """What people and timers did since is taken over: the table of the model is about events of presence."""
        if self.seen(chat_id)[0]:
            self.model.chats[chat_id] = self.seen(chat_id)

    @rule(n=st.integers(0, 50))
    def lose(self, n: int) -> None:
        self.world.lose(n)

    @rule(chat=st.sampled_from(CHATS), by=st.sampled_from(ENDS), agent=st.sampled_from(list(AGENTS)))
    def close(self, chat: str, by: CloseReason, agent: str) -> None:
        self.world.close(chat, by, agent)

    @rule(
        chat=st.sampled_from(CHATS), department=st.sampled_from([None, *PLACES]), agent=st.sampled_from([None, *AGENTS])
    )
    def transfer(self, chat: str, department: str | None, agent: str | None) -> None:
        self.world.transfer(chat, department, agent)

    @rule(chat=st.sampled_from(CHATS))
    def refuse(self, chat: str) -> None:
        self.world.refuse(chat)

    @rule(chat=st.sampled_from(CHATS))
    def accept(self, chat: str) -> None:
        self.world.accept(chat)

    @rule(agent=st.sampled_from(list(AGENTS)))
    def go(self, agent: str) -> None:
        self.world.go(agent)

    @rule(agent=st.sampled_from(list(AGENTS)), available=st.booleans())
    def come(self, agent: str, available: bool) -> None:
        self.world.come(agent, available)

    @rule(seconds=st.sampled_from([1, 6, 16, 31, 61]))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule()
    def repair(self) -> None:
        self.world.repair()

    @invariant()
    def no_agent_has_more_than_their_capacity(self) -> None:
        assert all(a.free >= 0 for a in self.world.presence.agents.values())

    @invariant()
    def attempts_and_versions_only_grow_and_closed_is_final(self) -> None:
        for chat in self.world.chats.values():
            turn, v = self.turns.get(chat.id, (0, 0))
            assert chat.turn >= turn
            assert chat.v >= v
            self.turns[chat.id] = chat.turn, chat.v

    @invariant()
    def an_open_chat_is_in_one_queue_or_with_one_agent(self) -> None:
        for chat in self.world.chats.values():
            lines = [d for d in PLACES if chat in self.world.queue(d)]
            assert len(lines) + chat.assigned == (0 if chat.closed or chat.state is None else 1)
            assert (chat.agent_id is not None) == chat.assigned or chat.closed

    def teardown(self) -> None:
        self.world.settle()
        assert self.world.faults() == []


TestAssignment = Assignment.TestCase
TestAssignment.settings = settings(max_examples=50, stateful_step_count=60, deadline=None)


def wait_for(world: World, *kinds: type[Event]) -> None:
    """All events of these kinds are handled, the oldest first, until none is under way."""
    while event := next((f for f in world.bag if isinstance(f, kinds)), None):
        world.bag.remove(event)
        world.handle(event)


def test_a_reservation_whose_agent_left_before_the_opening_ends_with_another_agent() -> None:
    world = World()
    world.press("c0", "algemeen", hold=True)
    world.go("an")
    wait_for(world, PlaceReleased)
    assert world.chats["c0"].state is None, "nothing is known of the chat yet"
    wait_for(world, ChatOpened)
    assert world.chats["c0"].agent_id == "an", "who has gone"
    world.repair()
    wait_for(world, PlaceReleased)
    assert (world.chats["c0"].waits, world.chats["c0"].turn) == (True, 2)
    world.settle()
    assert world.chats["c0"].agent_id in ("bert", "dora")
    assert world.faults() == []


def test_a_reservation_whose_gateway_dies_costs_a_slot_only_for_a_while() -> None:
    world = World()
    world.press("c0", "algemeen", hold=True, dies=True)
    assert world.presence.agents["an"].free == 0
    world.settle()
    assert world.presence.agents["an"].free == 1
    assert world.chats["c0"].closed


def test_a_reservation_whose_gateway_and_agent_are_both_lost_is_forgotten() -> None:
    world = World()
    world.press("c0", "algemeen", hold=True, dies=True)
    world.go("an")
    world.settle()
    assert world.presence.agents["an"].slots == {}
    assert world.faults() == []


def test_an_opening_that_is_late_finds_its_slot_still_reserved() -> None:
    world = World()
    world.press("c0", "algemeen", hold=True)
    opening = [f for f in world.bag if isinstance(f, ChatOpened)]
    world.pass_time(16)
    world.repair()
    wait_for(world, PlaceClaimed)
    assert world.chats["c0"].state is None, "claimed before its opening was heard: kept, not closed"
    assert opening[0] in world.bag
    world.settle()
    assert world.chats["c0"].agent_id == "an"


def test_a_chat_that_lost_its_agent_goes_before_one_that_overflowed_or_came_later() -> None:
    world = World()
    lost, overflowed, late = CHATS[:3]
    for agent in ("an", "bert", "dora"):
        world.go(agent)
    world.press(overflowed, "algemeen", hold=False)
    wait_for(world, ChatOpened, CitizenArrived)
    world.pass_time(46)
    world.press(lost, "premies", hold=True)
    wait_for(world, ChatOpened, ChatState, CitizenArrived)
    assert world.presence.free("premies") == 1
    world.repair()
    assert [c.id for c in world.queue("premies")] == [overflowed], "there is a place free beyond the own line"
    world.press(late, "premies", hold=False)
    world.go("cas")
    wait_for(world, ChatOpened, PlaceReleased)
    assert [c.id for c in world.queue("premies")] == [lost, overflowed, late]


def test_a_refusal_that_is_handled_late_or_twice_refuses_nothing_else() -> None:
    world = World()
    world.press("c0", "algemeen", hold=True)
    wait_for(world, ChatOpened, ChatState)
    world.transfer("c0", None, "bert")
    world.repair()
    wait_for(world, ChatState, PlaceWanted, PlaceClaimed)
    assert world.chats["c0"].agent_id == "bert"
    world.refuse("c0")
    twice = [f for f in world.bag if isinstance(f, TransferRefused)]
    wait_for(world, TransferRefused, ChatState)
    world.repair()
    wait_for(world, PlaceWanted, PlaceClaimed)
    assert (world.chats["c0"].agent_id, world.chats["c0"].returned) == ("an", "refused")
    world.transfer("c0", None, "bert")
    world.repair()
    wait_for(world, ChatState, PlaceWanted, PlaceClaimed)
    assert world.chats["c0"].agent_id == "bert"
    world.handle(twice[0])
    assert world.chats["c0"].agent_id == "bert", "that refusal was of another turn"
