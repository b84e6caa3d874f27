"""Network faults: links through a forwarding process, and what can be done to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.servers import ROOT
from tests.system.chaos.faults import Fault, nothing

Action = Literal["reset", "refuse", "forget", "swallow", "delay", "trickle", "heal"]
DELAY = 2.0  # seconds
NOTICED, BACK = 15.0, 2.0  # seconds until messages flow: after the traffic ended, after the network is back


@dataclass(frozen=True)
class Links:
    """Links that lead through one forwarding process; `ports`: where each of them is to be reached."""

    ports: Mapping[str, int]
    process: subprocess.Popen[bytes]

    def apply(self, link: str, action: Action, seconds: float = DELAY) -> int:
        """Do this to a link. Return the number of living connections that it met, once it is in force.

        Args:
            link: The name of the link.
            action: What to do to it.
            seconds: By how much `delay` makes everything late.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"link": link, "do": action, "seconds": seconds}).encode() + b"\n")
        self.process.stdin.flush()
        return int(self.answer())

    def answer(self) -> bytes:
        """The next line that the forwarding process says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the forwarding process ended with {self.process.wait()}"
        return line


@contextlib.contextmanager
def forwarding(to: Mapping[str, Sequence[int]], ports: Mapping[str, int]) -> Iterator[Links]:
    """Forward each link from its port in `ports` to those in `to`, while the context is open."""
    plan = json.dumps({name: [ports[name], list(servers)] for name, servers in to.items()})
    command = [sys.executable, "-m", "tests.system.chaos.proxy", plan]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        links = Links(dict(ports), process)
        try:
            assert links.answer() == b"ready\n"
            yield links
        finally:
            process.kill()


def faults(links: Links, names: Sequence[str]) -> list[Fault]:
    """Every fault of these links."""
    return [fault for name in names for fault in of_one_link(links, name)]


def of_one_link(links: Links, name: str) -> list[Fault]:
    """Cut, refused, half-open in two ways, delayed, byte by byte."""
    return [
        _fault(links, name, "all connections reset", "reset", 0.0),
        _fault(links, name, "refused for 3 s", "refuse", 3.0),
        _fault(links, name, "connections fall silent, new ones work", "forget", 0.0),
        _fault(links, name, "silent for 10 s, new ones too", "swallow", 10.0),
        _fault(links, name, "2 s late for 10 s", "delay", 10.0),
        _fault(links, name, "byte by byte for 5 s", "trickle", 5.0),
    ]


def _fault(links: Links, name: str, what: str, action: Action, lasts: float) -> Fault:
    async def inject() -> None:
        await asyncio.to_thread(links.apply, name, action)

    async def end() -> None:
        await asyncio.to_thread(links.apply, name, "heal")

    kind = f"{name}: {what}"
    if action == "forget":  # the ends of a dead connection are not notified: they must detect it
        return Fault(kind, inject, nothing, lasts, "injection", NOTICED)
    return Fault(kind, inject, end, lasts, "end", BACK)
