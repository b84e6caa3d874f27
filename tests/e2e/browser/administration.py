"""Administrators on the console of an installation whose departments and accounts are in the database."""

import contextlib
from collections.abc import Iterator, Sequence

import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.people import Person, Scene
from tests.e2e.browser.test_access_log import officer
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.servers import Broker, System

ADMINISTRATORS = (Account("beheer", role="administrator"), Account("bea", role="administrator"))
REFUSED = r"409|422"  # what the browser says of a refusal
CUT = "ERR_FAILED|dynamically imported"
"""What it says of a request without an answer."""


@contextlib.contextmanager
def administered_system(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str, others: Sequence[Account]
) -> Iterator[System]:
    """Run such a system, with two administrators and these other accounts, while the context is open."""
    home, accounts = tmp_path_factory.mktemp("office"), (*ADMINISTRATORS, *others)
    with running_browser_system(home, accounts, broker, mongodb_url, CONFIG_SOURCE="database") as running:
        yield running


async def administrator(
    scene: Scene, subject: str, shown: str, username: str = "beheer", size: tuple[int, int] | None = None
) -> Person:
    """An administrator who looks at this subject, of which this is shown first."""
    person = await officer(scene, username, "answer-add", size)
    await person.hook(f"subject-{subject}").press("Enter")
    await expect(person.hook(shown)).to_be_visible()
    return person


async def refused(person: Person, address: str, status: int) -> None:
    """Answer the next request for this address with this status; 0: not at all."""

    async def answer(route: Route) -> None:
        await (route.fulfill(status=status, json={"code": "x"}) if status else route.abort())

    await person.page.route(address, answer, times=1)


async def sound(person: Person) -> None:
    """Nothing on the page is wrong for axe, and nothing makes it scroll sideways."""
    assert await problems(person.page) == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await person.page.evaluate(wide) == 0
