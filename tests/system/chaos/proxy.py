"""`python -m tests.system.chaos.proxy '{"broker": [5000, [5672]]}'`: forwards TCP, and disturbs it on command.

The argument: for each link its own port and those that it leads to, of which a connection takes the next that accepts.
Commands are lines of JSON on standard input, `{"link": "broker", "do": "delay", "seconds": 2}`; each is answered by a
line with the number of connections it met, as soon as it is in force. All on loopback; ends with its standard input.
"""

# mypy: disable-error-code="no-untyped-call"
# Twisted's protocols have no types.

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet import protocol, reactor, stdio
from twisted.protocols import basic, portforward

LOOPBACK = "127.0.0.1"
BYTE_EVERY = 0.002  # seconds from one byte to the next, of one connection in one direction
LOOP: Any = reactor  # its methods are put there when it is installed


class Passing(portforward.Proxy):
    """What both ends of a forwarded connection do with what they receive: pass it on, late or in bytes, or drop it."""

    link: Link
    transport: Any
    deaf = False  # this connection swallows everything from now on, in both directions

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.setTcpNoDelay(True)
        self.link.ends.add(self)

    def dataReceived(self, data: bytes) -> None:
        if not self.deaf and self.peer is not None:
            self.link.way(self).pass_on(data)

    def connectionLost(self, reason: object = protocol.connectionDone) -> None:
        self.link.ends.discard(self)
        if not self.deaf and self.peer is not None:  # a deaf one's other end believes in the connection still
            self.link.way(self).pass_on(None)

    def forget(self) -> None:
        """From now on nothing comes through; both ends believe in their connection still."""
        self.deaf = True
        self.transport.unregisterProducer()
        self.transport.resumeProducing()

    def reset(self) -> None:
        """Both ends learn at once that the connection is no more (RST)."""
        self.deaf = True
        self.transport.abortConnection()


class Way:
    """One direction of one connection: what was received and is not yet passed on, in order. `None` is its end."""

    def __init__(self, link: Link, to: Passing) -> None:
        self._link, self._to = link, to
        self._held: deque[tuple[float, memoryview | None]] = deque()
        self._timer: Any = None

    def pass_on(self, data: bytes | None) -> None:
        due = LOOP.seconds() + (self._link.delay if self._link.mode == "delay" else 0.0)
        self._held.append((due, None if data is None else memoryview(data)))
        if self._timer is None:
            self._go_on()

    def hurry(self) -> None:
        """The link fares otherwise now: looks at once what may go."""
        if self._timer is not None:
            self._timer.cancel()
        self._go_on()

    def _go_on(self) -> None:
        self._timer = None
        while self._held:
            due, piece = self._held[0]
            if self._link.mode == "delay" and due > LOOP.seconds():
                self._timer = LOOP.callLater(due - LOOP.seconds(), self._go_on)
                return
            self._held.popleft()
            if self._link.mode == "trickle" and piece is not None:
                self._write(piece[:1])
                if len(piece) > 1:
                    self._held.appendleft((due, piece[1:]))
                self._timer = LOOP.callLater(BYTE_EVERY, self._go_on)
                return
            self._write(piece)

    def _write(self, piece: memoryview | None) -> None:
        if self._to.deaf:
            return
        if piece is None:
            self._to.transport.loseConnection()
        else:
            self._to.transport.write(bytes(piece))


class Far(Passing, portforward.ProxyClient):
    """The end that leads to the server."""


class Dialling(portforward.ProxyClientFactory):
    """Takes the next server that accepts; when none does, the connection is reset."""

    protocol = Far
    noisy = False
    server: Any

    def __init__(self, left: list[int]) -> None:
        self.left = left

    def buildProtocol(self, addr: Any) -> Any:
        far: Any = super().buildProtocol(addr)
        far.link = self.server.link
        return far

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        if self.left and self.server in self.server.link.ends:
            again = Dialling(self.left[1:])
            again.setServer(self.server)
            LOOP.connectTCP(LOOPBACK, self.left[0], again, timeout=2)
        else:
            self.server.reset()


class Near(Passing, portforward.ProxyServer):
    """The end that a client has connected to."""

    factory: Any

    def connectionMade(self) -> None:
        self.link = self.factory.link
        if self.link.mode == "swallow":  # it is accepted, and nothing more
            protocol.Protocol.connectionMade(self)
            self.deaf = True
            self.link.ends.add(self)
            return
        first, *left = self.link.servers()
        self.clientProtocolFactory = lambda: Dialling(left)  # type: ignore[assignment]
        self.factory.port = first
        super().connectionMade()


class Link(portforward.ProxyFactory):
    """A port, where it leads to, and how it fares: `pass`, `delay`, `trickle`, `swallow` or `refuse`."""

    protocol = Near
    noisy = False

    def __init__(self, port: int, servers: list[int]) -> None:
        super().__init__(LOOPBACK, servers[0])
        self.link, self.mode, self.delay = self, "pass", 0.0
        self.ends: set[Passing] = set()
        self._ways: dict[Passing, Way] = {}
        self._port, self._servers, self._turn = port, servers, -1
        self._listening = LOOP.listenTCP(port, self, interface=LOOPBACK)

    def servers(self) -> list[int]:
        """All of them, the one whose turn it is first."""
        self._turn = (self._turn + 1) % len(self._servers)
        return self._servers[self._turn :] + self._servers[: self._turn]

    def way(self, end: Passing) -> Way:
        """The direction of what this end receives."""
        assert isinstance(end.peer, Passing)
        if end not in self._ways:
            self._ways = {
                known: way for known, way in self._ways.items() if known in self.ends or known.peer in self.ends
            }
            self._ways[end] = Way(self, end.peer)
        return self._ways[end]

    def do(self, what: str, seconds: float, done: Callable[[], None]) -> int:
        """Makes it so, calls `done` when it is; the number of connections met. `seconds`: of a delay."""
        self.delay = seconds
        met = sum(isinstance(end, Near) and not end.deaf for end in self.ends)
        if what in ("reset", "refuse", "heal"):
            for end in [end for end in self.ends if what != "heal" or end.deaf]:
                end.reset()
        if what in ("forget", "swallow"):
            for end in self.ends:
                end.forget()
        if what == "refuse":
            self.mode = what
            self._listening.stopListening().addCallback(lambda _: done())
            return met
        if what not in ("reset", "forget"):
            self._change("pass" if what == "heal" else what)
        done()
        return met

    def _change(self, mode: str) -> None:
        if self.mode == "refuse":
            self._listening = LOOP.listenTCP(self._port, self, interface=LOOPBACK)
        self.mode = mode
        for way in self._ways.values():
            way.hurry()


class Commands(basic.LineOnlyReceiver):
    """Does what standard input says."""

    delimiter = b"\n"

    def __init__(self, links: dict[str, Link]) -> None:
        self._links = links

    def connectionMade(self) -> None:
        self.sendLine(b"ready")

    def lineReceived(self, line: bytes) -> None:
        command = json.loads(line)
        met = 0

        def done() -> None:
            LOOP.callLater(0, lambda: self.sendLine(b"%d" % met))

        met = self._links[command["link"]].do(command["do"], command["seconds"], done)

    def connectionLost(self, reason: object = protocol.connectionDone) -> None:
        if LOOP.running:
            LOOP.stop()


def main() -> None:
    """Forwards until standard input ends."""
    links = {name: Link(port, servers) for name, (port, servers) in json.loads(sys.argv[1]).items()}
    stdio.StandardIO(Commands(links))
    LOOP.run()


if __name__ == "__main__":
    main()
