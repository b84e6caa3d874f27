"""`services/gateway/http/citizen/start_chat.py` behind a real server: pressing the button."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from services.common.config.departments import load_departments
from services.common.events.chats import ChatOpened
from services.common.events.types import ButtonReason, ChatStatus, Choice, ChoiceRule, Hold
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.messaging import connection
from services.gateway import button_state, rate_limits
from services.gateway.http.citizen import chats, start_chat
from services.gateway.http.citizen.start_chat import Starting
from services.gateway.http.citizen.start_request import Source, StartChat, members_of
from services.gateway.identifying_numbers import NumberRules
from tests.gateway.asking import Client, long, show
from tests.gateway.making import AN, value_of, view
from tests.gateway.standing import KEYS, Parts, World, gateway_of
from tests.gateway.test_button_state import button_event
from tests.support.conditions import until
from tests.support.servers import PATIENCE, ROOT

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
CHOICE = Choice(rule=ChoiceRule.LANGUAGE, candidates=3, speaks=True, chats=0, idle_for=12.5)
HOLD = Hold(agent_id=AN, agent_name="An", choice=CHOICE)
HERE = Source("2001:db8::/64")
SEEN = "<b>An</b>"
HTML = f"{SEEN} \u202e\u200b"


async def test_a_press_opens_a_chat_with_all_that_was_given(world: World, client: Client) -> None:
    await show(world, client)
    form = {"id": "aanvraag-42", "title": HTML, "url": "https://loket.be/premie?stap=2"}
    form |= {"step": "Stap 2", "field": HTML, "error": "IBAN-07"}
    members: dict[str, Any] = {
        "department": "algemeen",
        "locale": "fr",
        "name": f" {HTML} ",
        "question": f" {HTML} ",
        "form": form,
    }
    status, started, headers = await client.press(None, **members, unknown={"x": 1})
    assert status == 201
    assert headers["Cache-Control"] == "no-store"
    assert started.keys() == {"chat_id", "token", "websocket"}
    assert KEYS.chat_of(started["token"]) == started["chat_id"]
    opened = (await world.receive(ChatOpened))[0]
    assert (opened.chat_id, opened.locale, opened.name) == (started["chat_id"], "fr", SEEN), "of a name what is seen"
    assert opened.question == f" {HTML} ", "kept unchanged"
    assert opened.form is not None
    assert opened.form.model_dump() == form | {"title": SEEN, "field": SEEN}


def test_a_repeat_without_a_place_in_the_form_is_the_request_of_the_version_before() -> None:
    """During an update it reaches replicas of both versions, which derive the chat's id from its members."""
    form = StartChat.model_validate({"form": {"id": "aanvraag-42"}}).model_dump()["form"]
    assert form == {"id": "aanvraag-42", "title": None, "url": None}
    form = StartChat.model_validate({"form": {"step": "Stap 2"}}).model_dump()["form"]
    assert form == {"id": None, "title": None, "url": None, "step": "Stap 2"}


@pytest.mark.parametrize("locale", [None, "es", "NL", "", "nl-BE"])
async def test_nothing_need_be_given_and_another_language_is_dutch(
    world: World, client: Client, locale: str | None
) -> None:
    await show(world, client)
    status, _, _ = await client.press(locale=locale, name=" ", question="\n ")
    assert status == 201
    opened = (await world.receive(ChatOpened))[0]
    assert (opened.locale, opened.name, opened.question, opened.form) == ("nl", None, None, None)


async def test_a_blue_button_opens_nothing(world: World, client: Client) -> None:
    await show(world, client, green=False)
    status, problem, _ = await client.press()
    assert (status, problem["code"], problem["infofiche_url"]) == (409, "button_blue", "/infofiche/algemeen")
    assert (await client.press(department="elders"))[1]["code"] == "unknown_department"
    assert world.received(ChatOpened) == []


def holds(world: World) -> list[presence_api.HoldQuery]:
    """What presence was asked for."""
    return [presence_api.HoldQuery.model_validate_json(b) for p, b in world.others.asked if p == presence_api.HOLD]


async def test_a_slot_is_reserved_before_the_chat_is_opened(world: World, client: Client) -> None:
    await show(world, client)
    world.others.held = presence_api.Held(hold=HOLD)
    status, started, _ = await client.press("sleutel", locale="fr")
    opened = (await world.receive(ChatOpened))[0]
    assert (status, opened.chat_id, opened.held) == (201, started["chat_id"], HOLD)
    assert [(h.chat_id, h.department, h.locale) for h in holds(world)] == [(started["chat_id"], "algemeen", "fr")]


