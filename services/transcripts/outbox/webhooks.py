"""Sender of webhooks: one signed POST for each attempt, to an address that was checked.

The name of a target is resolved, its addresses are checked, and the connection goes to a checked address: a name that
resolves to something else a moment later changes nothing. TLS is verified for the name. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services import VERSION
from services.common.config.departments import ConfigurationError
from services.common.config.integrations import Webhook
from services.transcripts.outbox.addresses import Network, is_allowed
from services.transcripts.outbox.rules import Outcome, Verdict, body_of, judged
from services.transcripts.outbox.signatures import signed_headers
from services.transcripts.outbox.store import Delivery

MOST_ANSWER = 16 * 1024  # bytes of an answer that are read, so that its connection can be used again
MOST_HEADER = 8 * 1024  # bytes of a line or field of its head
IDLE = 15.0  # seconds for which an unused connection is kept


class RefusedAddress(OSError):
    """The target is at an address to which nothing may be sent."""


class CheckedResolver(AbstractResolver):
    """Resolves names to addresses to which webhooks may be sent."""

    def __init__(self, networks: Sequence[Network], resolver: AbstractResolver) -> None:
        """Create a resolver.

        Args:
            networks: Networks that are allowed although they are not public.
            resolver: Resolves the names.
        """
        self._networks, self._resolver = networks, resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of this name.

        Raises:
            RefusedAddress: One of them is not allowed. None is used then: an attempt would decide by chance.
        """
        found = await self._resolver.resolve(host, port, family)
        if not all(is_allowed(one["host"], self._networks) for one in found):
            raise RefusedAddress("not a public address")
        return found

    async def close(self) -> None:
        """Close the resolver below."""
        await self._resolver.close()


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context that verifies targets: by the system's authorities, and by those of this file.

    Raises:
        ConfigurationError: The file cannot be read, or has no certificates.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(f"OUTBOX_CA_FILE {ca_file}: is not a file with certificates (PEM).") from None
    return context


class WebhookSender:
    """Sends deliveries. Connections to one target are used again."""

    def __init__(
        self,
        secrets: Mapping[str, Sequence[bytes]],
        networks: Sequence[Network],
        tls: ssl.SSLContext,
        limit: float,
        clock: Callable[[], datetime],
    ) -> None:
        """Create a sender that has no connection yet.

        Args:
            secrets: The secrets of each target.
            networks: Networks that are allowed although they are not public.
            tls: Verifies targets.
            limit: Seconds for a whole attempt.
            clock: Returns the present.
        """
        self._secrets, self._networks, self._tls, self._limit = secrets, networks, tls, limit
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def send(self, webhook: Webhook, delivery: Delivery) -> Outcome:
        """Send a delivery. Return what came of it; nothing is raised but a cancellation."""
        try:
            async with asyncio.timeout(self._limit):
                return await self._post(webhook, delivery)
        except TimeoutError:
            return Outcome(Verdict.FAILED, "timeout")
        except RefusedAddress:
            return Outcome(Verdict.FAILED, "refused_address")
        except aiohttp.ClientConnectorDNSError as error:
            refused = isinstance(error.os_error, RefusedAddress)
            return Outcome(Verdict.FAILED, "refused_address" if refused else "name_not_found")
        except aiohttp.ClientSSLError:
            return Outcome(Verdict.FAILED, "tls")
        except (aiohttp.ClientError, OSError, ValueError):
            return Outcome(Verdict.FAILED, "connection")

    async def _post(self, webhook: Webhook, delivery: Delivery) -> Outcome:
        host = URL(webhook.url).host or ""
        if _is_literal(host) and not is_allowed(host, self._networks):
            raise RefusedAddress("not a public address")
        now = self._clock()
        body = body_of(delivery.type, delivery.at, delivery.data)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"eloket-chat/{VERSION}",
            **signed_headers(delivery.notice, now, body, self._secrets[webhook.id]),
        }
        async with self._opened().post(webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
            outcome = judged(answer.status, answer.headers.get("Retry-After"), now)
            read = 0
            async for part in answer.content.iter_any():
                read += len(part)
                if read > MOST_ANSWER:  # the outcome is known; a connection with unread content is not used again
                    answer.close()
                    break
            return outcome

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._tls,
                resolver=CheckedResolver(self._networks, aiohttp.ThreadedResolver()),
                use_dns_cache=False,
                limit=0,
                keepalive_timeout=IDLE,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=MOST_HEADER,
                max_field_size=MOST_HEADER,
                timeout=aiohttp.ClientTimeout(total=self._limit),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
