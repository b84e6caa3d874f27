"""`services/gateway/http/security_headers.py`: every answer of a gateway says what browsers may do with it."""

import aiohttp

from tests.gateway.asking import Client
from tests.gateway.standing import World, gateway_of

EVIL = {"Host": "evil.example"}
PATHS = [
    "/", "/agent", "/widget.js", "/infofiche/algemeen", "/infofiche/elders", "/favicon.ico", "/static/none",
    "/nowhere", "/api/button", "/api/button?department=elders", "/api/agent/me", "/api/agents", "/api/questions",
    "/api/assignments", "/api/chats/x/transcript", "/api/chats/x/attachments/y", "/healthz", "/metrics",
]  # fmt: skip


async def test_every_answer_has_security_headers(client: Client) -> None:
    for path in PATHS:
        async with client.session.get(path) as answer:
            headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert headers["Referrer-Policy"] in ("no-referrer", "same-origin"), path
        embedded = path.startswith(("/widget.js", "/static/"))
        assert headers["Cross-Origin-Resource-Policy"] == ("cross-origin" if embedded else "same-origin"), path
        assert "Strict-Transport-Security" not in headers, path


async def test_on_https_browsers_stay_with_it(world: World) -> None:
    settings = world.settings.model_copy(update={"trusted_proxies": "127.0.0.1"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        for path in ("/", "/agent", "/api/agent/me", "/infofiche/algemeen", "/nowhere"):
            async with session.get(path, headers={"X-Forwarded-Proto": "https"}) as answer:
                assert answer.headers["Strict-Transport-Security"] == "max-age=31536000", path
        async with session.get("/infofiche/algemeen/", headers=EVIL, allow_redirects=False) as answer:
            assert answer.status == 404
            assert "Location" not in answer.headers
