"""A whole gateway: nothing is opened before it runs, and a drain sends all clients elsewhere."""

import asyncio

import aiohttp
import pytest

from services.common.config.toml_file import ConfigurationError
from services.common.events.presence import GatewayConnections
from services.gateway.app import create_app
from services.gateway.websocket.frames.server import Close
from tests.gateway.browsers import browser, close_code, receive, say
from tests.gateway.making import AN, CHAT
from tests.gateway.standing import Gateway, World
from tests.gateway.test_button_state import button_event
from tests.support.conditions import until
from tests.support.servers import PATIENCE


def test_making_the_application_opens_nothing(world: World) -> None:
    settings = world.settings.model_copy(update={"rabbitmq_url": "amqp://nowhere.invalid/"})
    app = create_app(settings)
    paths = {getattr(route, "path", "") for route in app.routes}
    assert {"/ws/citizen", "/ws/agent", "/api/chats", "/widget.js", "/readyz"} <= paths
    with pytest.raises(ConfigurationError):
        create_app(settings.model_copy(update={"departments_file": settings.departments_file.with_name("none.toml")}))


async def test_it_is_ready_when_broker_and_button_are(world: World, gateway: Gateway) -> None:
    async with asyncio.timeout(PATIENCE):
        while set((await gateway.service.readiness()).values()) != {"ok"}:
            await world.publisher.publish(button_event(9))
            await asyncio.sleep(0.05)


async def test_a_drain_closes_everyone_with_1012_and_takes_its_leave(world: World, gateway: Gateway) -> None:
    token, session = world.others.open(CHAT), world.others.log_in(AN)
    own = {"Origin": f"http://{gateway.address}", "Cookie": f"eloket-agent={session}"}
    async with (
        browser(gateway) as citizen,
        browser(gateway, "/ws/agent", **own) as agent,
        aiohttp.ClientSession(f"http://{gateway.address}") as client,
        client.get("/api/button/events") as stream,
    ):
        await say(citizen, "hello", token=token)
        await say(agent, "hello", chats={})
        await receive(citizen, "message")
        await receive(agent, "welcome")
        draining = asyncio.create_task(gateway.service.drain())
        assert await close_code(citizen) == await close_code(agent) == Close.RESTART
        await asyncio.wait_for(stream.read(), PATIENCE)
        await asyncio.wait_for(draining, PATIENCE)
        async with client.get("/readyz") as ready:
            assert ready.status == 503
    await until(lambda: any(c.leaving for c in world.received(GatewayConnections)), "the last list")


async def test_pages_of_other_sites_may_ask_only_when_they_are_listed(world: World, gateway: Gateway) -> None:
    async with aiohttp.ClientSession(f"http://{gateway.address}") as client:
        asked = {"Origin": "https://evil.be", "Access-Control-Request-Method": "POST"}
        async with client.options("/api/chats", headers=asked) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers
