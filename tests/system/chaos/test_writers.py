"""Several writers of the same logs that crash at every point."""

import random
from pathlib import Path

from tests.system.chaos.writers import run, short_backoff

SECONDS = 6.0


async def test_writers_that_crash_at_every_point_leave_no_hole_no_double_and_no_false_answer(tmp_path: Path) -> None:
    """The long form: `python -m tests.system.chaos.writers --seed N --seconds S`."""
    with short_backoff():
        outcome = await run(tmp_path, random.Random(4), SECONDS, kill_every=2.5, least=3)
    print(f"\n{outcome}")
    assert outcome.violations == []
    assert outcome.messages > 30
    assert outcome.injector.crashes.total() > 3, "too few faults were injected"
    assert outcome.injector.errors > 3
    assert outcome.collisions > 3
    assert outcome.kills >= 1
