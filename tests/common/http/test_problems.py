"""`problems.py`: every error is a problem document (RFC 9457) with a code, and reveals nothing it should not."""

import http
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from services.common.events.types import Record
from services.common.http import problems
from services.common.http.problems import Problem
from tests.support.http_server import served


class Body(Record):
    name: str
    count: int = 0


def application() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/blue")
    async def blue() -> None:
        raise Problem(409, "button_blue", "Not now.", {"Retry-After": "3"}, infofiche_url="/infofiche/algemeen")

    @app.post("/body")
    async def body(body: Body) -> Body:
        return body

    @app.get("/teapot/{number}")
    async def teapot(number: int) -> None:
        raise HTTPException(number, "as asked", {"X-More": "yes"})

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("An Peeters wrote: help")

    @app.get("/surrogate")
    async def surrogate() -> None:
        raise Problem(422, "invalid", "There is no \ud800 here.")

    return app


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with served(application()) as client:
        yield client


async def document(answer: aiohttp.ClientResponse, status: int, code: str) -> dict[str, Any]:
    """The problem document in this answer, after all that is the same in each was seen to be so."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    answered: dict[str, Any] = await answer.json(content_type=None)
    assert answered["status"] == status
    assert answered["code"] == code
    assert answered["title"] == http.HTTPStatus(status).phrase
    assert answered["type"] == "about:blank"
    assert answered["detail"]
    return answered


async def test_a_problem_has_its_code_its_headers_and_its_own_members(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/blue")
    assert (await document(answer, 409, "button_blue"))["infofiche_url"] == "/infofiche/algemeen"
    assert answer.headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{", "body.1"),
        (b"{}", "body.name"),
        (b"[]", "body"),
        (b'{"name": "x", "count": "many"}', "body.count"),
        (rb'{"name": "\ud800"}', "body.name"),
    ],
)
async def test_an_invalid_request_is_answered_with_the_place_and_never_the_value(
    client: aiohttp.ClientSession, body: bytes, place: str
) -> None:
    answer = await client.post("/body", data=body, headers={"Content-Type": "application/json"})
    answered = await document(answer, 422, "invalid")
    assert [error["at"] for error in answered["errors"]] == [place]
    assert "many" not in await answer.text()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/body", 405, "method_not_allowed"),
        ("GET", "/teapot/400", 400, "invalid"),
        ("GET", "/teapot/401", 401, "unauthenticated"),
        ("GET", "/teapot/403", 403, "forbidden"),
        ("GET", "/teapot/413", 413, "too_large"),
        ("GET", "/teapot/418", 418, "error"),
    ],
)
async def test_every_other_error_has_a_code_too(
    client: aiohttp.ClientSession, method: str, path: str, status: int, code: str
) -> None:
    await document(await client.request(method, path), status, code)


async def test_headers_of_an_error_are_kept(client: aiohttp.ClientSession) -> None:
    assert (await client.get("/teapot/418")).headers["X-More"] == "yes"
    assert (await client.delete("/body")).headers["Allow"] == "POST"


async def test_an_unexpected_error_reveals_nothing_of_its_cause(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/broken")
    await document(answer, 500, "unexpected")
    assert "Peeters" not in await answer.text()


async def test_a_lone_surrogate_in_the_words_is_no_second_error(client: aiohttp.ClientSession) -> None:
    assert "\ud800" in (await document(await client.get("/surrogate"), 422, "invalid"))["detail"]
