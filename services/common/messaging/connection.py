"""RabbitMQ connection with one channel that is opened again after each loss."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel
from yarl import URL

from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure

log = structlog.get_logger()

CONNECT_TIMEOUT = 3.0  # short: an attempt whose packets are lost gives no error, so another one follows soon
CLOSE_TIMEOUT = 2.0
HEARTBEAT = 2  # seconds; a connection without data for 3 * (HEARTBEAT + 1) s is given up
ABSENT_AFTER = 10.0  # seconds; a broker that starts at the same time is ready by then
REFUSALS = (
    aio_pika.exceptions.AuthenticationError,
    aio_pika.exceptions.ProbableAuthenticationError,
    aiormq.exceptions.ConnectionNotAllowed,
    aiormq.exceptions.ChannelAccessRefused,
    aiormq.exceptions.InvalidFrameError,  # a close in reply to opening the virtual host
)
"""Errors by which the broker itself refuses; `is_refusal` counts a certificate that is not verified too."""


def is_refusal(error: BaseException) -> bool:
    """Return whether settings are wrong: the broker refused the connection, or its certificate was not verified.

    aiormq wraps the error of TLS in its own.
    """
    return isinstance(error, REFUSALS) or isinstance(error.__cause__, ssl.SSLCertVerificationError)


def with_heartbeat(url: str) -> str:
    """Return the address with our heartbeat, unless it sets one.

    The library's default detects a dead connection after 3 min.
    """
    address = URL(url)
    return url if "heartbeat" in address.query else str(address.update_query(heartbeat=HEARTBEAT))


class BrokerConnection:
    """A connection with one channel, opened again after each loss (0.2 to 1 s later, at random)."""

    def __init__(
        self,
        url: str,
        name: str,
        prepare: Callable[[AbstractChannel], Awaitable[None]],
        lost: Callable[[], None] | None = None,
    ) -> None:
        """Create a connection that is not open; `run` opens it.

        Args:
            url: The address of the broker; `amqps` is TLS, with the CA's file as `cafile` in the query.
            name: The connection's name in logs and on the broker.
            prepare: Called with each new channel; the connection is up when it returns.
            lost: Called after each loss.
        """
        self._url, self._name, self._prepare, self._lost = with_heartbeat(url), name, prepare, lost
        self.up = asyncio.Event()
        self._unknown = UnknownErrors(name)
        self._began: float | None = None
        self._unanswered = False  # the last attempt failed for another reason than a refusal by the broker

    @property
    def absent(self) -> bool:
        """True while the broker has not answered since the start, for 10 s or longer.

        A refusal is an answer, and so is a certificate that is not verified.

        This distinguishes a replica that starts during an outage from one whose address or rights are wrong.
        """
        late = self._began is not None and time.monotonic() - self._began > ABSENT_AFTER
        return late and self._unanswered and not self.up.is_set()

    async def run(self) -> None:
        """Maintain the connection until cancelled, then close it. Raises an unknown error that occurred too often."""
        failures, self._began = 0, time.monotonic()
        while True:
            try:
                with given_up_is_failure():
                    failures = 0 if await self._once() else failures + 1
                if not failures:
                    self._unknown.clear()
            except BROKER_ERRORS as error:
                failures += 1
                self._unanswered = not is_refusal(error)
                if failures == 1:
                    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
                    log.warning("broker_link_failed", link=self._name, error=type(cause).__name__)
            except Exception as error:
                self._unanswered = False
                self._unknown.note(error)
                self._unknown.check()
            finally:
                if self.up.is_set():
                    self.up.clear()
                    if self._lost:
                        self._lost()
            await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - jitter, no secret

    async def _once(self) -> bool:
        connection = aio_pika.Connection(URL(self._url), client_properties={"connection_name": self._name})
        try:
            over = asyncio.Event()
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.connect()
                connection.close_callbacks.add(lambda *_: over.set())
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                channel.close_callbacks.add(lambda *_: over.set())
            await self._prepare(channel)
            if over.is_set():
                return False
            self.up.set()
            log.info("broker_link_up", link=self._name)
            await over.wait()
            log.warning("broker_link_lost", link=self._name)
            return True
        finally:
            await _close(connection)


async def _close(connection: aio_pika.Connection) -> None:
    """Close the connection and ignore errors: another error reports what is wrong with the connection."""
    try:
        with given_up_is_failure():
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await connection.close()
    except BROKER_ERRORS:
        pass
    except Exception:
        log.exception("connection_not_closed")


async def underlay(channel: AbstractChannel) -> aiormq.Channel:
    """Return the aiormq channel under this aio-pika channel, for operations on every message."""
    found = await channel.get_underlay_channel()
    assert isinstance(found, aiormq.Channel)
    return found
