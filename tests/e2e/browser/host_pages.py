"""Pages of other origins that embed the widget, from a web server of their own with sessions."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

STRICT = "; ".join(
    (
        "default-src 'none'",
        "script-src {chat}",
        "connect-src {chat} {sockets}",
        "img-src blob:",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""The Content-Security-Policy that docs/embedding.md gives, with the strictest of what a page may add."""


@dataclass
class HostPages:
    """The web server: `pages` by path. A session lasts `session` seconds from the last request to `/alive`."""

    port: int
    session: float = 4.0
    pages: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    alive: float = 0.0
    pings: int = 0

    @property
    def origin(self) -> str:
        """The origin that the departments file lists."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def unlisted(self) -> str:
        """Another origin of the same server, which it does not list."""
        return f"http://localhost:{self.port}"

    def add(self, path: str, chat: str, body: str = "", head: str = "", element: str = "", policy: str = "") -> str:
        """Add a page with the widget of this server, and return its address."""
        element = element or '<eloket-chat department="algemeen" locale="nl"></eloket-chat>'
        self.pages[path] = (
            '<!doctype html><html lang="nl"><meta charset="utf-8"><title>Aanvraag</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'{head}<script type="module" src="{chat}/widget.js"></script><body>{body}{element}</body></html>'
        )
        self.policies[path] = policy.format(chat=chat, sockets=chat.replace("http", "ws", 1))
        return self.origin + path

    async def _page(self, request: web.Request) -> web.Response:
        if request.path == "/alive":
            self.alive, self.pings = time.monotonic(), self.pings + 1
            return web.Response(status=204)
        if request.path == "/session":
            over = time.monotonic() - self.alive > self.session
            return web.Response(status=401 if over else 200, text="over" if over else "alive")
        page = self.pages.get(request.path)
        if page is None:
            return web.Response(status=404)
        self.alive = time.monotonic()
        headers = {"Content-Security-Policy": self.policies[request.path]} if self.policies[request.path] else {}
        return web.Response(text=page, content_type="text/html", headers=headers)


@contextlib.asynccontextmanager
async def host_pages(port: int) -> AsyncIterator[HostPages]:
    """Serve pages on this port while the context is open."""
    made = HostPages(port)
    app = web.Application()
    app.router.add_get("/{path:.*}", made._page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_port=True)
    await site.start()
    try:
        yield made
    finally:
        await runner.cleanup()
