"""Connections that swallow everything without an error: every link notices it, and all work continues.

How soon is measured by `make chaos`, alone on the machine.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright

from deploy.local import ports
from tests.e2e.browser.people import ARGUMENTS, CHROMIUM
from tests.support.clients import Closed, agent
from tests.support.faults import SERVICES, ready
from tests.support.lasting_clients import talking
from tests.support.servers import PATIENCE, System, brisk, running_system
from tests.system.chaos.network import Links, forwarding

pytestmark = pytest.mark.e2e
INSIDE = ("broker", "database", *SERVICES[1:])
CONNECT = """async ([url, token]) => {
    const { Connection } = await import("/static/shared/connection.js");
    window.said = [];
    const onFrame = ({ type }) => type === "welcome" && window.said.push(type);
    const onState = (state) => window.said.push(state);
    new Connection({ url, hello: () => ({ type: "hello", token, after: 0 }), onFrame, onState }).open();
}"""


@dataclass(frozen=True)
class Spoiled:
    """A system whose every link leads through a process that can spoil it; `gateway`: the link of one browser."""

    system: System
    links: Links


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory, module_vhost_url: str, mongodb_url: str) -> Iterator[Spoiled]:
    home: Path = tmp_path_factory.mktemp("spoiled")
    chosen = ports.remembered(home / "service_ports.json", SERVICES)
    at = ports.remembered(home / "link_ports.json", (*INSIDE, "gateway"), taken=set(chosen.values()))
    servers = chosen | {"broker": port_of(module_vhost_url), "database": port_of(mongodb_url)}
    urls = {f"{name.upper()}_URL": f"http://127.0.0.1:{at[name]}" for name in SERVICES[1:]}
    urls["RABBITMQ_URL"] = brisk(module_vhost_url).replace(f":{servers['broker']}/", f":{at['broker']}/")
    urls["MONGODB_URL"] = mongodb_url.replace(f":{servers['database']}/", f":{at['database']}/")
    urls["MONGODB_PREFIX"] = f"{urlsplit(module_vhost_url).path.strip('/')}-"
    with (
        forwarding({name: [servers[name]] for name in at}, at) as links,
        running_system(home, RATE_LIMITS="off", **urls) as system,
    ):
        yield Spoiled(system, links)


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


@contextlib.asynccontextmanager
async def browser(spoiled: Spoiled, token: str) -> AsyncIterator[Page]:
    """A page whose connection (connection.js) leads through a link of its own; `said` has its states and welcomes."""
    base = f"http://127.0.0.1:{spoiled.links.ports['gateway']}"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await chromium.new_page()
        await page.goto(f"{base}/infofiche/algemeen")
        await page.evaluate(CONNECT, [f"{base.replace('http', 'ws')}/ws/citizen", token])
        yield page
        await chromium.close()


async def welcomed(page: Page, again: bool = False) -> float:
    """Seconds until the page is welcomed; `again`: after it found its connection lost."""
    began = time.monotonic()
    after = "lost" if again else "connecting"
    found = "word => { const i = window.said.indexOf(word); return i >= 0 && window.said.indexOf('welcome', i) > 0; }"
    await page.wait_for_function(found, arg=after, timeout=PATIENCE * 1000)
    return time.monotonic() - began


async def logs_in(base: str) -> float:
    """Seconds until an agent can log in."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(AssertionError, Closed, TimeoutError, aiohttp.ClientError):
            async with agent(base, "bert"):
                return time.monotonic() - began


async def test_when_every_connection_fell_silent_all_goes_on_without_a_restart(spoiled: Spoiled) -> None:
    base = spoiled.system.base_url
    async with talking(base) as talk, browser(spoiled, talk.visitor.token) as page:
        await welcomed(page)
        pids = spoiled.system.pids()
        met = {name: spoiled.links.apply(name, "forget") for name in (*INSIDE, "gateway")}
        assert met["broker"] > 5, met
        assert met["database"] > 2, met
        assert met["gateway"] > 0, met
        flows, again, login = await asyncio.gather(talk.flows(), welcomed(page, again=True), logs_in(base))
        print(f"\n{met}: messages {flows:.1f} s, browser {again:.1f} s, login {login:.1f} s")
        await ready(spoiled.system)
        await talk.check()
        assert spoiled.system.pids() == pids, "nobody needed a restart"
