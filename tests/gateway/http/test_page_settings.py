"""`services/gateway/http/pages/routes.py`: pages get the settings that the services apply."""

import aiohttp

from tests.gateway.asking import Client
from tests.gateway.standing import World, gateway_of


async def test_pages_get_the_limits_and_the_time_zone_of_this_installation(world: World, client: Client) -> None:
    status, answered, headers = await client.ask("GET", "/api/settings")
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=60")
    assert answered == {
        "timezone": "Europe/Brussels",
        "attachment_bytes": 10 * 1024 * 1024,
        "attachment_count": 20,
        "attachment_total": 50 * 1024 * 1024,
        "citizen_access": 48 * 3600,
    }


async def test_pages_get_what_the_environment_says(world: World) -> None:
    change = {"timezone": "Atlantic/Azores", "attachment_bytes": 1_000_000, "attachment_count": 3}
    settings = world.settings.model_copy(update=change)
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        _, answered, _ = await Client(session).ask("GET", "/api/settings")
    assert {name: answered[name] for name in change} == change
