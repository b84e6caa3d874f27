"""services/gateway/refusal_log.py: what is logged of refusals, by whom, and how much at most."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from services.gateway import refusal_log
from services.gateway.http import refusals
from services.gateway.refusal_log import FORBIDDEN, INVALID, LIMITED, LINES, RefusalLog
from services.gateway.sending import sender
from services.gateway.websocket import endpoints, session
from services.gateway.websocket.frames.server import Close
from tests.gateway.asking import Client
from tests.gateway.browsers import browser, close_code, receive, say
from tests.gateway.making import AN, CHAT, OTHER, id_of
from tests.gateway.standing import Gateway, World

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """The lines of refusals, which no test before this one has used up."""
    one = RefusalLog()
    for module in (refusal_log, refusals, sender, endpoints, session):
        monkeypatch.setattr(module, "REFUSALS", one)
    with capture_logs([merge_contextvars]) as logs:
        yield logs


def of(lines: Lines, event: str) -> Lines:
    """The lines of this event."""
    return [line for line in lines if line["event"] == event]


async def test_what_an_agent_may_not_do_is_logged_with_who_and_what(world: World, client: Client, lines: Lines) -> None:
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    assert (await client.ask("GET", "/api/assignments?department=algemeen", Cookie=cookie))[0] == 403
    (line,) = of(lines, FORBIDDEN)
    assert {name: line.get(name) for name in ("by", "method", "route", "status", "code", "log_level")} == {
        "by": AN,
        "method": "GET",
        "route": "/api/assignments",
        "status": 403,
        "code": "forbidden",
        "log_level": "warning",
    }


async def test_a_token_that_opens_nothing_is_logged_and_its_absence_is_not(client: Client, lines: Lines) -> None:
    assert (await client.ask("GET", "/api/agent/me"))[0] == 401
    assert (await client.ask("GET", f"/api/chats/{CHAT}/stream"))[0] == 401
    assert of(lines, FORBIDDEN) == []
    assert (await client.ask("GET", "/api/agent/me", Cookie="eloket-agent=stolen"))[0] == 401
    path = f"/api/chats/{CHAT}/stream"
    assert (await client.ask("GET", path, Authorization="Bearer stolen"))[0] == 401
    assert [(line["route"], line.get("of_chat")) for line in of(lines, FORBIDDEN)] == [
        ("/api/agent/me", None),
        ("/api/chats/{chat_id}/stream", CHAT),
    ]
    assert "stolen" not in str(lines)


async def test_what_is_not_as_documented_is_logged_without_it(client: Client, lines: Lines) -> None:
    assert (await client.ask("POST", "/api/agent/session", {"username": "</script>"}))[0] == 422
    assert (await client.ask("GET", "/api/oidc-keys/nonsense"))[0] == 422
    assert (await client.ask("GET", "/api/nowhere"))[0] == 404
    assert [(line["route"], line["code"]) for line in of(lines, INVALID)] == [
        ("/api/agent/session", "invalid"),
        ("/api/oidc-keys/{client}", "invalid"),
    ]
    assert not any(word in str(lines) for word in ("script", "nonsense"))


async def test_frames_and_connections_are_logged_too(world: World, gateway: Gateway, lines: Lines) -> None:
    token = world.others.open(CHAT)
    async with browser(gateway, Origin="https://evil.example") as foreign:
        assert await close_code(foreign) == Close.FORBIDDEN_ORIGIN
    async with browser(gateway) as one:
        await say(one, "hello", token="stolen")
        assert await close_code(one) == Close.UNAUTHENTICATED
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        await receive(one, "welcome")
        await say(one, "message", id="7", text="x")
        assert (await receive(one, "error"))["code"] == "invalid"
    own = {"Origin": f"http://{gateway.address}", "Cookie": f"eloket-agent={world.others.log_in(AN)}"}
    async with browser(gateway, "/ws/agent", **own) as agent:
        await say(agent, "hello", chats={})
        await say(agent, "message", chat_id=OTHER, id=id_of(1), text="geheim")
        assert (await receive(agent, "error"))["code"] == "not_yours"
        await agent.send("nonsense")
        assert await close_code(agent) == Close.BAD_FRAME
    about = ("close", "frame", "participant", "of_chat")
    assert [tuple(line.get(name) for name in about) for line in of(lines, FORBIDDEN)] == [
        (Close.FORBIDDEN_ORIGIN, None, None, None),
        (Close.UNAUTHENTICATED, None, None, None),
        (None, "not_yours", AN, OTHER),
    ]
    assert [tuple(line.get(name) for name in about) for line in of(lines, INVALID)] == [
        (None, "invalid", f"citizen/{CHAT}", None),
        (Close.BAD_FRAME, None, AN, None),
    ]
    assert not any(word in str(lines) for word in ("stolen", "geheim", "nonsense", "evil"))


def test_a_flood_of_one_kind_neither_fills_the_log_nor_hides_another() -> None:
    now = 100.0
    one = RefusalLog(lambda: now)
    with capture_logs() as lines:
        for _ in range(int(LINES.burst) + 500):
            one.note(LIMITED, status=429)
        one.note(FORBIDDEN, status=403)
        now += 1
        for _ in range(3):
            one.note(LIMITED, status=429)
        now += 1
        one.note(LIMITED, status=429)
    assert len(of(lines, LIMITED)) == LINES.burst + 2
    assert len(of(lines, FORBIDDEN)) == 1
    assert [line.get("left_out") for line in of(lines, LIMITED)[-2:]] == [500, 2]
