"""TLS between services: the certificate with which a service answers, and the CA that verifies the others."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from services.common.config.toml_file import ConfigurationError

log = structlog.get_logger()

CHECK_EVERY = 60.0  # seconds between looks at the files


class ServerCertificate:
    """A certificate and its key in files that are renewed, for instance by cert-manager."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files.

        Args:
            certificate: The certificate with its chain (PEM).
            key: Its key (PEM), without a password.

        Raises:
            ConfigurationError: A file cannot be read, or the key is not that of the certificate.
        """
        self._files = (certificate, key)
        try:
            self._state = self._stamps()
            self._context = self._read()
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"TLS_CERTIFICATE {certificate}, TLS_KEY {key}: {_reason(error)}") from None

    def context_of(self, _: Any, __: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Return the context of the server, for uvicorn's `ssl_context_factory`."""
        return self._context

    async def watch(self) -> None:
        """Read the files again when they have changed, for ever. What cannot be used changes nothing, and is logged.

        New connections get the renewed certificate; those that are open keep theirs.
        """
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                state = self._stamps()
                if state == self._state:
                    continue
                self._read()  # a pair that does not fit would leave the context without a usable key
                self._context.load_cert_chain(*self._files, password=_no_password)
            except (OSError, ssl.SSLError) as error:
                log.warning("certificate_not_read", reason=_reason(error))
            else:
                self._state = state
                log.info("certificate_renewed")

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files, password=_no_password)
        return context

    def _stamps(self) -> list[tuple[int, int, int]]:
        found = [file.stat() for file in self._files]
        return [(one.st_mtime_ns, one.st_size, one.st_ino) for one in found]


def verifying(ca: Path) -> ssl.SSLContext:
    """Return the context of a client that verifies the certificate and the host of each server.

    Args:
        ca: The file of the CA (PEM).

    Raises:
        ConfigurationError: The file cannot be read, or is no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"TLS_CA {ca}: {_reason(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_password() -> str:
    return ""  # instead of a question on the terminal: a key with a password is refused


def _reason(error: OSError | ssl.SSLError) -> str:
    """Return what is wrong, without the content of a file."""
    if isinstance(error, ssl.SSLError):
        return f"not a certificate and its key ({error.reason or 'unreadable'})"
    return f"cannot be read ({error.strerror or type(error).__name__})"
