"""How much is tried: by default as much as a run of all tests has time for, and always the same."""

import os

TIMES = int(os.environ.get("FUZZ_TIMES") or 1)
"""Above 1 (`make fuzz`) so many times as much is tried, and other things each time."""
DERANDOMIZED = TIMES == 1


def times(number: int) -> int:
    """So many of something, or a multiple in a long run."""
    return number * TIMES
