"""Metrics of a rolling update, from the history: how long dots, agents and buttons were away, receipts, errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.history import (
    CITIZEN,
    Answered,
    ButtonShown,
    Closed,
    Connected,
    Disconnected,
    ErrorShown,
    History,
    Pressed,
    Sent,
    Shown,
    StatusShown,
    visits,
)

Span = tuple[float, float]
GOOD = (200, 201, 204)


@dataclass
class Metrics:
    """Spans of time (monotonic) in which something was not as it ought to be, and what was answered.

    `dots`: a citizen's dot was not green, after it had been. `agents`: an agent had no connection. `buttons`: a page
    without a green button. `receipts`: from sending to the receipt. `served`: from a press to the green dot.
    """

    dots: list[Span] = field(default_factory=list)
    agents: list[Span] = field(default_factory=list)
    buttons: list[Span] = field(default_factory=list)
    receipts: list[Span] = field(default_factory=list)
    served: list[Span] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    answers: list[tuple[float, str, int]] = field(default_factory=list)

    def statuses(self, since: float, until: float) -> Counter[str]:
        """Answers other than 2xx in this time, by request and status."""
        bad = [(what, s) for at, what, s in self.answers if since <= at < until and s not in GOOD]
        return Counter(f"{what} {status or 'no answer'}" for what, status in bad)


def metrics_of(history: History) -> Metrics:
    """Derive the metrics from what the participants and the open pages recorded."""
    found = Metrics()
    dots, agents, buttons = _Spans(found.dots), _Spans(found.agents), _Spans(found.buttons)
    sent: dict[str, Sent] = {}
    ended: set[str] = set()
    for event in history:
        match event:
            case StatusShown() if event.chat not in ended:
                dots.note(event.chat, event.at, event.dot == "green", event.dot == "green" or dots.knows(event.chat))
            case Closed() if event.who == CITIZEN:
                ended.add(event.chat)
            case Disconnected() if event.who == CITIZEN and event.chat not in ended:
                dots.note(event.chat, event.at, False, dots.knows(event.chat))
            case Disconnected() if not event.chat:
                agents.note(event.who, event.at, False)
            case Connected() if not event.chat:
                agents.note(event.who, event.at, True)
            case ButtonShown():
                buttons.note(event.who, event.at, event.colour == "green")
            case Sent():
                sent[event.id] = event
            case Shown() if event.message.id in sent and sent[event.message.id].who == event.who:
                found.receipts.append((sent.pop(event.message.id).at, event.at))
            case ErrorShown():
                found.errors.append((event.at, f"{event.code} (id {event.id or None})"))
            case Answered():
                found.answers.append((event.began, event.request, event.status))
            case Pressed():
                found.answers.append((event.began, "press", event.status))
    found.served = [(v.presses[0].began, v.served_at) for v in visits(history) if v.served_at]
    return found


class _Spans:
    """Spans in which the state of each of several things was bad."""

    def __init__(self, spans: list[Span]) -> None:
        self._spans = spans
        self._since: dict[str, float | None] = {}

    def knows(self, what: str) -> bool:
        """Whether a state of this thing was noted before."""
        return what in self._since

    def note(self, what: str, at: float, good: bool, counts: bool = True) -> None:
        """The state at this time; one that does not count is passed over."""
        if not counts:
            return
        since = self._since.setdefault(what, None)
        if good and since is not None:
            self._spans.append((since, at))
            self._since[what] = None
        elif not good and since is None:
            self._since[what] = at


def lengths(spans: Sequence[Span], since: float, until: float) -> list[float]:
    """Seconds of the spans that began in this time."""
    return [end - start for start, end in spans if since <= start < until]
