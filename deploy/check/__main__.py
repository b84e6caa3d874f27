"""Asks what the services depend on, and prints what is right and what to do.

RABBITMQ_URL, MONGODB_URL, CLAMD_URL, OIDC_ISSUER, CITIZEN_OIDC_ISSUER, PASSWORD_RANGE_URL and OTLP_ENDPOINT are asked
where they are set: the addresses of a service, through `kubectl port-forward` or from inside the cluster.
PUBLIC_URL shows the keys that are published for the issuers, and which TLS the public door accepts.
RABBITMQ_MANAGEMENT_URL (http://user:password@host:15672) shows the members of queues and alarms, of which MEMBERS (3)
are wanted. INTEGRATIONS_FILE has webhooks, registers of contacts and a mail server: each is asked as transcripts asks
it, with OUTBOX_NETWORKS and OUTBOX_CA_FILE. DEPARTMENTS_FILE shows whether the retention periods are confirmed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.check import broker, database, integrations, others, public_door
from deploy.check.result import Result, table

ADDRESSES = (
    "RABBITMQ_URL",
    "MONGODB_URL",
    "CLAMD_URL",
    "OIDC_ISSUER",
    "CITIZEN_OIDC_ISSUER",
    "PASSWORD_RANGE_URL",
    "OTLP_ENDPOINT",
)
"""The settings of services with an address outside of them, in the order of the table."""


def main() -> int:
    """Print the table. Return 0 when nothing is wrong, 1 when something is, 2 when nothing could be asked."""
    logging.disable()  # messages of the broker's client
    found = asyncio.run(results(os.environ))
    print(table(found))
    if not any(one.asked for one in found):
        print("nothing was asked: set RABBITMQ_URL, MONGODB_URL (docs/kubernetes.md)", file=sys.stderr)
        return 2
    return 1 if any(one.todo for one in found) else 0


async def results(environ: Mapping[str, str]) -> list[Result]:
    """Return the results of every check whose address is set."""
    found: list[Result] = []
    for variable in ADDRESSES:
        if not (url := environ.get(variable)):
            found.append(Result(variable, "is not set", asked=False))
            continue
        if "+srv" not in url and "," not in url and not url.startswith("unix:"):
            found.append(others.name(variable, url))
        found += await _answers(variable, url, environ)
    if public := environ.get("PUBLIC_URL"):
        found += public_door.tls(public)
    else:
        found.append(Result("PUBLIC_URL", "is not set", asked=False))
    if integrations_file := environ.get("INTEGRATIONS_FILE"):
        networks, ca_file = environ.get("OUTBOX_NETWORKS", ""), environ.get("OUTBOX_CA_FILE", "")
        found += await integrations.results(Path(integrations_file), networks, ca_file)
    else:
        found.append(Result("INTEGRATIONS_FILE", "is not set", asked=False))
    if departments := environ.get("DEPARTMENTS_FILE"):
        found.append(others.retention(Path(departments)))
    else:
        found.append(Result("DEPARTMENTS_FILE", "is not set", asked=False))
    return [*found, others.storage(environ.get("NAMESPACE", "eloket-chat"))]


async def _answers(variable: str, url: str, environ: Mapping[str, str]) -> list[Result]:
    """Return what is found at the address of this variable."""
    match variable:
        case "RABBITMQ_URL":
            found = [one async for one in broker.results(url)]
            if management := environ.get("RABBITMQ_MANAGEMENT_URL"):
                members = environ.get("MEMBERS", "3")
                if not members.isdecimal():
                    return [
                        *found,
                        Result("broker: management", f"MEMBERS={members} is no number", "such as MEMBERS=3"),
                    ]
                found += broker.managed(management, int(members))
            return found
        case "MONGODB_URL":
            return [*database.results(url, environ.get("SERVICE", "routing"), environ.get("MONGODB_PREFIX", ""))]
        case "CLAMD_URL":
            return [others.scanner(url)]
        case "OIDC_ISSUER":
            return [others.issuer(url), *_client_keys("agents", url, environ)]
        case "CITIZEN_OIDC_ISSUER":
            return [others.issuer(url, "OIDC issuer of citizens"), *_client_keys("citizens", url, environ)]
        case "PASSWORD_RANGE_URL":
            return [others.breaches(url)]
        case _:
            return [others.collector(url)]


def _client_keys(client: str, issuer: str, environ: Mapping[str, str]) -> list[Result]:
    public = environ.get("PUBLIC_URL")
    return [others.client_keys(public, client, issuer)] if public else []


if __name__ == "__main__":
    sys.exit(main())
