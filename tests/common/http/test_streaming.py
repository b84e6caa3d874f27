"""Mirrors services/common/http/streaming.py: over a real server and real sockets."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI

from services.common.http import streaming
from services.common.http.streaming import Streamed
from tests.support.http_server import served
from tests.support.servers import PATIENCE

SIZE = 40_000_000
made = 0
ended = 0


def application() -> FastAPI:
    app = FastAPI()

    def done() -> None:
        global ended
        ended += 1

    async def pieces(broken: bool) -> AsyncIterator[bytes]:
        global made
        for n in range(SIZE // 1_000_000):
            if broken and n == 3:
                raise RuntimeError("the database went away")
            made += 1
            await asyncio.sleep(0)  # as a reader of a database waits
            yield bytes(1_000_000)

    @app.get("/long")
    async def long() -> Streamed:
        return Streamed(pieces(False), done=done)

    @app.get("/broken")
    async def broken(length: bool = False) -> Streamed:
        return Streamed(pieces(True), headers={"Content-Length": str(SIZE)} if length else {}, done=done)

    return app


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    global made, ended
    made = ended = 0
    async with served(application()) as client:
        yield client


async def until_ended(times: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while ended < times:
            await asyncio.sleep(0.02)


async def trickle(answer: aiohttp.ClientResponse) -> None:
    while await answer.content.read(10_000):
        await asyncio.sleep(0.02)


async def test_all_of_it_arrives(http: aiohttp.ClientSession) -> None:
    async with http.get("/long") as answer:
        assert len(await answer.read()) == SIZE
    await until_ended(1)


async def test_no_more_is_made_than_is_read(http: aiohttp.ClientSession) -> None:
    async with http.get("/long") as answer:
        before = -1
        while before != made:  # until nothing more is made
            before = made
            await asyncio.sleep(0.05)
        assert before < 30
        assert not ended
        assert len(await answer.read()) == SIZE
    assert made == SIZE // 1_000_000


@pytest.mark.parametrize("path", ["broken", "broken?length=1"])
async def test_what_breaks_half_way_does_not_look_complete(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(f"/{path}") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    await until_ended(1)


async def test_a_reader_who_takes_nothing_is_ended(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "STALLED", 0.3)
    async with http.get("/long") as answer:
        await until_ended(1)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_reader_who_trickles_is_ended(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LONGEST", 0.5)
    async with http.get("/long") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await trickle(answer)
    await until_ended(1)


async def test_who_goes_away_is_not_made_for(http: aiohttp.ClientSession) -> None:
    answer = await http.get("/long")
    answer.close()
    await until_ended(1)
    assert made < SIZE // 1_000_000
