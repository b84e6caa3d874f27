"""Passwords of breaches, at a service that is asked by k-anonymity.

The service gets the first five of the forty hexadecimal digits of the SHA-1 of a password, and answers with the rest of
all hashes that begin so. It learns neither the password nor which of several hundred was meant, and with padding not
even how many there are (the interface of "Pwned Passwords", which others serve too). When it does not answer in time
the password is accepted: the local rules have been applied.
"""

from __future__ import annotations

import asyncio
import hashlib

import aiohttp
import structlog
from prometheus_client import Counter

log = structlog.get_logger()

PREFIX = 5  # hexadecimal digits that the service gets
PATIENCE = 2.0  # seconds for an answer; a gateway waits 5 for the whole request
MOST = 512 * 1024  # bytes of an answer; one has about 40 kB

CHECKS = Counter(
    "eloket_presence_breach_checks_total", "New passwords that were looked up among those of breaches", ["outcome"]
)
for _outcome in ("unknown", "breached", "unavailable"):
    CHECKS.labels(_outcome)


class BreachedPasswords:
    """Asks the service at one address. Call `close` at the end."""

    def __init__(self, url: str) -> None:
        """Prepare it. `url`: the address before the digits, such as `https://host/range`."""
        self._url = url.rstrip("/")
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    async def has(self, password: str) -> bool:
        """Return whether the service knows the password. False when it does not answer in time."""
        digest = hashlib.sha1(password.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._find(digest[:PREFIX], digest[PREFIX:])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            CHECKS.labels("unavailable").inc()
            log.warning("breach_check_unavailable", error=type(error).__name__)
            return False
        CHECKS.labels("breached" if found else "unknown").inc()
        return found

    async def _find(self, prefix: str, rest: str) -> bool:
        """Return whether the answer to `prefix` has the line of `rest`, with another count than 0 (padding)."""
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Add-Padding": "true", "Accept": "text/plain"}
        async with self._http.get(f"{self._url}/{prefix}", headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            text = bytearray()
            async for chunk in answer.content.iter_any():
                text += chunk
                if len(text) > MOST:
                    raise ValueError("the answer is too large")
        for line in bytes(text).decode("ascii").splitlines():
            ending, _, count = line.strip().partition(":")
            if ending.upper() == rest:
                return count.strip() != "0"
        return False
