"""One Chromium for all browser tests; each test has a scene of its own and leaves the system as it was."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.e2e.browser.networks import Network, network
from tests.e2e.browser.people import ARGUMENTS, CHROMIUM, Scene
from tests.support.accounts import Account
from tests.support.browsers.systems import FORM, running_browser_system
from tests.support.servers import System
from tests.support.shared.systems import SharedSystems

FLEUR = Account("fleur", departments=(FORM,))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest.fixture(scope="module")
def system(shared_systems: SharedSystems, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The system that all tests share, with time for a page and a gateway that a full machine keeps waiting."""
    home = tmp_path_factory.mktemp("system")
    return shared_systems.get("system", lambda: running_browser_system(home, [FLEUR], DEMO_AGENTS="8"))


@pytest.fixture
def sites() -> tuple[str, ...]:
    """Other servers to which the browsers of a scene may go."""
    return ()


@pytest_asyncio.fixture(loop_scope="session")
async def scene(system: System, browser: Browser, sites: tuple[str, ...]) -> AsyncIterator[Scene]:
    """People with browsers, who go home at the end. Where a module has a system of its own, they are there."""
    made = Scene(system.base_url, browser, sites)
    yield made
    await asyncio.to_thread(system.wait_ready)
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def between(system: System) -> AsyncIterator[Network]:
    """A network between browsers and the server, which lets through what a test says."""
    async with network(system.base_url) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def networked(system: System, browser: Browser, between: Network) -> AsyncIterator[Scene]:
    """People whose browsers reach the server through that network alone."""
    made = Scene(between.base, browser)
    yield made
    await asyncio.to_thread(system.wait_ready)
    between.upgrades, between.answers, between.slow = "pass", {}, set()
    between.blocked, between.buffers, between.cuts, between.stale = None, False, None, False
    between.thaw()
    await between.up()
    await made.close()
