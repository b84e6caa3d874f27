"""A network that can be spoiled: links through a forwarding process, and the blows that fall on them."""

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
from tests.system.chaos.blows import Blow, nothing

Deed = Literal["reset", "refuse", "forget", "swallow", "delay", "trickle", "heal"]
DELAY = 2.0  # seconds
NOTICED, BACK = 15.0, 2.0  # seconds until messages flow: after a silence began, after the network is back


@dataclass(frozen=True)
class Links:
    """Links that lead through one forwarding process; `ports`: where each of them is to be reached."""

    ports: Mapping[str, int]
    process: subprocess.Popen[bytes]

    def tell(self, link: str, deed: Deed, seconds: float = DELAY) -> int:
        """Do this to a link. Return the number of living connections that it met, once it is in force.

        Args:
            link: The name of the link.
            deed: What to do to it.
            seconds: By how much `delay` makes everything late.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"link": link, "do": deed, "seconds": seconds}).encode() + b"\n")
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


def blows(links: Links, names: Sequence[str]) -> list[Blow]:
    """Everything that can befall these links, one after the other."""
    return [blow for name in names for blow in of_one_link(links, name)]


def of_one_link(links: Links, name: str) -> list[Blow]:
    """Cut, refused, silent in two ways, late, in bytes."""
    return [
        _blow(links, name, "all connections reset", "reset", 0.0),
        _blow(links, name, "refused for 3 s", "refuse", 3.0),
        _blow(links, name, "connections fall silent, new ones work", "forget", 0.0),
        _blow(links, name, "silent for 10 s, new ones too", "swallow", 10.0),
        _blow(links, name, "2 s late for 10 s", "delay", 10.0),
        _blow(links, name, "byte by byte for 5 s", "trickle", 5.0),
    ]


def _blow(links: Links, name: str, what: str, deed: Deed, lasts: float) -> Blow:
    async def strike() -> None:
        await asyncio.to_thread(links.tell, name, deed)

    async def heal() -> None:
        await asyncio.to_thread(links.tell, name, "heal")

    kind = f"{name}: {what}"
    if deed == "forget":  # nobody tells those who believe in a dead connection: they must notice
        return Blow(kind, strike, nothing, lasts, "strike", NOTICED)
    return Blow(kind, strike, heal, lasts, "heal", BACK)
