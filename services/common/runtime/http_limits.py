"""Limits of an HTTP connection: bytes and time of its requests, and the number of connections.

`BoundedProtocol` is uvicorn's protocol on httptools with these limits added. uvicorn takes it as `http=`
(https://www.uvicorn.org/settings/#implementation). It uses no private names of uvicorn.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter as Tally
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.common.http.addresses import client_key, is_trusted
from services.common.http.problems import document
from services.common.http.security_headers import completed

HEAD_BYTES = 32 * 1024  # request line and headers; trailers too
URL_BYTES = 8 * 1024
MOST_HEADERS = 100
HEAD_SECONDS = 10.0  # from the first byte of a head to its last
IDLE_SECONDS = 15.0  # until the first byte on a new connection
BODY_EVERY = 20.0  # seconds between checks of a body
BODY_RATE = 512  # minimum bytes per second, on average over that time
BODY_SECONDS = 300.0  # for a whole body
UNREAD_SECONDS = 120.0  # in which a client must read a full write buffer
MOST_PIPELINED = 16  # requests that wait for the answer to an earlier one
FRAMING_BYTES = 64 * 1024  # of a chunked body (chunk extensions, trailers) without data between them; in all, this and
FRAMING_TIMES = 16  # so many times the data
LINGER_SECONDS = 5.0  # for which a client that still sends can read the refusal
LINGER_BYTES = 128 * 1024 * 1024
_SLICE = 8 * 1024
_HOST = re.compile(rb"(?:[\w.~!$&'()*+;=%-]*|\[[\da-fA-F:.]+\])(?::\d*)?")  # RFC 3986 §3.2; no list of several
_MOST_AT_ONCE = 256 * 1024  # bytes that uvloop passes in one piece, which may end with data

REFUSED = Counter("eloket_http_refused_total", "Connections that were refused or cut off for a bound", ["why"])
for _why in (
    *("head", "head_slow", "idle", "body_slow", "framing", "pipelined", "unread", "malformed", "host", "coding"),
    *("handshake", "connections", "address"),
):
    REFUSED.labels(_why)


@dataclass
class Bounds:
    """Limits of the number of connections of a process; shared by all its ports.

    Args:
        most: Connections of all kinds at a time; 0: any number.
        per_address: Connections of one address (an IPv4 address or an IPv6 /64) at a time; 0: any number. Through a
            trusted proxy, whose connections serve many clients, it is the number of requests and websockets in
            progress.
        proxies: The trusted networks, separated by commas (`TRUSTED_PROXIES`).
    """

    most: int = 0
    per_address: int = 0
    proxies: str = ""
    total: int = field(default=0, init=False)
    by_address: Tally[str] = field(default_factory=Tally, init=False)

    def take(self, key: str) -> bool:
        """Count one more for this address; "" is never counted.

        Returns:
            False, without counting, when the address has as many as it may.
        """
        if not key:
            return True
        if self.per_address and self.by_address[key] >= self.per_address:
            return False
        self.by_address[key] += 1
        return True

    def release(self, key: str) -> None:
        """Count one less for this address."""
        if not key:
            return
        self.by_address[key] -= 1
        if not self.by_address[key]:
            del self.by_address[key]


class BoundedProtocol(HttpToolsProtocol):
    """One connection with limits.

    A request that exceeds them gets a problem document, if it can be read, and the connection ends.
    """

    bounds = Bounds()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.transport: Any
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str] | None = None
        self._ended = self._upgraded = self._counted = self._waits_for_head = False
        self._discarded = 0
        self._head = self._fields = self._field_bytes = 0
        self._in_body = False
        self._raw = self._data = self._dry = self._seen = 0
        self._began = 0.0
        self._peer = ""
        self._proxied = False
        self._keys: deque[str] = deque()  # counted in `bounds`: of this connection, or of each request in progress

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Any) -> None:
        """Count a new connection, or refuse it."""
        super().connection_made(transport)
        bounds = self.bounds
        self._peer = self.client[0] if self.client else ""
        self._proxied = is_trusted(self._peer, bounds.proxies)
        bounds.total += 1
        self._counted = True
        if bounds.most and bounds.total > bounds.most:
            self._refuse(503, "connections")
            return
        if bounds.per_address and not self._proxied and not self._take(client_key(self._peer, (), "")):
            self._refuse(429, "address")
            return
        self._timer = self.loop.call_later(IDLE_SECONDS, self._idle_over)

    def _take(self, key: str) -> bool:
        if not self.bounds.take(key):
            return False
        self._keys.append(key)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers and the count of the connection."""
        self._stop()
        if self._unread:
            self._unread.cancel()
        self._leave()
        super().connection_lost(exc)

    def _leave(self) -> None:
        """Remove the connection from the counts."""
        if self._counted:
            self._counted = False
            self.bounds.total -= 1
        while self._keys:
            self.bounds.release(self._keys.pop())

    def handle_websocket_upgrade(self) -> None:
        """Turn the connection into a websocket, which counts until it is lost. An invalid handshake is refused."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._refuse(400, "handshake")  # otherwise the earlier request would never see that its client disconnected
            return
        self._upgraded = True
        self._stop()
        if self._unread:
            self._unread.cancel()
        make: Any = self.ws_protocol_class
        protocol: Any = None

        def made(**given: Any) -> Any:
            nonlocal protocol
            protocol = make(**given)
            protocol.lost = self._leave
            return protocol

        self.ws_protocol_class = made  # type: ignore[assignment]
        super().handle_websocket_upgrade()
        if not protocol.handshake_initiated:  # a body, or a line of more than 8 KiB: it would wait for ever
            self.transport.set_protocol(self)
            self.connections.discard(protocol)
            self.connections.add(self)
            self._upgraded = False
            self._refuse(400, "handshake")

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the parser in slices, and refuse a head or body that exceeds a limit."""
        if self._ended:
            self._discard(data)
            return
        rest = data
        while rest:
            if self._in_body:
                piece, rest = rest, b""
            else:
                piece, rest = rest[:_SLICE], rest[_SLICE:]
                self._head += len(piece)
                if self._head > HEAD_BYTES:
                    self._refuse(431, "head")
                    return
            self._raw += len(piece)
            self._dry += len(piece)
            super().data_received(piece)
            if self._refusal:
                self._refuse(*self._refusal)
            if self._ended or self._upgraded or self.transport.is_closing():
                return
        if self._in_body and (
            self._dry > FRAMING_BYTES + _MOST_AT_ONCE or self._raw > FRAMING_BYTES + FRAMING_TIMES * self._data
        ):
            self._refuse(400, "framing")
        elif not self._in_body and self._head and not self._waits_for_head:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        """Start the counts of a request's head."""
        self._fields = self._field_bytes = 0
        self._head = self._head or 1  # it may have arrived with the end of the previous body
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Check the length of the address."""
        super().on_url(url)
        if len(self.url) > URL_BYTES:
            self._refusal = (414, "head")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header or trailer; pass on headers only."""
        self._fields += 1
        self._field_bytes += len(name) + len(value) + 4
        if self._fields > MOST_HEADERS or self._field_bytes > HEAD_BYTES:
            self._refusal = (431, "head")
        if not self._refusal and not self._in_body:  # trailers are counted but not used
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request and the limits of its body."""
        self._stop()
        self._head = 0
        self._in_body, self._began = True, self.loop.time()
        self._raw = self._data = self._dry = self._seen = 0
        if len(self.pipeline) >= MOST_PIPELINED:
            self._refusal = (400, "pipelined")
        elif not self._refusal and not self._names_one_host():
            self._refusal = (400, "host")
        elif not self._refusal and not self._can_be_decoded():
            self._refusal = (501, "coding")
        if not self._refusal and self._proxied and self.bounds.per_address and not self._take_proxied():
            self._refusal = (429, "address")
        if not self._refusal:
            super().on_headers_complete()
            self._timer = self.loop.call_later(BODY_EVERY, self._look_at_body)

    def _names_one_host(self) -> bool:
        """Return whether the request has one valid `Host` (RFC 9112 §3.2). HTTP/1.0 may have none."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if not hosts:
            return self.parser.get_http_version() == "1.0"
        return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None

    def _can_be_decoded(self) -> bool:
        """Return whether the body has no transfer coding but `chunked` (RFC 9112 §6.1 and §7)."""
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        return codings in ([], [b"chunked"])

    def _take_proxied(self) -> bool:
        lines = [value.decode("latin-1") for name, value in self.headers if name == b"x-forwarded-for"]
        key = client_key(self._peer, lines, self.bounds.proxies)
        if is_trusted(key.partition("/")[0], self.bounds.proxies):
            key = ""  # the proxy itself is never limited
        return self._take(key)

    def on_body(self, body: bytes) -> None:
        """Count bytes of the body and pass them on."""
        self._data += len(body)
        self._dry = 0
        if not self._refusal:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the limits of the body."""
        self._stop()
        self._in_body = False
        if not self._refusal:
            super().on_message_complete()
            if self.cycle is not None and self.cycle.response_complete:  # it was answered before its body had arrived
                self._timer = self.loop.call_later(self.timeout_keep_alive, self._idle_over)

    def on_response_complete(self) -> None:
        """Stop counting a request through a proxy."""
        if self._proxied and self._keys:
            self.bounds.release(self._keys.popleft())
        super().on_response_complete()

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._waits_for_head = False

    def _wait_for_head(self) -> None:
        """Limit the time from the first byte of a head on. Further bytes do not extend it."""
        self._stop()
        self._waits_for_head = True
        self._timer = self.loop.call_later(HEAD_SECONDS, self._head_over)

    def _idle_over(self) -> None:
        REFUSED.labels("idle").inc()
        self._ended = True
        self.transport.close()

    def _head_over(self) -> None:
        if self.flow.read_paused:  # the server itself has paused reading
            self._wait_for_head()
        else:
            self._refuse(408, "head_slow")

    def _look_at_body(self) -> None:
        came, self._seen = self._data - self._seen, self._data
        late = self.loop.time() - self._began > BODY_SECONDS
        if late or (came < BODY_RATE * BODY_EVERY and not self.flow.read_paused):
            self._refuse(408, "body_slow")
        else:
            self._timer = self.loop.call_later(BODY_EVERY, self._look_at_body)

    def pause_writing(self) -> None:
        """Limit the time in which the client must read."""
        super().pause_writing()
        if not self._unread:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self._unread_over)

    def resume_writing(self) -> None:
        """End the limit of `pause_writing`."""
        if self._unread:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _unread_over(self) -> None:
        REFUSED.labels("unread").inc()
        self.transport.abort()

    # ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def send_400_response(self, msg: str) -> None:
        """Answer input that is not HTTP with a problem document instead of uvicorn's text."""
        self._refuse(400, "malformed")

    def _refuse(self, status: int, why: str) -> None:
        """End the connection, with a problem document unless an answer is in progress already."""
        if self._ended:
            return
        REFUSED.labels(why).inc()
        self._ended = True
        self._stop()
        cycle = self.cycle
        busy = cycle is not None and not cycle.response_complete
        answered = self._in_body and cycle is not None and not busy and cycle.scope is self.scope
        readable = not busy or (self._in_body and not cycle.response_started and not self.pipeline)
        if busy:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.is_closing():
            return
        if readable and not answered and why != "pipelined":
            self.transport.write(_answer(status, why))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_BYTES:
            self.transport.abort()


