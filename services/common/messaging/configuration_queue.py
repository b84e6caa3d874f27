"""The departments that presence stores, as the other services receive them (`CONFIG_SOURCE=database`).

Each process has an exclusive queue of its own. Gateway, routing and transcripts hold the newest version that they have
received (`ConfigurationFollower`). Presence repeats the number of the newest version, so a process that lacks it asks
for it; one that starts asks until it has a version. Routing and transcripts sign no tokens and may not connect to
presence, so this is done over the broker (docs/decisions/0056).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import ValidationError

from services.common.config.stored_text import StoredText
from services.common.events.codec import decode
from services.common.events.configuration import ConfigurationVersion, ConfigurationWanted
from services.common.events.event import Event
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection
from services.common.messaging.publisher import Publisher

log = structlog.get_logger()

ASK_EVERY = 2.0  # seconds between two requests for a version that does not come, spread at random
PREPARE_LIMIT = 30.0  # seconds


class ConfigurationQueue:
    """The queue of one process, on a connection of its own. What it receives is passed to a function."""

    def __init__(self, url: str, service: str, publisher: Publisher, handle: Callable[[Event], None]) -> None:
        """Create a queue that is not declared; `run` declares it.

        Args:
            url: The address of the broker.
            service: The name of the service.
            publisher: The service's publisher: the exchange exists when it is up.
            handle: Called with each event.
        """
        self._publisher, self._handle = publisher, handle
        self._key = topology.CONFIGURATION_KEYS[service]
        self.link = BrokerConnection(url, f"{service}.configuration", self._prepare)

    async def run(self) -> None:
        """Receive until cancelled."""
        await self._publisher.link.up.wait()
        await self.link.run()

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(PREPARE_LIMIT):
            exchange = await channel.get_exchange(topology.EXCHANGE)
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments=dict[str, Any](topology.CONFIGURATION_QUEUE_ARGUMENTS)
            )
            await queue.bind(exchange, self._key)
            await queue.consume(self._receive, no_ack=True)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        try:
            event = decode(message.body)
        except ValidationError:
            log.warning("configuration_event_not_understood", key=message.routing_key)
        else:
            self._handle(event)


class ConfigurationFollower:
    """Holds the newest version of the departments that presence has sent to this process."""

    def __init__(self, url: str, service: str, publisher: Publisher, held: StoredText) -> None:
        """Create a follower that has no version yet.

        Args:
            url: The address of the broker.
            service: The name of the service.
            publisher: The service's publisher, for requests.
            held: Where the newest version is held.
        """
        self._publisher, self._held = publisher, held
        self._newest = 1  # the number of the newest version that is known to exist; presence has one always
        self._lacks = asyncio.Event()
        self._lacks.set()
        self._queue = ConfigurationQueue(url, service, publisher, self.handle)

    async def run(self) -> None:
        """Receive versions, and ask for one that is missing, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            group.create_task(self._ask())

    def handle(self, event: Event) -> None:
        """Hold a version that is newer, or notice that there is one."""
        if not isinstance(event, ConfigurationVersion):
            return
        self._newest = max(self._newest, event.version)
        if event.text is not None and self._held.take(event.version, event.text):
            log.info("configuration_received", version=event.version)
        if self._held.version >= self._newest:
            self._lacks.clear()
        else:
            self._lacks.set()

    async def _ask(self) -> None:
        while True:
            await self._lacks.wait()
            await self._queue.link.up.wait()  # the answer would be lost before
            await self._publisher.publish_best_effort(ConfigurationWanted(version=self._held.version))
            await asyncio.sleep(ASK_EVERY * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
