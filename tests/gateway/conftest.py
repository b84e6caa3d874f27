"""A broker of the module's own with the other services' places taken, and the gateway's parts in the middle."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.gateway.asking import Client
from tests.gateway.standing import Gateway, Parts, World, around, gateway_of, parts_of


@pytest.fixture
async def world(module_vhost_url: str) -> AsyncIterator[World]:
    async with around(module_vhost_url) as one:
        yield one


@pytest.fixture
async def parts(world: World) -> AsyncIterator[Parts]:
    async with parts_of(world) as one:
        yield one


@pytest.fixture
async def gateway(world: World) -> AsyncIterator[Gateway]:
    """A whole gateway behind a real server."""
    async with gateway_of(world.settings) as one:
        yield one


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=jar) as session:
        yield Client(session)
