"""`services/gateway/http/citizen/reservations.py` behind a real server: an open form, then its chat."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from services.common.clock import utcnow
from services.common.events.chats import ChatOpened
from services.common.events.types import ButtonReason, ChatStatus, Choice, ChoiceRule, Hold
from services.common.http import tokens
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.gateway import button_state
from tests.gateway.asking import Client, long, show
from tests.gateway.making import AN, view
from tests.gateway.standing import KEYS, World, gateway_of
from tests.support.servers import PATIENCE

DEPARTMENT = "algemeen"
CHOICE = Choice(rule=ChoiceRule.ONLY_ONE, candidates=1, speaks=True, chats=0, idle_for=1.0)
HOLD = Hold(agent_id=AN, agent_name="An", choice=CHOICE)
LAPSED = (409, "reservation_lapsed")


@pytest.fixture
async def client(world: World, tmp_path: Path) -> AsyncIterator[Client]:
    """A browser at a gateway whose department asks first."""
    file, name = tmp_path / "departments.toml", f'id = "{DEPARTMENT}"'
    text = world.settings.departments_file.read_text("utf-8")
    file.write_text(text.replace(name, f'{name}\nstart = "form"', 1), "utf-8")
    async with (
        gateway_of(world.settings.model_copy(update={"departments_file": file})) as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        yield Client(session)


def wishes(world: World) -> list[presence_api.ReserveQuery]:
    """What presence was asked to reserve."""
    asked = [body for path, body in world.others.asked if path == presence_api.RESERVE]
    return [presence_api.ReserveQuery.model_validate_json(body) for body in asked]


async def reserve(client: Client, key: str = "formulier", **members: object) -> str:
    status, answered, headers = await client.ask("POST", "/api/reservations", members, Idempotency_Key=long(key))
    assert (status, answered["expires_in"], headers["Cache-Control"]) == (201, 60, "no-store")
    token: str = answered["reservation"]
    return token


async def test_an_open_form_reserves_a_slot_that_its_chat_gets(world: World, client: Client) -> None:
    await show(world, client)
    token = await reserve(client, locale="fr", browser="b" * 22)
    repeat = await reserve(client, locale="fr", browser="b" * 22)
    assert KEYS.reservation_of(repeat) == KEYS.reservation_of(token), "a repeat is the same form"
    assert KEYS.chat_of(token) is None, "it is no token of a chat"
    chat_id, department = KEYS.reservation_of(token) or ("", "")
    assert department == DEPARTMENT
    assert {(w.chat_id, w.department, w.locale, w.seconds, w.renew) for w in wishes(world)} == {
        (chat_id, DEPARTMENT, "fr", 60, False)
    }
    admitted = [routing_api.AdmitQuery.model_validate_json(b) for p, b in world.others.asked if p == routing_api.ADMIT]
    assert {(a.chat_id, a.reserves, bool(a.browser)) for a in admitted} == {(chat_id, 60, True)}
    await show(world, client, green=False, revision=10)
    world.others.held = presence_api.Held(hold=HOLD)
    status, started, _ = await client.press("sleutel", reservation=token, question="Mag dit?")
    assert (status, started["chat_id"]) == (201, chat_id)
    (opened,) = await world.receive(ChatOpened)
    assert (opened.chat_id, opened.held, opened.question) == (chat_id, HOLD, "Mag dit?")
    world.others.chats[chat_id] = view(1, ChatStatus.WAITING, chat_id=chat_id, opened_at=opened.opened_at)
    assert (await client.press("sleutel", reservation=token, question="Mag dit?"))[1] == started
    assert len(world.received(ChatOpened)) == 1


async def test_a_reservation_is_renewed_and_released(world: World, client: Client) -> None:
    await show(world, client)
    token = await reserve(client)
    await show(world, client, green=False, revision=10)
    status, answered, _ = await client.ask("POST", "/api/reservations/renew", {"reservation": token})
    assert (status, answered.keys(), answered["expires_in"]) == (200, {"reservation", "expires_in"}, 60)
    assert KEYS.reservation_of(answered["reservation"]) == KEYS.reservation_of(token)
    assert [w.renew for w in wishes(world)] == [False, True]
    world.others.reserved = presence_api.Reserved(reason=ButtonReason.BUSY)
    status, answered, _ = await client.ask("POST", "/api/reservations/renew", {"reservation": token})
    assert (status, answered["code"]) == LAPSED
    assert (await client.ask("POST", "/api/reservations/release", {"reservation": token}))[0] == 204
    released = [body for path, body in world.others.asked if path == presence_api.RELEASE]
    assert [presence_api.ReleaseQuery.model_validate_json(b).chat_id for b in released] == [wishes(world)[0].chat_id]


async def test_what_is_no_reservation_is_none(world: World, client: Client) -> None:
    await show(world, client)
    for token in ("", "x", KEYS.chat_token(wrong := "11111111-2222-4333-8444-555555555555")):
        status, answered, _ = await client.ask("POST", "/api/reservations/renew", {"reservation": token})
        assert (status, answered["code"]) == LAPSED
        assert (await client.ask("POST", "/api/reservations/release", {"reservation": token}))[0] == 204
    assert [p for p, _ in world.others.asked if p in (presence_api.RESERVE, presence_api.RELEASE)] == []
    other = KEYS.reservation_token(wrong, "premies")
    for token in ("x", other):
        status, started, _ = await client.press(None, reservation=token)
        assert (status, started["chat_id"] == wrong) == (201, False), "a press like any other"


async def test_a_reservation_whose_chat_is_over_or_unknown_starts_an_ordinary_one(world: World, client: Client) -> None:
    await show(world, client)
    token = await reserve(client)
    chat_id, _ = KEYS.reservation_of(token) or ("", "")
    world.others.spent.add(chat_id)
    status, started, _ = await client.press("sleutel", reservation=token)
    assert status == 201
    assert started["chat_id"] != chat_id


async def test_a_form_gets_no_slot_where_a_press_would_get_none(world: World, client: Client) -> None:
    status, answered, _ = await client.ask("POST", "/api/reservations", {"department": "premies"})
    assert (status, answered["code"]) == (409, "not_a_form")
    assert (await client.ask("POST", "/api/reservations", {"department": "x"}))[1]["code"] == "unknown_department"
    await show(world, client, green=False)
    assert (await client.ask("POST", "/api/reservations", {}))[1]["code"] == "button_blue"
    assert wishes(world) == []
    await show(world, client, revision=10)
    world.others.reserved = presence_api.Reserved(reason=ButtonReason.BUSY)
    status, answered, _ = await client.ask("POST", "/api/reservations", {})
    assert (status, answered["code"], answered["reason"]) == (409, "button_blue", "busy")
    world.others.admitted = routing_api.Admitted(full_for=30)
    assert (await client.ask("POST", "/api/reservations", {}))[1]["code"] == "rate_limited"
    world.others.away.add(presence_api.RESERVE)
    world.others.admitted = routing_api.Admitted()
    assert (await client.ask("POST", "/api/reservations", {}))[1]["code"] == "unavailable"
    assert (await client.ask("POST", "/api/reservations", {}, Origin="https://elders.example"))[0] == 403
    assert (await client.ask("POST", "/api/reservations", {}, Idempotency_Key="1"))[0] == 422


async def test_a_press_on_a_page_that_still_shows_green_may_wait(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(button_state, "LATE_PRESS", PATIENCE)  # a full machine is slow
    await show(world, client, revision=9)
    green = (await client.ask("GET", "/api/button"))[1]["revision"]
    await show(world, client, green=False, revision=10)
    assert (await client.press(None))[0] == 409, "a client that does not say what it saw"
    assert (await client.press(None, seen=green - 1))[0] == 409, "an earlier green"
    assert (await client.press(None, seen=green))[0] == 201
    holds = [presence_api.HoldQuery.model_validate_json(b) for p, b in world.others.asked if p == presence_api.HOLD]
    assert [h.green for h in holds] == [True]


async def test_a_renewal_returns_a_token_that_lives_on_and_an_old_one_reserves_nothing(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await show(world, client)
    token, now = await reserve(client), utcnow()
    monkeypatch.setattr(tokens, "utcnow", lambda: now + timedelta(seconds=tokens.RESERVATION_LIFE - 60))
    _, answered, _ = await client.ask("POST", "/api/reservations/renew", {"reservation": token})
    monkeypatch.setattr(tokens, "utcnow", lambda: now + timedelta(seconds=tokens.RESERVATION_LIFE + 1))
    status, refused, _ = await client.ask("POST", "/api/reservations/renew", {"reservation": token})
    assert (status, refused["code"]) == LAPSED
    assert (await client.ask("POST", "/api/reservations/renew", answered))[0] == 200