_WORDS: dict[tuple[int, str], tuple[str, str]] = {
    (400, "malformed"): ("invalid", "This is not an HTTP request."),
    (400, "handshake"): (
        "invalid",
        "This is not a websocket handshake: send a GET without a body, its lines no longer than 8,000 bytes, when the "
        "answers to all earlier requests are there.",
    ),
    (400, "host"): ("invalid", "Send one header Host with the name of the server, and its port where it has one."),
    (400, "framing"): ("invalid", "The chunks of this body have more framing than data; send larger chunks."),
    (408, "head_slow"): ("timeout", "The head of the request took too long to arrive; send it at once."),
    (408, "body_slow"): ("timeout", "The body of the request arrived too slowly; try again over a better connection."),
    (414, "head"): ("uri_too_long", "The address of this request is longer than 8 KiB."),
    (431, "head"): ("headers_too_large", "The headers are more than 100, or larger than 32 KiB; send fewer cookies."),
    (429, "address"): ("rate_limited", "There are too many connections from this address; close some, or wait."),
    (501, "coding"): (
        "invalid",
        "The only transfer coding of a body is chunked. Send it so, or with a Content-Length and uncompressed.",
    ),
    (503, "connections"): ("unavailable", "There are too many connections just now. Try again in a few seconds."),
}


def _answer(status: int, why: str) -> bytes:
    code, detail = _WORDS[status, why]
    retry = {"Retry-After": "5"} if status in (429, 503) else {}
    made = document(status, code, detail, {"Connection": "close", **retry})
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()]
    head += [name + b": " + value + b"\r\n" for name, value in completed(made.raw_headers)]
    return b"".join([*head, b"\r\n", made.body])
