"""services/presence/agents/breached_passwords.py against a service over HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from services.common.http.problems import Problem
from services.presence.agents import breached_passwords
from services.presence.agents.breached_passwords import MOST, BreachedPasswords
from services.presence.agents.password_rules import PasswordRules
from tests.support.http_server import served
from tests.support.metrics import sample

KNOWN, OTHER = "vier groene fietsen", "zeven gele trams"


def digest(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@dataclass
class Service:
    """What it was asked, and its answers: the lines of each prefix, or something else."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {digest(KNOWN): 7, digest(OTHER): 0})
    instead: Callable[[], Response] | None = None
    silent: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    one, app = Service(), FastAPI()

    @app.get("/range/{prefix}")
    async def answer(request: Request, prefix: str) -> Response:
        one.asked.append((prefix, request.headers.get("add-padding", "")))
        if one.silent:
            await one.over.wait()
        if one.instead is not None:
            return one.instead()
        lines = [f"{'0' * 34}{n}:3" for n in range(3)]
        lines += [f"{found[5:]}:{count}" for found, count in one.counts.items() if found.startswith(prefix)]
        return PlainTextResponse("\r\n".join(lines))

    async with served(app) as client:
        async with client.get("/range/00000") as probe:
            one.url = f"{probe.url.origin()}/range/"
        one.asked.clear()
        yield one
        one.over.set()


@pytest.fixture
async def breaches(service: Service) -> AsyncIterator[BreachedPasswords]:
    made = BreachedPasswords(service.url)
    yield made
    await made.close()


def counted(outcome: str) -> float:
    return sample("eloket_presence_breach_checks_total", {"outcome": outcome}) or 0.0


async def test_a_password_of_a_breach_is_known_and_only_five_digits_are_sent(
    service: Service, breaches: BreachedPasswords
) -> None:
    before = counted("breached"), counted("unknown")
    assert await breaches.has(KNOWN)
    assert not await breaches.has(OTHER), "a count of 0 is padding"
    assert not await breaches.has("een derde")
    assert service.asked[0] == (digest(KNOWN)[:5], "true")
    assert {len(prefix) for prefix, _ in service.asked} == {5}
    assert (counted("breached"), counted("unknown")) == (before[0] + 1, before[1] + 2)


async def test_the_rules_refuse_it(breaches: BreachedPasswords) -> None:
    rules = PasswordRules(breaches=breaches)
    with pytest.raises(Problem) as refused:
        await rules.require_unknown(KNOWN)
    assert (refused.value.status, refused.value.code) == (422, "password_breached")
    await rules.require_unknown(OTHER)
    await PasswordRules().require_unknown(KNOWN)


WRONG: dict[str, Callable[[], Response]] = {
    "an error": lambda: Response(status_code=503),
    "a redirect": lambda: Response(status_code=302, headers={"Location": "/range/00000"}),
    "no text": lambda: Response(b"\xff\xfe"),
    "too much": lambda: Response(b"x" * (MOST + 1)),
}


@pytest.mark.parametrize("why", WRONG)
async def test_a_service_that_cannot_say_refuses_nothing(
    service: Service, breaches: BreachedPasswords, why: str
) -> None:
    before = counted("unavailable")
    service.instead = WRONG[why]
    assert not await breaches.has(KNOWN)
    assert counted("unavailable") == before + 1
    assert len(service.asked) == 1


async def test_a_service_that_does_not_answer_is_not_waited_for(
    service: Service, breaches: BreachedPasswords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breached_passwords, "PATIENCE", 0.05)
    service.silent = True
    assert not await breaches.has(KNOWN)
    nowhere = BreachedPasswords("http://127.0.0.1:9")
    assert not await nowhere.has(KNOWN), "nobody listens there"
    await nowhere.close()
