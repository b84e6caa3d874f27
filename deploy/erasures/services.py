"""Requests of the operator's commands to the services: HTTP with a service token."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.service_programs import KEY_FOLDER
from deploy.local.settings import SERVICES, Refusal, port_variable
from services.common.events.types import Record
from services.common.http.key_ring import KeyRing
from services.common.http.tokens import OPERATOR, Keys

LIMIT = 60.0  # seconds for an answer: a long conversation is deleted meanwhile
WRONG_KEY = (
    "{service} does not accept the key of this command: set OPERATOR_KEY, whose public key is in VERIFICATION_KEYS of "
    "the services, or TOKEN_SECRET, which they accept until TOKEN_KEYS is `only` (docs/rotation.md)"
)


class Refused(Exception):
    """A service refused the request, or does not answer; the exception says why."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Services:
    """The addresses of the services and the keys with which requests to them are signed."""

    urls: Mapping[str, str]
    keys: Keys

    def ask(self, service: str, path: str, body: Record) -> Any:
        """Send a request. Return the JSON of the answer; None when it is empty.

        Raises:
            Refused: The service refuses, or does not answer.
        """
        token = self.keys.service_token(OPERATOR, audience=service)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = body.model_dump_json().encode()
        request = urllib.request.Request(self.urls[service] + path, data, headers)  # noqa: S310 - `find` checks it
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:  # noqa: S310 - the operator's own address
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise _refused(service, error) from None
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            why = type(cause).__name__ if isinstance(cause, Exception) else cause
            raise Refused(f"{service} does not answer at {self.urls[service]} ({why})") from None
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise Refused(f"what answers at {self.urls[service]} is not {service}: its answer is not JSON") from None


def _refused(service: str, error: urllib.error.HTTPError) -> Refused:
    try:
        problem = json.loads(error.read())
        detail, code = str(problem["detail"]), str(problem["code"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return Refused(f"{service} answers with status {error.code}")
    return Refused(WRONG_KEY.format(service=service) if error.code == 401 else detail, code)


def find(environ: Mapping[str, str], root: Path) -> Services | Refusal:
    """Return the services that the environment names, or those of `make run`.

    It has TRANSCRIPTS_URL, ROUTING_URL, PRESENCE_URL, and OPERATOR_KEY or TOKEN_SECRET.
    """
    urls = {}
    for service in ("transcripts", "routing", "presence"):
        port = environ.get(port_variable(service)) or SERVICES[service]
        urls[service] = (environ.get(f"{service.upper()}_URL") or f"http://127.0.0.1:{port}").rstrip("/")
        if not urls[service].startswith(("http://", "https://")):
            return Refusal(f"{service.upper()}_URL must begin with http:// or https://")
    key, secret = environ.get("OPERATOR_KEY", ""), environ.get("TOKEN_SECRET", "")
    if not key and not secret:
        home = (root / (environ.get("DATA_DIR") or ".run")).resolve()
        try:
            key = (home / KEY_FOLDER / OPERATOR).read_text()
        except OSError:
            return Refusal(f"there is no system of `make run` in {home}: start it, or set OPERATOR_KEY or TOKEN_SECRET")
    if not key:
        return Services(urls, Keys(secret))
    try:
        ring = KeyRing(OPERATOR, bytes.fromhex(key), [])
    except ValueError:
        return Refusal("OPERATOR_KEY must have 64 hexadecimal digits (make token-keys)")
    return Services(urls, Keys(secret, ring=ring))
