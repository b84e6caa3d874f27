"""The states of each chat, put in order from the published events: what was true and, at the least, for how long.

What order can be trusted: the states of one chat are ordered by `v`, however they came. Between chats the order in
which the recorder got two events of two publishers may be swapped on the way, so it is unused; the events' own times
are, since all processes run on one machine and share its clock. Each end of a span is put on its safe side: an agent
has a chat at the latest since the event that says so was made, and at the least until `at` of a state that ends it
(taken before that state is written, and they are given another chat only after it was published). So a span is never
longer than the truth, and two spans that overlap did overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.common.events.chats import ChatOpened, ChatState
from services.common.events.places import PlaceClaimed
from services.common.events.types import ChatStatus
from tests.system.history import PublishedHistory

UNBOUNDED = float("inf")
ROUNDED = 0.001  # the database keeps whole milliseconds: `at` may be that much too early


@dataclass(frozen=True)
class Span:
    """From `begins` until before `ends` an agent had this turn of the chat. Wall clock, in seconds."""

    chat_id: str
    turn: int
    agent_id: str
    begins: float
    ends: float


@dataclass
class ChatStates:
    """One chat: its opening, its states by `v` (each as it first came), and what else the same `v` was published as."""

    chat_id: str
    opened: ChatOpened | None = None
    states: dict[int, ChatState] = field(default_factory=dict)
    contradictions: list[tuple[ChatState, ChatState]] = field(default_factory=list)
    claims: list[PlaceClaimed] = field(default_factory=list)

    @property
    def in_order(self) -> list[ChatState]:
        """The states, oldest first."""
        return [self.states[v] for v in sorted(self.states)]

    @property
    def last(self) -> ChatState | None:
        return self.in_order[-1] if self.states else None

    @property
    def assigned(self) -> bool:
        """Whether it ever had an agent who accepted it."""
        return any(s.state is ChatStatus.ASSIGNED and s.accepted is not False for s in self.states.values())

    def spans(self, claims: bool = True) -> Iterator[Span]:
        """Who had this chat when; with `claims` from the moment when a place was held for it."""
        begins: dict[tuple[int, str], float] = {}

        def begin(turn: int, agent_id: str, at: float) -> None:
            begins[turn, agent_id] = min(at, begins.get((turn, agent_id), UNBOUNDED))

        for state in self.states.values():
            if state.state is ChatStatus.ASSIGNED and state.agent_id:
                begin(state.turn, state.agent_id, state.at.timestamp() + ROUNDED)
        for claim in self.claims if claims else []:
            begin(claim.turn, claim.agent_id, claim.occurred_at.timestamp())
        if claims and self.opened and self.opened.held:
            begin(1, self.opened.held.agent_id, self.opened.occurred_at.timestamp())
        for (turn, agent_id), at in begins.items():
            ends = min((s.at.timestamp() for s in self.states.values() if _ends(s, turn, agent_id)), default=UNBOUNDED)
            if ends > at:
                yield Span(self.chat_id, turn, agent_id, at, ends)


def _ends(state: ChatState, turn: int, agent_id: str) -> bool:
    """Whether in this state the agent has this turn no more."""
    if state.state is ChatStatus.CLOSED or state.turn > turn:
        return True
    return state.turn == turn and state.state is ChatStatus.ASSIGNED and state.agent_id != agent_id


def chat_states(history: PublishedHistory) -> dict[str, ChatStates]:
    """The chat of every chat of which anything was received."""
    found: dict[str, ChatStates] = {}
    for event in (p.event for p in history):
        if isinstance(event, ChatOpened):
            chat = found.setdefault(event.chat_id, ChatStates(event.chat_id))
            chat.opened = chat.opened or event
        elif isinstance(event, PlaceClaimed):
            found.setdefault(event.chat_id, ChatStates(event.chat_id)).claims.append(event)
        elif isinstance(event, ChatState):
            chat = found.setdefault(event.chat_id, ChatStates(event.chat_id))
            first = chat.states.setdefault(event.v, event)
            if _content(first) != _content(event):
                chat.contradictions.append((first, event))
    return found


def _content(state: ChatState) -> tuple[object, ...]:
    return state.state, state.turn, state.agent_id, state.department, state.reason
