"""A broker of the module's own with the other services' places taken, and the gateway's parts in the middle."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from services.gateway.settings import Settings
from tests.gateway.asking import Client
from tests.gateway.standing import Gateway, Parts, World, around, gateway_of, parts_of
from tests.support.servers import PATIENCE, Account, Broker

LIMITS: dict[str, object] = {
    "services.common.messaging.publisher.CONFIRM_TIMEOUT": PATIENCE,
    "services.common.messaging.connection.CONNECT_TIMEOUT": PATIENCE,
    "services.common.messaging.publisher.PREPARE_TIMEOUT": PATIENCE,
    "services.common.runtime.http_limits.HEAD_SECONDS": PATIENCE,
    "services.common.runtime.http_limits.IDLE_SECONDS": PATIENCE,
    "services.common.runtime.service.DRAIN_LIMIT": PATIENCE,
    "services.gateway.button_state.SILENCE": 10 * PATIENCE,
    "services.gateway.chats.bindings.BIND_LIMIT": PATIENCE,
    "services.gateway.clients.http_client.KEPT": PATIENCE,
    "services.gateway.clients.http_client.SLOW": PATIENCE,
    "services.gateway.clients.http_client.SLOW_AGAIN": PATIENCE,
    "services.gateway.clients.http_client.STREAM_TIMEOUT": aiohttp.ClientTimeout(total=PATIENCE),
    "services.gateway.clients.http_client.TIMEOUT": aiohttp.ClientTimeout(total=PATIENCE),
    "services.gateway.http.dependencies.BODY_SECONDS": PATIENCE,
    "services.gateway.http.files.DISCARDED_SECONDS": PATIENCE,
    "services.gateway.http.files.PACE_SECONDS": PATIENCE,
    "services.gateway.http.citizen.start_chat.HOLD_LIMIT": PATIENCE,
    "services.gateway.participants.citizen.TURN_LIMIT": PATIENCE,
    "services.gateway.sending.send_queue.CONFIRM_PATIENCE": PATIENCE,
    "services.gateway.sending.send_queue.FIRST_CONFIRMED": PATIENCE,
    "services.gateway.websocket.message_limits.TURN_LIMIT": PATIENCE,
    "services.gateway.websocket.session.HELLO_LIMIT": PATIENCE,
}
"""Time limits of a gateway as a test needs them that does not look at one."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are those of the test alone."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds reaches no time limit. A test of a limit sets it anew."""
    for name, value in LIMITS.items():
        monkeypatch.setattr(name, value)


@pytest.fixture
async def world(module_vhost_url: str, patience: None) -> AsyncIterator[World]:
    async with around(module_vhost_url) as one:
        yield one


@pytest.fixture
def account(world: World, broker: Broker) -> Iterator[Account]:
    """An account at the broker of which a test may close all connections."""
    with broker.account(world.url) as one:
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
