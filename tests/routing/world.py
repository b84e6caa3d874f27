"""Routing's rules beside a plain presence, with all events between them in a bag from which any may come next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from services.common.config.departments import Overflow, QueueRules
from services.common.events.chats import (
    AcceptOverdue,
    ChatAccepted,
    ChatOpened,
    ChatState,
    CitizenArrived,
    CloseRequested,
    TransferRefused,
)
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlaceReleased, PlaceWanted
from services.common.events.types import CloseReason, Hold, ReleaseReason
from services.routing.chats import deadlines, rules, transfer_rules
from services.routing.chats.chat import Chat, Limits, state_of
from services.routing.queues import overflow

DEPARTMENTS = {"algemeen": QueueRules(overflow=Overflow(to="premies", after=45)), "premies": QueueRules(patience=300)}
LIMITS = Limits(queues=DEPARTMENTS)
AGENTS = {
    "an": (1, ("algemeen",)),
    "bert": (1, ("algemeen",)),
    "cas": (2, ("premies",)),
    "dora": (1, ("algemeen", "premies")),
}
CHATS = ("c0", "c1", "c2", "c3", "c4", "c5")
RESERVED = timedelta(seconds=15)  # a slot that was reserved for a press is not published before
NEVER_LOST = (ChatOpened, CloseRequested, CitizenArrived, ChatAccepted, TransferRefused)  # dead letters are replayed


@dataclass
class Slot:
    since: datetime
    held: bool = False
    leaving: bool = False


@dataclass
class Agent:
    """An agent of presence. A slot is for one attempt of one chat."""

    id: str
    capacity: int
    departments: tuple[str, ...]
    online: bool = True
    available: bool = True
    slots: dict[tuple[str, int], Slot] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.capacity - len(self.slots)

    def can_take(self, chat_id: str) -> bool:
        return self.online and self.available and self.free > 0 and all(c != chat_id for c, _ in self.slots)


class Presence:
    """What presence does, without its database: only the rules that routing's table must live with."""

    def __init__(self) -> None:
        self.agents = {name: Agent(name, *of) for name, of in AGENTS.items()}

    def free(self, department: str) -> int:
        crew = (a for a in self.agents.values() if department in a.departments and a.online and a.available)
        return sum(max(0, a.free) for a in crew)

    def hold(self, chat_id: str, department: str, now: datetime) -> Hold | None:
        found = self._take(PlaceWanted(chat_id=chat_id, turn=1, department=department), now, held=True)
        return Hold(agent_id=found.id, agent_name=found.id) if found else None

    def wanted(self, event: PlaceWanted, now: datetime) -> list[Event]:
        found = self._take(event, now)
        return [claim(found, (event.chat_id, event.turn))] if found else []

    def _take(self, event: PlaceWanted, now: datetime, held: bool = False) -> Agent | None:
        key, crew = (event.chat_id, event.turn), list(self.agents.values())
        for agent in crew:
            if key in agent.slots and not agent.slots[key].leaving:
                return agent
        if any(c == event.chat_id and t > event.turn for a in crew for c, t in a.slots):
            return None
        fit = [a for a in crew if a.can_take(event.chat_id)]
        if event.agent_id:
            fit = [a for a in fit if a.id == event.agent_id]
        else:
            fit = [a for a in fit if event.department in a.departments]
        if not fit:
            return None
        best = min(fit, key=lambda a: (len(a.slots), a.id))
        best.slots[key] = Slot(now, held)
        return best

    def chat_state(self, event: ChatState) -> list[Event]:
        for agent in self.agents.values():
            for key, slot in list(agent.slots.items()):
                chat, turn = key
                if chat != event.chat_id:
                    continue
                other = turn == event.turn and event.state == "assigned" and event.agent_id != agent.id
                if event.state == "closed" or turn < event.turn or other:
                    del agent.slots[key]
                elif turn == event.turn and event.state == "assigned":
                    slot.held = False
        if event.state == "assigned" and event.agent_id:
            agent = self.agents[event.agent_id]
            if (event.chat_id, event.turn) not in agent.slots:
                return [release(agent, (event.chat_id, event.turn), ReleaseReason.NO_SLOT)]
        return []

    def gone(self, name: str) -> list[Event]:
        agent = self.agents[name]
        agent.online = False
        for slot in agent.slots.values():
            slot.leaving = True
        return [release(agent, key) for key in agent.slots]

    def repair(self, now: datetime) -> list[Event]:
        return [
            release(a, key) if slot.leaving else claim(a, key)
            for a in self.agents.values()
            for key, slot in a.slots.items()
            if slot.leaving or not slot.held or slot.since + RESERVED <= now
        ]