async def test_a_press_that_was_a_moment_too_late_waits_in_the_queue_or_is_blue(world: World, client: Client) -> None:
    await show(world, client)
    world.others.held = presence_api.Held(may_wait=True, reason=ButtonReason.BUSY)
    assert (await client.press())[0] == 201
    assert [o.held for o in await world.receive(ChatOpened)] == [None]
    for reason, said in (("busy", "busy"), ("closed", "closed"), ("available", "busy")):
        world.others.held = presence_api.Held(reason=ButtonReason(reason))
        status, problem, _ = await client.press("sleutel")
        assert (status, problem["code"], problem["reason"]) == (409, "button_blue", said)
        assert problem["infofiche_url"] == "/infofiche/algemeen"
    assert len(world.received(ChatOpened)) == 1
    world.others.held = presence_api.Held(hold=HOLD)
    assert (await client.press("sleutel"))[0] == 201, "nothing is remembered of a press that was refused"


BUSY: dict[str, Any] = {"green": False, "reason": ButtonReason.BUSY}


async def shown(world: World, client: Client, why: str, **state: Any) -> None:
    """Presence publishes this state, and the gateway has handled it."""
    async with asyncio.timeout(PATIENCE):
        while (await client.ask("GET", "/api/button"))[1]["reason"] != why:
            await world.publisher.publish(button_event(**state))
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def queueing(world: World, tmp_path: Path) -> AsyncIterator[Client]:
    """A gateway whose default department lets citizens wait when all agents are busy."""
    text = world.settings.departments_file.read_text("utf-8").replace("origins = []", 'busy = "queue"', 1)
    departments = tmp_path / "departments.toml"
    departments.write_text(text, "utf-8")
    settings = world.settings.model_copy(update={"departments_file": departments})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        yield Client(session)


async def test_who_chooses_to_wait_joins_the_queue_of_busy_agents(world: World, tmp_path: Path) -> None:
    async with queueing(world, tmp_path) as client:
        await shown(world, client, "busy", revision=9, **BUSY)
        assert (await client.press())[1]["code"] == "button_blue", "only who asks for it waits"
        status, started, _ = await client.press("sleutel", queue=True)
        assert status == 201
        assert [(o.chat_id, o.held) for o in await world.receive(ChatOpened)] == [(started["chat_id"], None)]
        assert [h.again for h in holds(world)] == [False]
        assert (await client.press("sleutel", queue=True))[1] == started, "a repeat is the same chat"
        assert (await client.press("sleutel"))[1]["code"] == "invalid", "another request has another key"
        world.others.held = presence_api.Held(hold=HOLD)
        assert (await client.press(queue=True))[0] == 201, "an agent who is free meanwhile takes it"


async def test_a_full_queue_and_a_queue_that_is_not_known_are_refused(world: World, tmp_path: Path) -> None:
    async with queueing(world, tmp_path) as client:
        await shown(world, client, "busy", revision=9, **BUSY)
        world.others.held = presence_api.Held(reason=ButtonReason.BUSY)
        status, problem, _ = await client.press(queue=True)
        assert (status, problem["code"], problem["infofiche_url"]) == (409, "queue_full", "/infofiche/algemeen")
        world.others.held = presence_api.Held(reason=ButtonReason.CLOSED)
        status, problem, _ = await client.press(queue=True)
        assert (status, problem["code"], problem["reason"]) == (409, "button_blue", "closed")
        world.others.away.add(presence_api.HOLD)
        assert (await client.press(queue=True))[0] == 503
        assert world.received(ChatOpened) == []


async def test_no_press_waits_for_a_closed_office_or_without_an_agent(
    world: World, client: Client, tmp_path: Path
) -> None:
    async with queueing(world, tmp_path) as other:
        for revision, reason in enumerate((ButtonReason.CLOSED, ButtonReason.NO_AGENTS), 9):
            await shown(world, other, reason.value, revision=revision, green=False, reason=reason)
            status, problem, _ = await other.press(queue=True)
            assert (status, problem["code"], problem["reason"]) == (409, "button_blue", reason.value)
    await shown(world, client, "busy", revision=20, **BUSY)
    assert (await client.press(queue=True))[1]["code"] == "button_blue", "this department offers no queue"
    assert holds(world) == []


