"""Whole systems that test modules share, each for as long as the modules that run use it."""

import contextlib
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.servers import System

KINDS = ("system", "frail", "hasty")
"""The fixtures that give a shared system; modules are run in this order of what they share."""


class SharedSystems:
    """The shared systems that run in this process. One that nobody uses costs a tenth of a core, so it is stopped."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[System, contextlib.ExitStack]] = {}
        self._module: Path | None = None

    def get(self, kind: str, start: Callable[[], AbstractContextManager[System]]) -> System:
        """The running system of this kind, started if there is none."""
        if kind not in self._running:
            stack = contextlib.ExitStack()
            self._running[kind] = stack.enter_context(start()), stack
        return self._running[kind][0]

    def enter(self, module: Path, kinds: Callable[[], Collection[str]]) -> None:
        """A test of this module begins: where it is another one than before, stop what it does not share."""
        if module != self._module:
            self._module = module
            self.keep(kinds())

    def keep(self, kinds: Collection[str]) -> None:
        """Stop all systems but these."""
        for kind in [one for one in self._running if one not in kinds]:
            _, stack = self._running.pop(kind)
            stack.close()
