"""The metrics of a rolling update, from histories by hand."""

from tests.system.history import (
    CITIZEN,
    Answered,
    ButtonShown,
    Closed,
    Connected,
    Disconnected,
    ErrorShown,
    Event,
    Message,
    Pressed,
    Sent,
    Shown,
    StatusShown,
)
from tests.system.rollout.metrics import lengths, metrics_of


def status(at: float, dot: str) -> Event:
    return StatusShown("chat", CITIZEN, dot, "An" if dot == "green" else "", at=at)


def test_a_dot_counts_from_the_loss_of_a_green_one_until_it_is_green_again() -> None:
    waiting = [status(1, "grey"), Disconnected("chat", CITIZEN, 1, 1012, at=2)]
    lost = [status(3, "green"), Disconnected("chat", CITIZEN, 2, 1012, at=5), status(5.5, "grey"), status(7, "green")]
    ended = [Closed("chat", CITIZEN, "agent", at=8), Disconnected("chat", CITIZEN, 3, 1000, at=8), status(8, "red")]
    assert metrics_of([*waiting, *lost, *ended]).dots == [(5, 7)]


def test_an_agent_is_away_between_two_connections() -> None:
    first = [Connected("", "an", 1, at=1), Disconnected("", "an", 1, 1012, at=4)]
    assert metrics_of([*first, Disconnected("", "an", 2, None, at=5), Connected("", "an", 3, at=6)]).agents == [(4, 6)]


def test_a_button_that_is_not_green_and_a_receipt() -> None:
    shown = Shown("chat", CITIZEN, 1, Message(1, "m", CITIZEN, "", ""), at=3)
    history = [ButtonShown("", "page", colour, at=at) for at, colour in ((1, "green"), (2, "blue"), (4, "green"))]
    metrics = metrics_of([*history, Sent("chat", CITIZEN, "m", "", at=2.5), shown, shown])
    assert (metrics.buttons, metrics.receipts) == ([(2, 4)], [(2.5, 3)])
    assert lengths(metrics.buttons, 0, 2) == []
    assert lengths(metrics.buttons, 2, 3) == [2]


def test_errors_answers_and_presses() -> None:
    history: list[Event] = [
        ErrorShown("chat", CITIZEN, "m", "unavailable", at=1),
        Answered("chat", CITIZEN, "upload", 2, 0, at=4),
        Pressed("", CITIZEN, "key", 3, 503, at=3.5),
        Pressed("chat", CITIZEN, "key", 5, 201, at=6),
        status(9, "green"),
    ]
    metrics = metrics_of(history)
    assert metrics.errors == [(1, "unavailable (id m)")]
    assert metrics.statuses(0, 10) == {"upload no answer": 1, "press 503": 1}
    assert metrics.statuses(2.5, 10) == {"press 503": 1}
    assert metrics.served == [(3, 9)]
