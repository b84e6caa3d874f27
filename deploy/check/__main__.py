"""Asks broker, database, DNS, storage, scanner and OIDC issuer, and prints what is right and what to do.

RABBITMQ_URL, MONGODB_URL, CLAMD_URL and OIDC_ISSUER are asked where they are set: the addresses of a service, through
`kubectl port-forward` or from inside the cluster. RABBITMQ_MANAGEMENT_URL (http://user:password@host:15672) shows the
members of queues and alarms, of which MEMBERS (3) are wanted. DEPARTMENTS_FILE shows whether the retention periods are
confirmed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.check import broker, database, others
from deploy.check.result import Result, table


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
    for variable in ("RABBITMQ_URL", "MONGODB_URL", "CLAMD_URL", "OIDC_ISSUER"):
        url = environ.get(variable)
        if not url:
            found.append(Result(variable, "is not set", asked=False))
            continue
        if "+srv" not in url and "," not in url:
            found.append(others.name(variable, url))
        if variable == "RABBITMQ_URL":
            found += [one async for one in broker.results(url)]
            if management := environ.get("RABBITMQ_MANAGEMENT_URL"):
                found += broker.managed(management, int(environ.get("MEMBERS", "3")))
        elif variable == "MONGODB_URL":
            found += database.results(url, environ.get("SERVICE", "routing"), environ.get("MONGODB_PREFIX", ""))
        elif variable == "CLAMD_URL":
            found.append(others.scanner(url))
        else:
            found.append(others.issuer(url))
    if departments := environ.get("DEPARTMENTS_FILE"):
        found.append(others.retention(Path(departments)))
    else:
        found.append(Result("DEPARTMENTS_FILE", "is not set", asked=False))
    return [*found, others.storage(environ.get("NAMESPACE", "eloket-chat"))]


if __name__ == "__main__":
    sys.exit(main())
