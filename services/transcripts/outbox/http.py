"""HTTP to targets: to addresses that were checked, over verified TLS, within a limit of time and of bytes.

The name of a target is resolved, its addresses are checked, and the connection goes to a checked address: a name that
resolves to something else a moment later changes nothing. Redirects are not followed, and proxies of the environment
are not used.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services import VERSION
from services.common.config.toml_file import ConfigurationError
from services.transcripts.outbox.addresses import Network, is_allowed
from services.transcripts.outbox.rules import Outcome, Verdict

MOST_HEADER = 8 * 1024  # bytes of a line or field of the head of an answer
IDLE = 15.0  # seconds for which an unused connection is kept


class RefusedAddress(OSError):
    """The target is at an address to which nothing may be sent."""


class CheckedResolver(AbstractResolver):
    """Resolves names to addresses to which something may be sent."""

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


class CheckedClient:
    """Requests to targets. Connections to one target are used again."""

    def __init__(self, networks: Sequence[Network], tls: ssl.SSLContext, limit: float) -> None:
        """Create a client that has no connection yet.

        Args:
            networks: Networks that are allowed although they are not public.
            tls: Verifies targets.
            limit: Seconds for a whole attempt.
        """
        self._networks, self._tls, self._limit = networks, tls, limit
        self._session: aiohttp.ClientSession | None = None

    async def attempt(self, work: Awaitable[Outcome]) -> Outcome:
        """Return what came of an attempt that sends requests; nothing is raised but a cancellation."""
        try:
            async with asyncio.timeout(self._limit):
                return await work
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

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a request and yield its answer.

        Raises:
            RefusedAddress: The target is at an address that is not allowed.
            aiohttp.ClientError: There is no answer.
        """
        host = URL(url).host or ""
        if _is_literal(host) and not is_allowed(host, self._networks):
            raise RefusedAddress("not a public address")
        given = {"User-Agent": f"eloket-chat/{VERSION}", **headers}
        async with self._opened().request(
            method, url, data=data, params=params, headers=given, allow_redirects=False
        ) as answer:
            yield answer

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


async def read(answer: aiohttp.ClientResponse, most: int) -> bytes | None:
    """Return the body of an answer; None: it is larger than `most` bytes, and the rest is not read.

    A connection with unread content is not used again.
    """
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > most:
            answer.close()
            return None
    return bytes(body)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
