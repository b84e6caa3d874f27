"""`tests/support/shared/systems.py`: a shared system is started once, and stopped when a module does not share it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from tests.support.servers import System
from tests.support.shared.systems import SharedSystems


def test_a_system_runs_as_long_as_modules_share_it() -> None:
    events: list[str] = []

    @contextlib.contextmanager
    def start(name: str) -> Iterator[System]:
        events.append(f"{name} starts")
        yield cast(System, name)
        events.append(f"{name} stops")

    shared = SharedSystems()
    for module in ("one", "two"):
        shared.enter(Path(module), lambda: {"system"})
        assert str(shared.get("system", lambda: start("system"))) == "system"
    shared.enter(Path("two"), lambda: set())  # the same module: nothing is looked up again
    assert events == ["system starts"]
    shared.enter(Path("three"), lambda: {"frail"})
    assert events == ["system starts", "system stops"]
    shared.get("frail", lambda: start("frail"))
    shared.keep(())
    assert events[2:] == ["frail starts", "frail stops"]