async def test_a_block_applies_to_who_chooses_to_wait(world: World, tmp_path: Path) -> None:
    world.others.admitted = routing_api.Admitted(blocked_for=60)
    async with queueing(world, tmp_path) as client:
        await shown(world, client, "busy", revision=9, **BUSY)
        for key in (None, "sleutel"):
            assert (await client.press(key, queue=True))[1]["code"] == "blocked"


async def test_a_key_of_version_one_stays_the_same(world: World) -> None:
    members = '{"department":null,"locale":null,"name":"An","browser":null,"question":null,"form":null}'
    assert members_of(StartChat(name="An")) == members
    assert members_of(StartChat(name="An", seen=7, reservation="x")) == members
    form = '{"id":"f","title":null,"url":null}'
    given: dict[str, Any] = {"name": "An", "form": {"id": "f"}}
    assert members_of(StartChat.model_validate(given)) == members.replace('"form":null', f'"form":{form}')
    later: list[dict[str, Any]] = [{"queue": True}, {"form": {"id": "f", "step": "2"}}]
    assert len({members_of(StartChat.model_validate(given | more)) for more in ({}, *later)}) == 3


async def test_a_blue_button_requests_no_slot(world: World, client: Client) -> None:
    await show(world, client, green=False)
    assert (await client.press())[0] == 409
    assert holds(world) == []


