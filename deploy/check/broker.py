"""Checks of RabbitMQ: address, password, rights, queues, and by its management API members and alarms."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aio_pika
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity
from yarl import URL

from deploy.check.result import Result
from services.common.messaging import topology
from services.common.messaging.connection import REFUSALS, is_refusal
from services.common.messaging.errors import BROKER_ERRORS, given_up_is_failure

LIMIT = 10.0  # seconds for each answer
UNREACHED = "is RabbitMQ up, is the port right, does a NetworkPolicy allow it?"
RIGHTS = "apply deploy/components/rabbitmq/users.yaml of this version"


async def results(url: str) -> AsyncIterator[Result]:
    """Check what a service with this address would find. Nothing that exists is changed."""
    try:
        with given_up_is_failure():
            async with asyncio.timeout(LIMIT):
                connection = await aio_pika.connect(url)
    except REFUSALS as error:
        todo = "compare user, password and virtual host with the Secret (docs/kubernetes.md, Secrets)"
        yield Result("broker: login", f"refused ({type(error).__name__})", todo)
        return
    except BROKER_ERRORS as error:
        if is_refusal(error):
            todo = "name the CA (cafile=ca.crt in the address) and a host of the certificate (docs/kubernetes.md, TLS)"
            yield Result("broker: login", "its certificate is not verified", todo)
            return
        yield Result("broker: login", f"no answer ({type(error).__name__})", UNREACHED)
        return
    async with connection:
        yield Result("broker: login", f"{URL(url).user} at {URL(url).host}")
        try:
            missing = [name for name in _names() if not await _exists(connection, name)]
        except ChannelAccessRefused:
            yield Result("broker: exchanges and queues", "the user may not see them", RIGHTS)
        except BROKER_ERRORS as error:
            yield Result("broker: exchanges and queues", f"no answer ({type(error).__name__})", UNREACHED)
            return
        else:
            todo = "wait for the topology operator (kubectl get queues.rabbitmq.com), or let the services declare them"
            found = f"missing: {', '.join(missing)}" if missing else f"all {len(_names())} are there"
            yield Result("broker: exchanges and queues", found, todo if missing else "")
        refused = await _refused(connection)
        yield Result("broker: rights", refused or "a queue of its own", RIGHTS if refused else "")


def managed(url: str, members: int) -> list[Result]:
    """Check members of queues and alarms of nodes by the management API, `http://user:password@host:15672/<vhost>`."""
    address = URL(url)
    vhost = quote(address.path.strip("/") or "/", safe="")
    try:
        queues, nodes = _asked(address, f"/api/queues/{vhost}"), _asked(address, "/api/nodes")
    except (OSError, ValueError, http.client.HTTPException) as error:
        todo = "is the address that of the management API, and has the user the tag monitoring?"
        return [Result("broker: management", f"no answer ({type(error).__name__})", todo)]
    few = {q["name"]: len(q.get("members", ())) for q in queues if q.get("type") == "quorum"}
    few = {name: number for name, number in sorted(few.items()) if number < members}
    found = ", ".join(f"{name} has {number}" for name, number in few.items()) or f"each has {members} or more"
    todo = "rabbitmq-queues grow NODE all, or see docs/kubernetes.md, Deploying" if few else ""
    alarms = [n["name"] for n in nodes if n.get("mem_alarm") or n.get("disk_free_alarm") or not n.get("running")]
    return [
        Result("broker: members of queues", found, todo),
        Result(
            "broker: nodes",
            f"alarm or down: {', '.join(alarms)}" if alarms else f"{len(nodes)} run, no alarm",
            "publishers are blocked: give the node memory or disk" if alarms else "",
        ),
    ]


def _names() -> list[str]:
    letters = {queue.dead_letters: None for queue in topology.QUEUES}
    return [topology.EXCHANGE, topology.DEAD_EXCHANGE, *(queue.name for queue in topology.QUEUES), *letters]


async def _exists(connection: aio_pika.abc.AbstractConnection, name: str) -> bool:
    """Return whether the exchange or queue exists. The channel is closed by an answer that it does not."""
    with given_up_is_failure():
        async with asyncio.timeout(LIMIT):
            channel = await connection.channel()
            try:
                if name in (topology.EXCHANGE, topology.DEAD_EXCHANGE):
                    await channel.get_exchange(name)
                else:
                    await channel.get_queue(name)
            except ChannelNotFoundEntity:
                return False
            await channel.close()
    return True


async def _refused(connection: aio_pika.abc.AbstractConnection) -> str:
    """Return which right is missing that each service needs: an unnamed queue of its own."""
    try:
        with given_up_is_failure():
            async with asyncio.timeout(LIMIT):
                channel = await connection.channel()
                queue = await channel.declare_queue(exclusive=True)
                await queue.delete()
    except BROKER_ERRORS as error:
        return f"no queue of its own ({type(error).__name__})"
    return ""


def _asked(address: URL, path: str) -> Any:
    token = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
    url = f"{address.scheme}://{address.host}:{address.port}{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {token}"})  # noqa: S310 - the operator's own
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:  # noqa: S310
        return json.loads(answer.read())
