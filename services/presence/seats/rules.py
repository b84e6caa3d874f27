"""RULES of slots and of the colour of the button.

An agent holds a slot for one attempt of one chat. It leaves only by what routing publishes of that chat; until then it
counts against the agent's capacity. What these rules drop is over for good, so that order, repetition and age of events
do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.events.types import AgentState, ButtonColour, ButtonReason, ChatStatus, Choice, ReleaseReason


@dataclass(frozen=True)
class Seat:
    """`leaving`: why it is being given up, or None. `confirmed`: routing has said that the chat is assigned so.

    `since`: when it was claimed or, once leaving, when that began. `held`: for a press, of whose chat routing hears by
    its opening first. `kept`: somebody was told of a held one, so it is not given back. `choice`: why this agent.
    """

    chat_id: str
    turn: int
    since: datetime
    leaving: ReleaseReason | None = None
    confirmed: bool = False
    held: bool = False
    kept: bool = False
    choice: Choice | None = None

    @property
    def sure(self) -> bool:
        """True when the press that took it can not give it back any more."""
        return self.kept or self.confirmed or not self.held

    @property
    def reserved(self) -> bool:
        """True while routing may not have heard of the chat: a claim told too early would close it."""
        return self.held and not self.confirmed


@dataclass(frozen=True)
class Agent:
    """An agent as presence holds him. `free` is capacity less seats; `v` grows with every change but those of seats."""

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
    seats: tuple[Seat, ...]
    v: int
    cause: str


@dataclass(frozen=True)
class Wish:
    """What to do with a wish for a place: these agents hold it with these seats `again`, else, if `open`, seek one."""

    again: tuple[tuple[Agent, Seat], ...] = ()
    open: bool = False


@dataclass(frozen=True)
class Crew:
    """Of a department: agents logged in, those of them who are available, their free places and all their places."""

    online: int = 0
    available: int = 0
    free: int = 0
    places: int = 0


@dataclass(frozen=True)
class Light:
    """What the button shows."""

    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None


def weigh(chat_id: str, turn: int, holders: Iterable[Agent]) -> Wish:
    """What a wish for this turn of the chat calls for, given the agents who hold seats of the chat."""
    held = [(agent, seat) for agent in holders for seat in agent.seats if seat.chat_id == chat_id]
    again = tuple((agent, seat) for agent, seat in held if seat.turn == turn and seat.leaving is None)
    overtaken = any(seat.turn > turn for _, seat in held)
    return Wish(again=again, open=not again and not overtaken)


def is_over(seat: Seat, holder_id: str, status: ChatStatus, turn: int, agent_id: str | None) -> bool:
    """Whether a state of the seat's chat (`status`, `turn`, assigned to `agent_id`) ends this seat of this holder."""
    if status is ChatStatus.CLOSED or seat.turn < turn:
        return True
    return seat.turn == turn and status is ChatStatus.ASSIGNED and agent_id != holder_id


def due(seats: Iterable[Seat], now: datetime, age: float) -> list[Seat]:
    """The seats that have been as they are for at least `age` seconds."""
    return [s for s in seats if now - s.since >= timedelta(seconds=age)]


def count(agents: Sequence[tuple[AgentState, Sequence[str], int, int]], department: str) -> Crew:
    """The crew of a department, of all who are logged in: each one's state, departments, free places and capacity."""
    ours = [(state, free, capacity) for state, departments, free, capacity in agents if department in departments]
    available = [(max(free, 0), capacity) for state, free, capacity in ours if state is AgentState.AVAILABLE]
    return Crew(len(ours), len(available), sum(f for f, _ in available), sum(c for _, c in available))


def light(opened: bool, opens_at: datetime | None, crew: Crew, waiting: int) -> Light:
    """Green only when a citizen who presses now can be helped; else blue with the weightiest reason."""
    if not opened:
        return Light(ButtonColour.BLUE, ButtonReason.CLOSED, opens_at)
    if not crew.available:
        return Light(ButtonColour.BLUE, ButtonReason.NO_AGENTS, None)
    if crew.free - waiting <= 0:
        return Light(ButtonColour.BLUE, ButtonReason.BUSY, None)
    return Light(ButtonColour.GREEN, ButtonReason.AVAILABLE, None)


def next_revision(last: int, now: datetime) -> int:
    """A revision above the last one, and above every one given before this moment by whoever kept none."""
    return max(last + 1, int(now.timestamp() * 1000))
