"""services/routing/queues/wait_estimate.py: the estimate of the wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.common.events.types import ChatStatus
from services.routing.chats.chat import Chat
from services.routing.queues.wait_estimate import REMEMBERED, handled, seconds_each, wait

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TALKING = Chat("c", state=ChatStatus.ASSIGNED, agent_id="an", accepted=True, assigned_at=NOW)
OVER = replace(TALKING, state=ChatStatus.CLOSED, closed_at=NOW + timedelta(seconds=90))


def test_handling_is_from_the_last_assignment_to_the_close() -> None:
    assert handled(TALKING, OVER) == 90


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (replace(TALKING, accepted=False), OVER),
        (replace(TALKING, state=ChatStatus.WAITING, assigned_at=None), OVER),
        (TALKING, replace(TALKING, state=ChatStatus.WAITING)),
        (OVER, OVER),
    ],
    ids=["nobody accepted it", "nobody had it", "it only lost its agent", "it was over already"],
)
def test_what_no_agent_ended_says_nothing_of_handling(before: Chat, after: Chat) -> None:
    assert handled(before, after) is None


def test_the_queue_moves_by_one_every_h_divided_by_s() -> None:
    assert seconds_each([100, 200, 300], 4) == 50
    assert seconds_each([9_999, *[60] * REMEMBERED], 1) == 60, "only the latest count"


@pytest.mark.parametrize(("times", "places"), [([], 3), ([60, 60], 3), ([60] * 3, 0), ([60] * 3, None), ([60] * 3, -1)])
def test_with_too_little_history_or_without_slots_it_is_not_known(times: list[float], places: int | None) -> None:
    assert seconds_each(times, places) is None


def test_the_wait_grows_with_the_position() -> None:
    assert [wait(p, 50) for p in (1, 2, 3)] == [50, 100, 150]
    assert wait(None, 50) is None
    assert wait(2, None) is None
