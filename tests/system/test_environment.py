"""When a run judges what is promised in seconds."""

import os

from tests.system.environment import MOST_LOAD, is_overloaded


def test_a_machine_is_overloaded_by_the_load_for_each_core_of_either_time() -> None:
    most = MOST_LOAD * (os.cpu_count() or 1)
    assert not is_overloaded((most, most, 99.0))
    assert is_overloaded((most + 1, 0.0, 0.0))
    assert is_overloaded((0.0, most + 1, 0.0)), "a run has been slow before"
