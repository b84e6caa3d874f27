"""Checks of names, the scanner, the issuers, breached passwords, the collector, the departments file, the volumes."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.check.result import Result
from deploy.setup import kubectl
from services.common.config.departments import load_departments
from services.common.config.toml_file import ConfigurationError

LIMIT = 10.0  # seconds
MOST = 1_000_000  # bytes of an answer


def name(what: str, url: str) -> Result:
    """Check that the host of an address has an address."""
    host = urlsplit(url).hostname or ""
    try:
        found = sorted({str(one[4][0]) for one in socket.getaddrinfo(host, None)})
    except OSError as error:
        todo = "is the name right, and does the NetworkPolicy `names` fit the cluster's DNS?"
        return Result(f"DNS: {what}", f"{host or 'no host'}: {error.strerror or error}", todo)
    return Result(f"DNS: {what}", f"{host}: {', '.join(found)}")


def scanner(url: str) -> Result:
    """Check that clamd answers its command PING (clamd manual page), at `tcp://host:port` or `unix:/path`."""
    todo = "is ClamAV ready? It loads its signatures for some minutes; uploads are refused until then"
    try:
        with _connected(url) as connection:
            connection.sendall(b"zPING\0")
            answer = connection.recv(64).rstrip(b"\0").decode("ascii", "replace")
    except ValueError:
        return Result("scanner", "is no address", "tcp://host:3310 or unix:/path")
    except OSError as error:
        return Result("scanner", f"no answer ({type(error).__name__})", todo)
    return Result("scanner", f"it says {answer!r}", "" if answer == "PONG" else todo)


def _connected(url: str) -> socket.socket:
    if url.startswith("unix:"):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(LIMIT)
        try:
            made.connect(url.removeprefix("unix:"))
        except OSError:
            made.close()
            raise
        return made
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 3310), LIMIT)


def issuer(url: str, what: str = "OIDC issuer") -> Result:
    """Check that the issuer publishes its configuration under its own name (OpenID Connect Discovery 1.0, 4)."""
    place = f"{url.rstrip('/')}/.well-known/openid-configuration"
    try:
        told = _json(place).get("issuer")
    except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
        return Result(what, f"no configuration ({type(error).__name__})", f"does {place} answer from the cluster?")
    todo = "" if told == url else f"write the issuer as it calls itself: {told}"
    return Result(what, f"it calls itself {told}", todo)


def client_keys(public_url: str, client: str, issuer_url: str) -> Result:
    """Check that an issuer takes the keys that this installation publishes for it, where it publishes any.

    Args:
        public_url: The address of the gateway.
        client: `agents` or `citizens`.
        issuer_url: The issuer.
    """
    what, place = f"keys at the issuer of {client}", f"{public_url.rstrip('/')}/api/oidc-keys/{client}"
    try:
        number = len(_json(place)["keys"])
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return Result(what, "none: presence authenticates by its secret")
        return Result(what, f"not published ({error.code})", f"does presence run? {place}")
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        return Result(what, f"not published ({type(error).__name__})", f"does {place} answer from the internet?")
    try:
        metadata = _json(f"{issuer_url.rstrip('/')}/.well-known/openid-configuration")
        takes = "private_key_jwt" in metadata.get("token_endpoint_auth_methods_supported", ())
    except (OSError, ValueError, AttributeError, TypeError, http.client.HTTPException):
        takes = False
    todo = "" if takes else "the issuer does not say that it takes private_key_jwt: register the client with a secret"
    return Result(what, f"{number} published", todo)


def _json(place: str) -> Any:
    with urllib.request.urlopen(place, timeout=LIMIT) as answer:  # noqa: S310 - the operator's own
        return json.loads(answer.read(MOST))


def breaches(url: str) -> Result:
    """Check that the service of breached passwords knows endings of hashes that begin with 00000, as all do."""
    what, place = "breached passwords", f"{url.rstrip('/')}/00000"
    try:
        with urllib.request.urlopen(place, timeout=LIMIT) as answer:  # noqa: S310 - the operator's own
            first = answer.readline(100).decode("ascii").strip()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Result(what, f"no answer ({type(error).__name__})", f"does {place} answer from the cluster?")
    right = re.fullmatch("[0-9A-Fa-f]{35}:[0-9]+", first) is not None
    todo = "" if right else "give an address whose answers have lines such as 0018A45C4D1DEF81644B54AB7F969B88D65:3"
    return Result(what, "it knows some" if right else "its answer has another form", todo)


def collector(url: str) -> Result:
    """Check that the collector of traces takes a request without spans (OpenTelemetry protocol 1, OTLP/HTTP)."""
    place = f"{url.rstrip('/')}/v1/traces"
    headers = {"Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(place, b"", headers)  # noqa: S310 - the operator's own
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:  # noqa: S310
            return Result("collector of traces", f"it takes traces ({answer.status})")
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = error.code if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        return Result("collector of traces", f"it takes none ({why})", f"does a collector answer at {place}?")


def retention(path: Path) -> Result:
    """Check that the retention periods of every department in this file are confirmed."""
    try:
        departments = load_departments(path)
    except ConfigurationError as error:
        return Result("retention", "the departments file is not valid", str(error))
    open_ = [d.id for d in departments.departments if not departments.periods(d.id).confirmed]
    todo = "set the periods under [retention] and `confirmed` with the day of the decision (docs/operating.md)"
    found = f"not confirmed, nothing is deleted: {', '.join(open_)}" if open_ else "all periods are confirmed"
    return Result("retention", found, todo if open_ else "")


def storage(namespace: str) -> Result:
    """Check that every volume claim of the namespace is bound."""
    command = kubectl.find()
    if command is None:
        return Result("storage", f"there is no kubectl: {kubectl.HOW}", asked=False)
    asked = [command, "-n", namespace, "get", "pvc", "--request-timeout=5s", "--output=json"]
    done = subprocess.run(asked, capture_output=True, text=True)
    if done.returncode != 0:
        return Result("storage", "kubectl reaches no cluster", asked=False)
    return claims(json.loads(done.stdout)["items"])


def claims(items: list[dict[str, dict[str, str]]]) -> Result:
    """Return the result for these PersistentVolumeClaims."""
    waiting = [one["metadata"]["name"] for one in items if one["status"].get("phase") != "Bound"]
    todo = "kubectl describe pvc NAME: has the storage class a provisioner, and is there room?" if waiting else ""
    found = f"not bound: {', '.join(waiting)}" if waiting else f"{len(items)} claims are bound"
    return Result("storage", found, todo)