@pytest.mark.parametrize("fault", ["away", "declined", "slow"])
async def test_a_chat_is_opened_without_a_slot_when_presence_is_unavailable(
    world: World, client: Client, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await show(world, client)
    over = asyncio.Event()

    async def wait() -> None:
        await asyncio.wait_for(over.wait(), PATIENCE)

    if fault == "away":
        world.others.away.add(presence_api.HOLD)
    elif fault == "declined":
        world.others.refused[presence_api.HOLD] = Problem(404, "not_found", "an older presence")
    else:
        monkeypatch.setattr(start_chat, "HOLD_LIMIT", 0.1)
        world.others.meanwhile[presence_api.HOLD] = wait
    async with asyncio.timeout(PATIENCE):
        assert (await client.press())[0] == 201
    over.set()
    assert [o.held for o in await world.receive(ChatOpened)] == [None]


async def test_two_presses_with_one_key_at_once_are_one_chat(world: World, client: Client) -> None:
    await show(world, client)
    world.others.held = presence_api.Held(hold=HOLD)
    answers = await asyncio.gather(*(client.press("sleutel") for _ in range(5)), client.press("andere"))
    assert [a[0] for a in answers] == [201] * 6
    assert len({a[1]["chat_id"] for a in answers[:5]}) == 1
    assert answers[5][1]["chat_id"] != answers[0][1]["chat_id"]
    assert len(await world.receive(ChatOpened, 2)) == 2
    assert len(holds(world)) == 2


def repeated() -> float:
    """How many presses joined another one with their key."""
    return value_of(start_chat.PRESSES, "_total", department="algemeen", outcome="repeated")


async def test_a_press_that_is_refused_is_refused_to_all_who_made_it_at_once(world: World, client: Client) -> None:
    await show(world, client)
    world.others.held, before = presence_api.Held(reason=ButtonReason.BUSY), repeated()

    async def join() -> None:
        await until(lambda: repeated() - before == 2, "the other two")

    world.others.meanwhile[presence_api.HOLD] = join
    answers = await asyncio.gather(*(client.press("sleutel") for _ in range(3)))
    assert [(a[0], a[1]["code"]) for a in answers] == [(409, "button_blue")] * 3
    assert len(holds(world)) == 1


def started_by(world: World, parts: Parts) -> Starting:
    departments = load_departments(world.settings.departments_file)
    return Starting(
        parts.publisher,
        parts.presence,
        parts.routing,
        parts.bindings,
        parts.tasks,
        parts.buttons,
        departments,
        KEYS,
        NumberRules(departments),
    )


async def test_a_gateway_gets_the_events_of_a_chat_before_its_citizen_is_there(world: World, parts: Parts) -> None:
    parts.buttons.handle(button_event(9))
    started = await started_by(world, parts).start(StartChat(), None, HERE)
    await until(lambda: started.chat_id in parts.bindings.late, "the binding, which goes later")
    assert started.chat_id in parts.bindings.bound
    assert parts.idle, "a citizen who never comes leaves nothing"


async def test_a_citizen_with_a_slot_is_not_refused_because_it_made_the_button_blue(world: World, parts: Parts) -> None:
    one = started_by(world, parts)
    parts.buttons.handle(button_event(9))
    world.others.held = presence_api.Held(hold=HOLD)
    parts.publisher.broken = True
    with pytest.raises(Problem, match="unavailable"):
        await one.start(StartChat(), long("sleutel"), HERE)
    parts.publisher.broken = False
    parts.buttons.handle(button_event(10, green=False))
    another = started_by(world, parts)
    with pytest.raises(Problem, match="button_blue"):
        await another.start(StartChat(), None, HERE)
    assert len(holds(world)) == 1, "without a key there is nothing to find again"
    world.others.held = presence_api.Held(reason=ButtonReason.BUSY)
    with pytest.raises(Problem, match="button_blue"):
        await another.start(StartChat(), long("andere"), HERE)
    world.others.held = presence_api.Held(hold=HOLD)
    started = await another.start(StartChat(), long("sleutel"), HERE)
    opened = (await world.receive(ChatOpened))[0]
    assert (opened.chat_id, opened.held) == (started.chat_id, HOLD)
    assert [h.again for h in holds(world)] == [False, True, True], "a blue button gives nobody a new place"


async def test_a_repeated_press_is_one_chat_even_when_the_button_is_blue_by_then(world: World, client: Client) -> None:
    await show(world, client)
    first = await client.press("sleutel")
    assert (await client.press("sleutel"))[1] == first[1]
    other = await client.press("andere")
    assert other[1]["chat_id"] != first[1]["chat_id"]
    await show(world, client, green=False, revision=10)
    again = await client.press("sleutel")
    assert (again[0], again[1]) == (201, first[1])
    assert (await client.press("nieuwe"))[0] == 409
    assert len(await world.receive(ChatOpened, 2)) == 2


async def test_a_press_that_another_replica_took_is_the_same_chat(world: World, client: Client) -> None:
    await show(world, client)
    first = (await client.press("sleutel"))[1]
    chat_id = first["chat_id"]
    opened = (await world.receive(ChatOpened))[0].opened_at
    world.others.chats[chat_id] = view(1, ChatStatus.WAITING, chat_id=chat_id, opened_at=opened)
    await show(world, client, green=False, revision=10)
    async with gateway_of(world.settings) as replica, aiohttp.ClientSession(f"http://{replica.address}") as session:
        assert (await Client(session).press("sleutel"))[1] == first
        world.others.chats[chat_id] = view(1, ChatStatus.CLOSED, chat_id=chat_id, opened_at=LONG_AGO)
        assert (await Client(session).press("sleutel"))[0] == 409, "after ten minutes it is a new press"


async def test_an_id_that_ended_before_it_was_opened_is_not_used_again(world: World, client: Client) -> None:
    """A gateway crashed between the reservation and the opening of the chat, and the slot was released.

    A chat with that id would be closed at once.
    """
    await show(world, client)
    world.others.held = presence_api.Held(reason=ButtonReason.BUSY)
    assert (await client.press("sleutel"))[0] == 409
    (asked,) = holds(world)
    world.others.spent.add(asked.chat_id)
    world.others.held = presence_api.Held(hold=HOLD)
    status, started, _ = await client.press("sleutel")
    assert status == 201
    assert started["chat_id"] != asked.chat_id
    assert (await client.press("sleutel"))[1] == started


WRONG: tuple[object, ...] = (
    b"{",
    b"[]",
    b'{"name":"\\ud800"}',
    {"name": 7},
    {"name": "x" * 201},
    {"name": "a\0b"},
    {"question": "x" * 4_001},
    {"question": ["x"]},
    {"form": "x"},
    {"form": {"url": "javascript:alert(1)"}},
    {"form": {"url": "https://"}},
    {"form": {"url": "//loket.be"}},
    {"form": {"url": "http://[::1"}},
    {"form": {"title": "x" * 501}},
    {"form": {"step": "x" * 201}},
    {"form": {"field": "a\0b"}},
    {"form": {"error": 7}},
    {"department": 1},
)


async def test_a_wrong_press_is_invalid(world: World, client: Client) -> None:
    await show(world, client)
    for body in WRONG:
        status, problem, _ = await client.ask("POST", "/api/chats", body)
        assert (status, problem["code"]) == (422, "invalid"), body
    assert world.received(ChatOpened) == []


async def test_a_press_has_bounds(world: World, client: Client) -> None:
    assert (await client.ask("POST", "/api/chats", {"question": "x" * 65_536}))[0] == 413
    for key in ("x" * 256, "", "1", "x" * 21):
        status, problem, _ = await client.ask("POST", "/api/chats", {}, Idempotency_Key=key)
        assert (status, problem["code"]) == (422, "invalid"), key


async def test_without_a_broker_a_press_is_503_and_the_button_unknown_but_the_pages_are_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = world.settings.model_copy(update={"rabbitmq_url": "amqp://127.0.0.1:9/"})
    monkeypatch.setattr(connection, "ABSENT_AFTER", 10 * PATIENCE)
    async with (
        gateway_of(settings, connected=False) as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}") as session,
    ):
        client = Client(session)
        status, problem, headers = await client.press()
        assert (status, problem["code"], headers["Retry-After"]) == (503, "unavailable", "5")
        assert (await client.ask("GET", "/api/button"))[1]["reason"] == "unknown"
        assert (await client.ask("GET", "/readyz"))[0] == 503, "the first connection is waited for"
        monkeypatch.setattr(connection, "ABSENT_AFTER", 0.0)
        monkeypatch.setattr(button_state, "FIRST_WAIT", 0.0)
        async with asyncio.timeout(PATIENCE):
            while (await client.ask("GET", "/readyz"))[0] != 200:
                await asyncio.sleep(0.02)
        said = (await client.ask("GET", "/readyz"))[1]
        assert (said["status"], said["checks"]["broker"]) == ("degraded", "not_yet")
        for page in ("/widget.js", "/infofiche/algemeen", "/agent"):
            async with session.get(page) as answer:
                assert answer.status == 200
        assert (await client.ask("GET", "/healthz"))[0] == 200


