"""Routing's table beside a plain presence: facts out of order, doubled or lost: it always ends right."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import (
    AcceptOverdue,
    ChatOpened,
    ChatState,
    CitizenArrived,
    CloseReason,
    CloseRequested,
    Fact,
    PlaceClaimed,
    PlaceReleased,
    PlaceWanted,
    ReleaseReason,
)
from services.routing import assignment
from services.routing.chat import Chat, Limits, state_of

LIMITS = Limits()
AGENTS = {"an": 1, "bert": 1, "cas": 2}
CHATS = ("c0", "c1", "c2", "c3", "c4")


@dataclass
class Agent:
    """An agent as presence holds him, by the rules of the seat table: seats are (chat, turn) → leaving."""

    id: str
    capacity: int
    online: bool = True
    available: bool = True
    seats: dict[tuple[str, int], bool] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.capacity - len(self.seats)


class Presence:
    """What presence does, without its database: only the rules that routing's table must live with."""

    def __init__(self) -> None:
        self.agents = {name: Agent(name, capacity) for name, capacity in AGENTS.items()}

    def wanted(self, fact: PlaceWanted) -> list[Fact]:
        key = (fact.chat_id, fact.turn)
        holder = next((a for a in self.agents.values() if a.seats.get(key) is False), None)
        if holder is None:
            if any(c == fact.chat_id and t > fact.turn for a in self.agents.values() for c, t in a.seats):
                return []
            free = [
                a
                for a in self.agents.values()
                if a.online and a.available and a.free > 0 and all(c != fact.chat_id for c, _ in a.seats)
                if fact.agent_id in (None, a.id)
            ]
            if not free:
                return []
            holder = min(free, key=lambda a: len(a.seats))
            holder.seats[key] = False
        return [claim(holder, key)]

    def chat_state(self, fact: ChatState) -> list[Fact]:
        for agent in self.agents.values():
            for chat, turn in [k for k in agent.seats if k[0] == fact.chat_id]:
                over = fact.state == "closed" or turn < fact.turn
                other = turn == fact.turn and fact.state == "assigned" and fact.agent_id != agent.id
                if over or other:
                    del agent.seats[chat, turn]
        if fact.state == "assigned" and fact.agent_id:
            agent = self.agents[fact.agent_id]
            if (fact.chat_id, fact.turn) not in agent.seats:
                return [release(agent, (fact.chat_id, fact.turn), ReleaseReason.NO_SEAT)]
        return []

    def gone(self, name: str) -> list[Fact]:
        agent = self.agents[name]
        agent.online = False
        agent.seats = dict.fromkeys(agent.seats, True)
        return [release(agent, key) for key in agent.seats]

    def sweep(self) -> list[Fact]:
        return [
            release(a, key) if leaving else claim(a, key)
            for a in self.agents.values()
            for key, leaving in a.seats.items()
        ]


def claim(agent: Agent, key: tuple[str, int]) -> PlaceClaimed:
    return PlaceClaimed(chat_id=key[0], turn=key[1], agent_id=agent.id, agent_name=agent.id)


def release(agent: Agent, key: tuple[str, int], reason: ReleaseReason = ReleaseReason.AGENT_GONE) -> PlaceReleased:
    return PlaceReleased(chat_id=key[0], turn=key[1], agent_id=agent.id, reason=reason)