def claim(agent: Agent, key: tuple[str, int]) -> PlaceClaimed:
    return PlaceClaimed(chat_id=key[0], turn=key[1], agent_id=agent.id, agent_name=agent.id)


def release(agent: Agent, key: tuple[str, int], reason: ReleaseReason = ReleaseReason.AGENT_GONE) -> PlaceReleased:
    return PlaceReleased(chat_id=key[0], turn=key[1], agent_id=agent.id, reason=reason)


class World:
    """Each act may be called at any time; `handle` is what a process does with one event. In the end all come."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 9, tzinfo=UTC)
        self.presence = Presence()
        self.chats: dict[str, Chat] = {}
        self.opened: dict[str, str] = {}  # chat → its department
        self.bag: list[Event] = []
        self.lost: list[Event] = []  # what a participant did is never lost for good
        self.said: dict[tuple[str, int], ChatState] = {}  # (chat, v) → what was published
        self.had: dict[tuple[str, int], str] = {}  # (chat, turn) → the one agent who ever had it

    # ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────

    def press(self, chat: str, department: str, hold: bool, dies: bool = False, twice: bool = False) -> None:
        """`dies`: the gateway, between the hold and the opening. `twice`: two gateways open it, one without a hold."""
        if chat in self.opened:
            return
        held = self.presence.hold(chat, department, self.now) if hold else None
        if dies:
            return
        self.opened[chat] = department
        event = ChatOpened(chat_id=chat, department=department, locale="nl", opened_at=self.now, held=held)
        self.bag += [event, CitizenArrived(chat_id=chat)]
        if twice:
            self.bag.append(event.model_copy(update={"held": None, "event_id": str(uuid4())}))

    def close(self, chat: str, by: CloseReason, agent: str | None = None) -> None:
        if chat in self.opened:
            self.bag.append(CloseRequested(chat_id=chat, by=by, agent_id=agent))

    def transfer(self, chat: str, department: str | None, agent: str | None) -> None:
        known = self.chats.get(chat)
        if known and known.agent_id and (department or agent):
            self.write(
                transfer_rules.transferred(known, known.agent_id, department, agent, self.now, LIMITS), publish=False
            )

    def refuse(self, chat: str) -> None:
        known = self.chats.get(chat)
        if known and known.agent_id:
            self.bag.append(TransferRefused(chat_id=chat, agent_id=known.agent_id))

    def accept(self, chat: str) -> None:
        known = self.chats.get(chat)
        if known and known.agent_id:
            self.bag.append(ChatAccepted(chat_id=chat, agent_id=known.agent_id))

    def go(self, agent: str) -> None:
        self.bag += self.presence.gone(agent)

    def come(self, agent: str, available: bool) -> None:
        one = self.presence.agents[agent]
        one.online, one.available = True, available

    # ── what becomes of events ────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, n: int, keep: bool = False, crash: bool = False) -> None:
        """Handle any event of the bag.

        `keep`: it will come again. `crash`: after the write, before anything is published; then it comes again too.
        """
        if self.bag:
            event = self.bag[n % len(self.bag)]
            if not keep and not crash:
                self.bag.remove(event)
            self.handle(event, publish=not crash)

    def lose(self, n: int) -> None:
        if self.bag:
            event = self.bag.pop(n % len(self.bag))
            if isinstance(event, NEVER_LOST):
                self.lost.append(event)

    def pass_time(self, seconds: float) -> None:
        """Every timer acts; what it changes is published by `repair` alone, as if it had died after each write."""
        self.now += timedelta(seconds=seconds)
        for chat in list(self.chats.values()):
            self.write(deadlines.overdue(chat, False, self.now, LIMITS), publish=False)

    def repair(self) -> None:
        """What is repeated on both sides: slots, marks, requests, free slots."""
        self.bag += self.presence.repair(self.now)
        for chat in list(self.chats.values()):
            if chat.untold_since:
                if chat.overdue_agent and chat.overdue_turn:
                    late = AcceptOverdue(chat_id=chat.id, turn=chat.overdue_turn, agent_id=chat.overdue_agent)
                    self.bag.append(late)
                self.write(rules.published(chat))
        self.overflow()
        for department in DEPARTMENTS:
            for chat in rules.requesting(self.queue(department), self.presence.free(department)):
                wanted = PlaceWanted(chat_id=chat.id, turn=chat.turn, department=department, agent_id=chat.wanted_agent)
                self.bag.append(wanted)

    def overflow(self) -> None:
        for to in DEPARTMENTS:
            room = overflow.room(self.presence.free(to), len(self.queue(to)))
            for source in overflow.sources(LIMITS, to):
                for chat in self.queue(source)[:room]:
                    self.write(transfer_rules.overflowed(chat, to, self.now, LIMITS), publish=False)

    def queue(self, department: str) -> list[Chat]:
        here = (c for c in self.chats.values() if c.waits and c.department == department)
        return sorted(here, key=lambda c: (not c.head, c.opened_at, c.id))

    def write(self, chat: Chat, publish: bool = True) -> None:
        before = self.chats.get(chat.id, Chat(chat.id))
        assert chat.v >= before.v
        assert chat.turn >= before.turn
        assert not before.closed or chat.closed
        assert chat == before or not before.closed or chat.reason == before.reason
        assert chat.opened_at == before.opened_at or before.opened_at is None
        if chat.assigned and chat.agent_id:
            assert self.had.setdefault((chat.id, chat.turn), chat.agent_id) == chat.agent_id, "one agent for one turn"
        if chat != Chat(chat.id):
            self.chats[chat.id] = deadlines.stamped(chat, self.now, LIMITS)
        if publish and (event := state_of(chat)):
            same = {"event_id": "", "occurred_at": self.now}
            said = self.said.setdefault((chat.id, chat.v), event.model_copy(update=same))
            assert said == event.model_copy(update={**same, "occurred_at": said.occurred_at}), "a version says the same"
            self.bag.append(event)

    def handle(self, event: Event, publish: bool = True) -> None:
        if isinstance(event, PlaceWanted):
            self.bag += self.presence.wanted(event, self.now)
        elif isinstance(event, ChatState):
            self.bag += self.presence.chat_state(event)
        elif isinstance(event, AcceptOverdue):
            self.presence.agents[event.agent_id].available = False
        else:
            self.write(self.after(event), publish)

    def after(self, event: Event) -> Chat:
        chat = self.chats.get(event.chat_id, Chat(event.chat_id))  # type: ignore[attr-defined]
        match event:
            case ChatOpened():
                return rules.opened(chat, event, self.now)
            case CitizenArrived():
                return rules.arrived(chat)
            case ChatAccepted():
                return rules.accepted(chat, event.agent_id, self.now, event.turn)
            case CloseRequested(by=CloseReason.AGENT):
                return rules.closed_by_agent(chat, event.agent_id, self.now)
            case CloseRequested(by=CloseReason.INACTIVE):
                return rules.closed_for_inactivity(chat, self.now)
            case CloseRequested():
                return rules.closed(chat, event.by, self.now)
            case TransferRefused():
                return transfer_rules.refused(chat, event.agent_id, event.event_id, self.now, LIMITS)
            case PlaceClaimed():
                return rules.assigned(chat, event.turn, event.agent_id, event.agent_name, self.now)
            case PlaceReleased():
                return rules.released(chat, event.turn, event.agent_id, self.now)
        raise AssertionError(event)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """All events arrive, agents accept what they have, repair jobs run for a while, with agents as they are."""
        self.bag += self.lost
        for _ in range(45):
            self._deliver_all()
            for chat in self.chats:
                self.accept(chat)
            self.pass_time(2)
            self.repair()
        self._deliver_all()

    def _deliver_all(self) -> None:
        while self.bag:
            self.handle(self.bag.pop(0))

    def faults(self) -> Sequence[str]:
        """What is wrong when everything has come to rest: nothing may be."""
        agents, chats = self.presence.agents.values(), self.chats.values()
        held = {key: a.id for a in agents for key, slot in a.slots.items() if not slot.leaving}
        assigned = {(c.id, c.turn): c.agent_id for c in chats if c.assigned}
        wrong = [f"seats {held} but chats {assigned}"] if held != assigned else []
        wrong += [f"{a.id} keeps {a.slots}" for a in agents if any(s.leaving for s in a.slots.values())]
        wrong += [f"{a.id} above his capacity" for a in agents if a.free < 0]
        wrong += [f"{c} was never heard of" for c in self.opened if c not in self.chats]
        in_queue = [c.id for d in DEPARTMENTS for c in self.queue(d)]
        for chat in chats:
            places = in_queue.count(chat.id) + (chat.id in {c for c, _ in assigned})
            if places != (0 if chat.closed else 1):
                wrong.append(f"{chat.id} is {chat.state} and in {places} places")
            if chat.untold_since or (state_of(chat) and (chat.id, chat.v) not in self.said):
                wrong.append(f"{chat.id} is {chat.state} since v {chat.v}, and nobody was told")
        for department in DEPARTMENTS:
            if self.presence.free(department) and any(not c.wanted_agent for c in self.queue(department)):
                wrong.append(f"in {department} somebody waits beside a free place")
        return wrong