async def test_too_many_presses_from_one_address_are_429(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (rate_limits.CHATS_PER_ADDRESS.burst, rate_limits.BARE_CHATS_PER_ADDRESS.burst) == (60, 20)
    bursts = {"CHATS_PER_ADDRESS": 6, "BARE_CHATS_PER_ADDRESS": 2}
    for name, burst in bursts.items():
        monkeypatch.setattr(chats, name, rate_limits.Limit(burst, 1e-6))
    settings = world.settings.model_copy(update={"rate_limits": "on"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client, origin = Client(session), {"Origin": f"http://{gateway.address}"}
        for most, headers in ((6, origin), (2, {})):  # a browser names its page
            answers = [await client.ask("POST", "/api/chats", {}, **headers) for _ in range(most)]
            assert [a[0] for a in answers] == [409] * most
            status, problem, said = await client.ask("POST", "/api/chats", {}, **headers)
            assert (status, problem["code"]) == (429, "rate_limited")
            assert int(said["Retry-After"]) >= 1


# ── who may press ────────────────────────────────────────────────────────────────────────────────────────────────────

LISTED, ELSEWHERE = "https://www.stad.be", "https://premies.be"


@pytest.fixture
async def listed(world: World, tmp_path: Path) -> AsyncIterator[Client]:
    """A gateway where one site is listed for the department `algemeen`, and another one for `premies`."""
    text = world.settings.departments_file.read_text("utf-8").replace("origins = []", f'origins = ["{LISTED}"]', 1)
    text = text.replace('id = "premies"\n', f'id = "premies"\norigins = ["{ELSEWHERE}"]\n')
    departments = tmp_path / "departments.toml"
    departments.write_text(text, "utf-8")
    settings = world.settings.model_copy(update={"departments_file": departments, "trusted_proxies": "127.0.0.1"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client = Client(session)
        await show(world, client)
        yield client


PRESSED_FROM: tuple[tuple[dict[str, str], int], ...] = (
    ({}, 201),
    ({"Origin": "{own}"}, 201),
    ({"Origin": "{own}", "Sec_Fetch_Site": "same-origin"}, 201),
    ({"Origin": LISTED}, 201),
    ({"Origin": LISTED, "Sec_Fetch_Site": "cross-site"}, 201),
    ({"Sec_Fetch_Site": "none"}, 201),
    ({"Host": "loket.be", "Origin": "https://loket.be", "X_Forwarded_Proto": "https"}, 201),
    ({"Host": "loket.be:443", "Origin": "https://loket.be", "X_Forwarded_Proto": "https"}, 201),
    ({"Host": "loket.be", "Origin": "http://loket.be", "X_Forwarded_Proto": "https"}, 403),
    ({"Origin": ELSEWHERE}, 403),  # it may embed another department
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Origin": "{own}.evil.example"}, 403),
    ({"Origin": f"{LISTED}.evil.example"}, 403),
    ({"Origin": "{own}", "Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "same-site"}, 403),
)


async def test_only_our_own_pages_and_those_listed_press_the_button(world: World, listed: Client) -> None:
    own, opened = await listed.origin(), 0
    for headers, status in PRESSED_FROM:
        given = {name: value.replace("{own}", own) for name, value in headers.items()}
        answered, said, _ = await listed.ask("POST", "/api/chats", {}, **given)
        assert answered == status, (headers, said)
        opened += status == 201
        if status == 403:
            assert said["code"] == "origin_not_allowed"
        assert len(holds(world)) == opened, headers
    assert len(await world.receive(ChatOpened, opened)) == opened


@pytest.mark.parametrize("path", ["/api/chats", "/api/chats/{chat}/question", "/api/agent/session"])
async def test_a_body_that_does_not_say_it_is_json_is_refused(world: World, client: Client, path: str) -> None:
    """What a form or a page of another site can send without asking first (CORS simple requests)."""
    await show(world, client)
    chat_id = str(uuid4())
    path, bearer = path.replace("{chat}", chat_id), f"Bearer {KEYS.chat_token(chat_id)}"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", "*/*"):
        status, problem, _ = await client.ask("POST", path, {}, Content_Type=kind, Authorization=bearer)
        assert (status, problem["code"]) == (415, "unsupported_media_type"), kind
    async with client.session.post(path, data=b"{}", skip_auto_headers=["Content-Type"]) as answer:
        assert answer.status in (401, 415)
    assert world.received(ChatOpened) == []


async def test_json_may_name_its_character_set_and_an_empty_body_needs_no_type(world: World, client: Client) -> None:
    await show(world, client)
    assert (await client.ask("POST", "/api/chats", {}, Content_Type="Application/JSON; charset=utf-8"))[0] == 201
    assert (await client.ask("POST", "/api/chats"))[0] == 201


# ── one key, one request ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_with_another_body_or_origin_is_refused_and_gives_no_other_chat(
    world: World, client: Client
) -> None:
    await show(world, client)
    _, first, _ = await client.press("sleutel", name="An")
    for members in ({"name": "Bert"}, {}, {"name": "An", "question": "Hoe?"}):
        status, problem, _ = await client.press("sleutel", **members)
        assert (status, problem["code"]) == (422, "invalid"), members
        assert "token" not in problem
    own = await client.origin()
    headers = {"Idempotency_Key": long("sleutel"), "Origin": own}
    assert (await client.ask("POST", "/api/chats", {"name": "An"}, **headers))[0] == 422
    assert (await client.press("sleutel", name="An", unknown=1))[1] == first, "what is ignored makes no difference"
    assert len(await world.receive(ChatOpened)) == 1


async def test_two_requests_with_one_key_at_once_are_not_one_chat(world: World, client: Client) -> None:
    await show(world, client)
    answers = await asyncio.gather(*(client.press("sleutel", name=name) for name in ("An", "Bert", "An", "Bert")))
    assert sorted(a[0] for a in answers) == [201, 201, 422, 422]
    assert len({a[1]["chat_id"] for a in answers if a[0] == 201}) == 1


async def test_another_replica_refuses_another_request_with_the_same_key(world: World, client: Client) -> None:
    await show(world, client)
    first = (await client.press("sleutel", name="An"))[1]
    chat_id, opened = first["chat_id"], (await world.receive(ChatOpened))[0].opened_at
    world.others.chats[chat_id] = view(1, ChatStatus.WAITING, chat_id=chat_id, opened_at=opened)
    async with gateway_of(world.settings) as replica, aiohttp.ClientSession(f"http://{replica.address}") as session:
        other = Client(session)
        await show(world, other)
        assert (await other.press("sleutel", name="Bert"))[0] == 422
        assert (await other.press("sleutel", name="An"))[1] == first
        world.others.chats[chat_id] = view(1, ChatStatus.CLOSED, chat_id=chat_id, opened_at=LONG_AGO)
        status, later, _ = await other.press("sleutel", name="Bert")
        assert status == 201, "after ten minutes it is a new press"
        assert later["chat_id"] != chat_id


# ── whom routing does not admit ──────────────────────────────────────────────────────────────────────────────────────


def wishes(world: World) -> list[routing_api.AdmitQuery]:
    """What routing was asked for."""
    return [routing_api.AdmitQuery.model_validate_json(b) for p, b in world.others.asked if p == routing_api.ADMIT]


@pytest.mark.parametrize("key", [None, "sleutel"])
@pytest.mark.parametrize(
    ("answer", "status", "code", "wait"),
    [
        (routing_api.Admitted(blocked_for=3_000), 403, "blocked", "3000"),
        (routing_api.Admitted(full_for=30), 429, "rate_limited", "30"),
    ],
)
async def test_who_is_blocked_or_has_enough_chats_gets_no_slot(
    world: World, client: Client, key: str | None, answer: routing_api.Admitted, status: int, code: str, wait: str
) -> None:
    await show(world, client)
    started = (await client.press("eerder"))[1]
    asked = len(holds(world))
    world.others.admitted = answer
    refused, problem, headers = await client.press(key)
    assert (refused, problem["code"], headers["Retry-After"]) == (status, code, wait)
    assert len(holds(world)) == asked, "an agent is not bothered"
    assert len(await world.receive(ChatOpened)) == 1
    assert (await client.press("eerder"))[1] == started, "a repeat is the same chat"
    world.others.admitted = routing_api.Admitted()
    assert (await client.press(key))[0] == 201


async def test_routing_gets_digests_that_are_the_same_for_one_browser(world: World, client: Client) -> None:
    await show(world, client)
    for browser in ("a" * 22, "a" * 22, "b" * 64, None):
        assert (await client.press("sleutel" if browser else None, browser=browser))[0] in (201, 422)
    asked = wishes(world)
    assert len({w.address for w in asked}) == 1
    assert len({w.browser for w in asked}) == 3
    assert "127.0.0.1" not in str(asked)
    assert "a" * 22 not in str(asked)
    for wrong in ("a" * 21, "a" * 65, "a b" * 10, "é" * 30, 7):
        assert (await client.press(browser=wrong))[0] == 422


async def test_without_an_answer_of_routing_a_chat_is_opened(world: World, client: Client) -> None:
    await show(world, client)
    world.others.refused[routing_api.ADMIT] = Problem(404, "not_found", "an older routing")
    assert (await client.press())[0] == 201
    assert (await client.press("sleutel"))[0] == 201


async def test_identifying_numbers_of_the_start_are_masked_and_a_repeat_is_the_same_chat(
    world: World, client: Client
) -> None:
    await show(world, client)
    number = "85.07.30-033.28"
    given: dict[str, Any] = {"name": f"An {number}", "question": f"Ik ben {number}", "form": {"error": number}}
    _, first, _ = await client.press("sleutel", **given)
    _, second, _ = await client.press("sleutel", **given)
    assert first == second
    [opened] = await world.receive(ChatOpened)
    assert (opened.name, opened.question) == ("An •••••••••28", "Ik ben •••••••••28")
    assert opened.form is not None
    assert opened.form.error == "•••••••••28"


async def test_a_department_refuses_identifying_numbers_at_the_start(world: World, tmp_path: Path) -> None:
    text = (ROOT / "deploy/departments.toml").read_text("utf-8")
    text = text.replace("origins = []", 'origins = []\nnumbers = {national = "refuse", card = "allow"}', 1)
    file = tmp_path / "departments.toml"
    file.write_text(text, "utf-8")
    settings = world.settings.model_copy(update={"departments_file": file})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client = Client(session)
        await show(world, client)
        async with session.get("/api/button") as answer:
            assert (await answer.json())["numbers"] == {"national": "refuse", "card": "allow"}
        for member in ("name", "question"):
            status, problem, _ = await client.press(None, **{member: "ik ben 85073003328"})
            assert (status, problem["code"], problem["kinds"]) == (422, "identifying_number", ["national"])
        assert holds(world) == [], "no slot is reserved for it"
        assert (await client.press(None, form={"error": "85073003328"}))[0] == 201
        [opened] = await world.receive(ChatOpened)
        assert opened.form is not None
        assert opened.form.error == "•••••••••28"
