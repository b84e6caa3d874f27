"""A gateway of an installation whose departments and accounts are in the database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from services.common.events.configuration import ConfigurationVersion
from services.common.events.types import Record
from services.common.internal_api import transcripts as transcripts_api
from tests.gateway.asking import Client
from tests.gateway.http.citizen.test_after_chat import limited_client
from tests.gateway.standing import World, kept


@contextlib.asynccontextmanager
async def administered_client(world: World, answers: Mapping[str, Record]) -> AsyncIterator[Client]:
    """A browser's side of the gateway, which has its departments. `answers`: those of the other services, by path."""
    world.others.fixed.update(answers)
    text = world.settings.departments_file.read_text("utf-8")

    async def send() -> None:
        """Presence sends its version, which the gateway needs to begin."""
        while True:
            await world.publisher.publish_best_effort(ConfigurationVersion(version=4, text=text))
            await asyncio.sleep(0.1)

    async with kept(send()), limited_client(world, config_source="database") as one:
        yield one


def asked(world: World, path: str) -> list[str]:
    """The bodies of the requests that a service got at this path."""
    return [body for asked_path, body in world.others.asked if asked_path == path]


def noted(world: World) -> list[transcripts_api.AccessNoted]:
    """The notes for the access log."""
    return [transcripts_api.AccessNoted.model_validate_json(body) for body in asked(world, transcripts_api.ACCESS_NOTE)]
