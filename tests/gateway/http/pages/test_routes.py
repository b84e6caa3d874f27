"""`services/gateway/http/pages/routes.py`: pages with their headers, and nothing but them."""

import aiohttp
import pytest
from yarl import URL


@pytest.mark.parametrize("path", ["/", "/agent", "/infofiche/algemeen"])
async def test_every_page_has_a_strict_policy(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy = dict(p.strip().split(" ", 1) for p in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert not any("unsafe" in p for p in policy.values())
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["/", "/agent", "/widget.js", "/favicon.ico", "/static/shared/dom.js", "/infofiche/premies", "/toegankelijkheid"],
)
async def test_the_head_of_a_page_or_file_is_that_of_its_get(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as whole, client.head(path) as head:
        same = [
            {k: v for k, v in one.headers.items() if k not in ("Date", "Content-Encoding")} for one in (whole, head)
        ]
        assert (head.status, await head.read()) == (200, b"")
        assert same[0] == same[1]


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.js",
        "/static/package.json",
        "/static/eslint.config.js",
        "/static/node_modules/eslint/package.json",
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static/%2fetc/passwd",
        "/static//etc/passwd",
        "/static/01234567/",
        "/static/01234567/nothing.js",
        "/static/01234567/../settings.py",
        "/static/01234567/01234567/shared/dom.js",
        "/static/0123456/shared/dom.js",
        "/static/0123456g/shared/dom.js",
        "/static/loket-chat",
        "/static/loket-chat/widget.js%00",
        "/static/loket-chat/./widget.js",
        "/infofiche/elders",
        "/infofiche/..%2f..",
    ],
)
async def test_nothing_else_is_there(client: aiohttp.ClientSession, origin: str, path: str) -> None:
    url = URL(f"{origin}{path}", encoded=True)  # as it stands, dots and all
    async with client.get(url) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"


async def test_the_info_sheet_speaks_the_readers_language(client: aiohttp.ClientSession) -> None:
    async with client.get("/infofiche/premies", headers={"Accept-Language": "fr-BE"}) as answer:
        assert answer.headers["Content-Language"] == "fr"
        assert 'lang="fr"' in await answer.text()
    async with client.get("/infofiche/premies?lang=de", headers={"Accept-Language": "fr-BE"}) as answer:
        assert answer.headers["Content-Language"] == "de"
    async with client.get("/infofiche/premies?lang=<script>") as answer:
        assert answer.headers["Content-Language"] == "nl"
        assert "<script>" not in await answer.text()
