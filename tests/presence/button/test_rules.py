"""services/presence/button/rules.py: the agents of a department, the colour, revisions."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.events.types import AgentState, ButtonColour, ButtonReason
from services.presence.button.rules import Crew, count, light, next_revision

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_the_crew_of_a_department() -> None:
    there = [
        (AgentState.AVAILABLE, ["d", "e"], 1, 3),
        (AgentState.AVAILABLE, ["d"], -1, 1),  # their capacity was made smaller
        (AgentState.PAUSED, ["d"], 1, 2),
        (AgentState.AVAILABLE, ["e"], 5, 5),
    ]
    assert count(there) == {
        "d": Crew(online=3, available=2, free=1, slots=4),
        "e": Crew(online=2, available=2, free=6, slots=8),
    }


@pytest.mark.parametrize(
    ("opened", "crew", "waiting", "reason"),
    [
        (True, Crew(1, 1, 1), 0, ButtonReason.AVAILABLE),
        (True, Crew(2, 2, 2), 1, ButtonReason.AVAILABLE),
        (True, Crew(1, 1, 1), 1, ButtonReason.BUSY),
        (True, Crew(1, 1, 0), 0, ButtonReason.BUSY),
        (True, Crew(1, 0, 0), 0, ButtonReason.NO_AGENTS),
        (True, Crew(), 3, ButtonReason.NO_AGENTS),
        (False, Crew(1, 1, 1), 0, ButtonReason.CLOSED),
        (False, Crew(), 0, ButtonReason.CLOSED),
    ],
)
def test_light(opened: bool, crew: Crew, waiting: int, reason: ButtonReason) -> None:
    shown = light(opened, None if opened else NOW, crew, waiting)
    assert shown.reason is reason
    assert (shown.colour is ButtonColour.GREEN) == (reason is ButtonReason.AVAILABLE)
    assert shown.opens_at == (None if opened else NOW)


@given(st.booleans(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_green_is_a_promise(opened: bool, available: int, free: int, waiting: int) -> None:
    free = free if available else 0
    green = light(opened, None, Crew(available, available, free), waiting).colour is ButtonColour.GREEN
    assert green == (opened and free > waiting)


def test_revisions_grow_whatever_the_clock_does() -> None:
    assert next_revision(0, NOW) == int(NOW.timestamp() * 1000)
    assert next_revision(10**15, NOW) == 10**15 + 1
