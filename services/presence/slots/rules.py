"""RULES of slots.

An agent has a slot for one attempt of one chat. It ends only by what routing publishes of that chat; until then it
counts against the agent's capacity. What these rules end has ended for good, so order, repetition and age of events do
not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.events.agents import WrapUp
from services.common.events.chats import ChatState
from services.common.events.types import AgentState, ChatStatus, Choice, ReleaseReason


@dataclass(frozen=True)
class Slot:
    """A slot in use.

    Attributes:
        chat_id: The chat.
        turn: The attempt.
        since: When it was reserved or, when it is being given up, when that began.
        leaving: Why it is being given up, or None.
        confirmed: Routing has confirmed the assignment.
        by_press: Reserved for a press; routing learns of the chat by its opening first.
        announced: A reservation that can no longer be withdrawn.
        choice: Why this agent was chosen.
        until: Until when an open form reserves it, as far as it was renewed, or when its wrap-up ends; None: neither.
        wrap_up: The chat has ended, and the agent wraps it up: the chat's department. None: no wrap-up.
    """

    chat_id: str
    turn: int
    since: datetime
    leaving: ReleaseReason | None = None
    confirmed: bool = False
    by_press: bool = False
    announced: bool = False
    choice: Choice | None = None
    until: datetime | None = None
    wrap_up: str | None = None

    @property
    def form(self) -> bool:
        """True while an open form reserves it: no chat was started with it."""
        return self.until is not None and not (self.announced or self.confirmed or self.wrap_up)

    def lapsed(self, now: datetime) -> bool:
        """Return whether the form's time is over, or the agent has left meanwhile."""
        return self.form and self.until is not None and (self.until <= now or self.leaving is not None)

    def wrapped_up(self, now: datetime) -> bool:
        """Return whether the time of the wrap-up is over, or the agent has logged out."""
        return self.wrap_up is not None and (self.leaving is not None or self.until is None or self.until <= now)

    @property
    def sure(self) -> bool:
        """True when it can no longer be withdrawn."""
        return self.announced or self.confirmed or not self.by_press

    @property
    def reserved(self) -> bool:
        """True while routing may not know the chat: a reservation that is published too early would close it."""
        return self.by_press and not self.confirmed and not self.form and not self.wrap_up

    @property
    def unknown_to_routing(self) -> bool:
        """True while nothing of it is published: a reservation, or a chat that has ended for routing."""
        return self.reserved or self.form or self.wrap_up is not None


@dataclass(frozen=True)
class Agent:
    """An agent as presence stores them.

    `free` is the capacity less the slots in use. `v` grows with every change except those of slots that are no wrap-up.
    `unpublished`: ended wrap-ups that are not published yet. `since`: when they last came online, went offline, paused
    or resumed; None: before it was recorded. `pause_reason`: the id of the reason of their pause. `pause`: the time
    that counts at present, None while they are available or offline. `unpublished_pauses`: as `unpublished`.
    """

    id: str
    username: str
    name: str
    departments: tuple[str, ...]
    capacity: int
    supervisor: bool
    locales: tuple[str, ...]
    online: bool
    state: AgentState
    free: int
    slots: tuple[Slot, ...]
    v: int
    cause: str
    unpublished: tuple[EndedWrapUp, ...] = ()
    since: datetime | None = None
    pause_reason: str | None = None
    pause: Pause | None = None
    unpublished_pauses: tuple[EndedPause, ...] = ()

    @property
    def wrap_ups(self) -> list[WrapUp]:
        """The chats that the agent wraps up."""
        return [
            WrapUp(chat_id=slot.chat_id, department=slot.wrap_up, until=slot.until)
            for slot in self.slots
            if slot.wrap_up and slot.until and not slot.leaving
        ]


@dataclass(frozen=True)
class EndedWrapUp:
    """A wrap-up that has ended: its chat, the chat's department, and how many whole seconds it took."""

    chat_id: str
    department: str
    seconds: int


@dataclass(frozen=True)
class Pause:
    """The time for which an agent has been paused and online, for one reason, since then."""

    id: str
    since: datetime
    reason: str | None = None


@dataclass(frozen=True)
class EndedPause:
    """A pause that has ended: how many whole seconds it took."""

    id: str
    since: datetime
    reason: str | None
    seconds: int


def ended_pause(pause: Pause, now: datetime) -> EndedPause:
    """Return a pause as it ends now. Clocks differ: a negative time is none."""
    return EndedPause(pause.id, pause.since, pause.reason, max(0, round((now - pause.since).total_seconds())))


@dataclass(frozen=True)
class Wish:
    """What to do with a request for a slot: these agents have it already (`again`), or else seek one if `open`."""

    again: tuple[tuple[Agent, Slot], ...] = ()
    open: bool = False


def weigh(chat_id: str, turn: int, holders: Iterable[Agent]) -> Wish:
    """Return what to do with a request for this attempt, given the agents with slots of the chat."""
    held = [(agent, slot) for agent in holders for slot in agent.slots if slot.chat_id == chat_id]
    slots = [(agent, slot) for agent, slot in held if not slot.wrap_up]
    again = tuple((agent, slot) for agent, slot in slots if slot.turn == turn and slot.leaving is None)
    overtaken = any(slot.turn > turn for _, slot in slots)
    return Wish(again=again, open=not again and not overtaken)


def is_over(slot: Slot, holder_id: str, status: ChatStatus, turn: int, agent_id: str | None) -> bool:
    """Return whether a state of the slot's chat (`status`, `turn`, assigned to `agent_id`) ends this holder's slot."""
    if status is ChatStatus.CLOSED or slot.turn < turn:
        return True
    return slot.turn == turn and status is ChatStatus.ASSIGNED and agent_id != holder_id


def wrap_up_until(event: ChatState, seconds: float, now: datetime) -> datetime | None:
    """Return until when the agent of a chat that was closed wraps it up; None: there is no time for that (any more).

    It counts from the end of the chat, so a late or repeated event makes no new time. A chat that its agent had not
    accepted needs no wrap-up.

    Args:
        event: The published end of the chat.
        seconds: The time that the chat's department gives; 0: none.
        now: The present.
    """
    if event.state is not ChatStatus.CLOSED or not event.agent_id or not event.accepted:
        return None
    until = event.at + timedelta(seconds=seconds)
    return until if until > max(now, event.at) else None


def due(slots: Iterable[Slot], now: datetime, age: float) -> list[Slot]:
    """Return the slots that have been as they are for at least `age` seconds."""
    return [s for s in slots if now - s.since >= timedelta(seconds=age)]
