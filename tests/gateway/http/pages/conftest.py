"""The routes of pages and files alone, with their headers, on a port of their own."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI

from services.common.http import problems
from services.common.http.security_headers import SecurityHeaders
from services.gateway.button_state import Buttons
from services.gateway.http.pages import routes as pages
from services.gateway.http.security.security_headers import headers_of
from services.gateway.settings import Settings
from tests.gateway.standing import listening
from tests.gateway.test_button_state import DEPARTMENTS


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Where the pages are."""
    app = FastAPI()
    problems.install(app)
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.refresh()
    settings = Settings(token_secret="a secret of the tests alone")
    pages.install(app, buttons, DEPARTMENTS, settings)
    app.add_middleware(SecurityHeaders, headers_of=headers_of(settings))
    async with listening(app, ws="none") as (_, address):
        yield f"http://{address}"


@pytest.fixture
async def client(origin: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(origin) as session:
        yield session