class History:
    """Facts lie in a bag: each step hands over any of them, keeps a copy, or loses it. At the end all come."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = datetime(2026, 11, 23, 9, tzinfo=UTC)
        self.presence = Presence()
        self.chats: dict[str, Chat] = {}
        self.opened: set[str] = set()
        self.bag: list[Fact] = []
        self.lost: list[Fact] = []  # what a participant did is never lost for good: its dead letter is replayed

    def step(self) -> None:
        acts = (self.press, self.close, self.lose, self.go, self.come, self.transfer, self.pass_time, self.sweep)
        act = self.random.choices((self.deliver, *acts), (60, 6, 2, 3, 4, 6, 2, 2, 10))[0]
        act()
        assert all(a.free >= 0 for a in self.presence.agents.values())

    def press(self) -> None:
        chat = self.random.choice(CHATS)
        if chat not in self.opened:
            self.opened.add(chat)
            self.bag.append(ChatOpened(chat_id=chat, department="d", locale="nl", opened_at=self.now))
            self.bag.append(CitizenArrived(chat_id=chat))

    def close(self) -> None:
        chat, by = self.random.choice(CHATS), self.random.choice(["citizen", *AGENTS])
        if chat in self.opened:
            citizen = by == "citizen"
            reason = CloseReason.CITIZEN if citizen else CloseReason.AGENT
            self.bag.append(CloseRequested(chat_id=chat, by=reason, agent_id=None if citizen else by))

    def deliver(self) -> None:
        if self.bag:
            fact = self.random.choice(self.bag)
            if self.random.random() > 0.2:
                self.bag.remove(fact)
            self.handle(fact)

    def lose(self) -> None:
        if self.bag:
            fact = self.random.choice(self.bag)
            self.bag.remove(fact)
            if isinstance(fact, ChatOpened | CloseRequested | CitizenArrived):
                self.lost.append(fact)

    def go(self) -> None:
        self.bag += self.presence.gone(self.random.choice(list(AGENTS)))

    def come(self) -> None:
        agent = self.presence.agents[self.random.choice(list(AGENTS))]
        agent.online, agent.available = True, self.random.random() > 0.2

    def transfer(self) -> None:
        before = self.chats.get(self.random.choice(CHATS))
        if before and before.agent_id:
            to = self.random.choice([None, *AGENTS])
            self.write(assignment.transferred(before, before.agent_id, None, to, self.now, LIMITS), tell=False)

    def pass_time(self) -> None:
        self.now += timedelta(seconds=self.random.choice([1, 10, 31, 61]))
        for chat in list(self.chats.values()):
            self.write(assignment.overdue(chat, False, self.now, LIMITS), tell=False)

    def sweep(self) -> None:
        self.bag += self.presence.sweep()
        for chat in list(self.chats.values()):
            if chat.untold_since:
                if chat.overdue_agent and chat.overdue_turn:
                    late = AcceptOverdue(chat_id=chat.id, turn=chat.overdue_turn, agent_id=chat.overdue_agent)
                    self.bag.append(late)
                self.write(assignment.told(chat))
        line = sorted((c for c in self.chats.values() if c.waits), key=lambda c: (not c.head, c.opened_at, c.id))
        free = sum(a.free for a in self.presence.agents.values() if a.online and a.available)
        for chat in assignment.who_asks(line, free):
            self.bag.append(PlaceWanted(chat_id=chat.id, turn=chat.turn, department="d", agent_id=chat.wanted_agent))

    def write(self, chat: Chat, tell: bool = True) -> None:
        before = self.chats.get(chat.id, Chat(chat.id))
        assert chat.v >= before.v
        assert chat.turn >= before.turn
        assert not before.closed or chat.closed
        assert chat == before or not before.closed or chat.reason == before.reason
        if chat != Chat(chat.id):
            self.chats[chat.id] = assignment.stamped(chat, self.now, LIMITS)
        if tell and (fact := state_of(chat)):
            self.bag.append(fact)

    def handle(self, fact: Fact) -> None:
        if isinstance(fact, PlaceWanted):
            self.bag += self.presence.wanted(fact)
        elif isinstance(fact, ChatState):
            self.bag += self.presence.chat_state(fact)
        elif isinstance(fact, AcceptOverdue):
            self.presence.agents[fact.agent_id].available = False
        else:
            self.write(self.after(fact))

    def after(self, fact: Fact) -> Chat:
        chat = self.chats.get(fact.chat_id, Chat(fact.chat_id))  # type: ignore[attr-defined]
        match fact:
            case ChatOpened():
                return assignment.opened(chat, fact, self.now)
            case CitizenArrived():
                return assignment.arrived(chat)
            case CloseRequested(by=CloseReason.AGENT):
                return assignment.closed_by_agent(chat, fact.agent_id, self.now)
            case CloseRequested():
                return assignment.closed(chat, fact.by, self.now)
            case PlaceClaimed():
                return assignment.claimed(chat, fact.turn, fact.agent_id, fact.agent_name, self.now)
            case PlaceReleased():
                return assignment.released(chat, fact.turn, fact.agent_id, self.now)
        raise AssertionError(fact)

    def ends_right(self) -> None:
        """Everything arrives and the sweeps run, with the agents as they are: both sides agree on every chat."""
        self.bag += self.lost
        for _ in range(30):
            while self.bag:
                self.handle(self.bag.pop(0))
            for chat in list(self.chats.values()):
                self.write(replace(chat, wanted_agent=None))
            self.sweep()
        while self.bag:
            self.handle(self.bag.pop(0))
        agents = self.presence.agents.values()
        assert set(self.chats) == self.opened
        held = {key: a.id for a in agents for key, leaving in a.seats.items() if not leaving}
        assert held == {(c.id, c.turn): c.agent_id for c in self.chats.values() if c.assigned}
        assert not any(leaving for a in agents for leaving in a.seats.values())
        waiting = [c for c in self.chats.values() if c.waits]
        assert not waiting or not any(a.free for a in agents if a.online and a.available)


@settings(max_examples=600, deadline=None)
@given(seed=st.integers(0, 2**64), steps=st.integers(5, 150))
def test_every_history_ends_right(seed: int, steps: int) -> None:
    history = History(seed)
    for _ in range(steps):
        history.step()
    history.ends_right()
