"""services/routing/api.py: chats as others are shown them, and transfers, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from structlog.testing import capture_logs

from services.common.events.chats import ChatState, CloseRequested, QueueChanged, TransferRefused
from services.common.events.places import PlaceClaimed, PlaceReleased, PlacesChanged, PlaceWanted
from services.common.events.types import Choice, ChoiceRule, CloseReason, ReleaseReason
from services.common.http.service_tokens import AGENT_HEADER
from services.common.http.tokens import Agent, Keys
from services.common.internal_api.erasures import ERASE_CHAT
from services.common.internal_api.routing import AGENT_CHATS, ASSIGNMENTS, CHATS, TOKEN_REVOKE, TRANSFER, Assignments
from services.routing.app import create_app
from services.routing.chats import rules
from services.routing.settings import RoutingSettings
from tests.routing.scene import SECRET, Scene
from tests.support import token_keys
from tests.support.conditions import until
from tests.support.http_server import served
from tests.support.servers import PATIENCE


@pytest.fixture
async def client(
    scene: Scene, vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with a service token, of a whole service on the same broker and database as `scene`.

    Its timers judge nothing: by its clock, the chats of `scene` are as old as the test.
    """
    settings = RoutingSettings(
        token_secret=SECRET,
        rabbitmq_url=vhost_url,
        mongodb_url=mongodb_url,
        mongodb_prefix=mongodb_prefix,
        settle_limit=3_600,
    )
    app = create_app(settings)
    async with served(app) as session:
        session.headers["Authorization"] = f"Bearer {Keys(SECRET).service_token('gateway')}"
        async with asyncio.timeout(PATIENCE):
            while set((await app.state.service.readiness()).values()) != {"ok"}:
                await asyncio.sleep(0.05)
        yield session


@pytest.fixture
async def keyed(
    scene: Scene, vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with the gateway's token, of a service that believes presence alone of an agent."""
    settings = RoutingSettings(
        token_secret=token_keys.SECRET,
        token_keys="only",
        verification_keys=token_keys.PUBLIC,
        rabbitmq_url=vhost_url,
        mongodb_url=mongodb_url,
        mongodb_prefix=mongodb_prefix,
        settle_limit=3_600,
    )
    async with served(create_app(settings)) as session:
        token = token_keys.keys_of("gateway").service_token("gateway", None, "routing")
        session.headers["Authorization"] = f"Bearer {token}"
        yield session


async def ask(client: aiohttp.ClientSession, path: str, **body: object) -> list[dict[str, Any]]:
    async with client.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        chats: list[dict[str, Any]] = (await answer.json())["chats"]
        return chats


async def transfer(client: aiohttp.ClientSession, **body: object) -> tuple[int, str | None]:
    async with client.post(TRANSFER, json=body) as answer:
        return answer.status, (await answer.json())["code"] if answer.status >= 400 else None


async def test_chats_are_shown_with_their_position_in_the_queue(client: aiohttp.ClientSession, scene: Scene) -> None:
    first, second, other = await scene.press(), await scene.press(), await scene.press("premies")
    await scene.assign(other, "an")
    shown = {c["chat_id"]: c for c in await ask(client, CHATS, chat_ids=[first, second, other, "unknown"])}
    assert {i: (c["state"], c["position"]) for i, c in shown.items()} == {
        first: ("waiting", 1),
        second: ("waiting", 2),
        other: ("assigned", None),
    }
    assert (shown[other]["agent_id"], shown[other]["agent_name"]) == ("an", "An")
    assert (shown[first]["name"], shown[first]["question"]) == ("An Peeters", "Wat nu?")


async def test_a_closed_chat_is_shown_and_one_whose_opening_is_unknown_is_not(
    client: aiohttp.ClientSession, scene: Scene
) -> None:
    chat_id = await scene.press()
    await scene.handle(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
    await scene.handle(CloseRequested(chat_id="never opened", by=CloseReason.CITIZEN))
    (shown,) = await ask(client, CHATS, chat_ids=[chat_id, "never opened"])
    assert (shown["state"], shown["reason"], shown["position"]) == ("closed", "citizen", None)
    assert shown["closed_at"] is not None
    async with client.post(CHATS, json={"chat_ids": [chat_id, "never opened", "unheard of"]}) as response:
        assert (await response.json())["spent"] == ["never opened"]


async def test_an_agents_open_chats_are_theirs_alone(client: aiohttp.ClientSession, scene: Scene) -> None:
    mine, closed, theirs, _ = [await scene.press() for _ in range(4)]
    await scene.assign(mine, "an")
    await scene.assign(closed, "an")
    await scene.assign(theirs, "bert")
    await scene.handle(CloseRequested(chat_id=closed, by=CloseReason.AGENT, agent_id="an"))
    assert [c["chat_id"] for c in await ask(client, AGENT_CHATS, agent_id="an")] == [mine]


async def test_a_transfer_to_a_department_publishes_and_requests_at_once(
    client: aiohttp.ClientSession, scene: Scene
) -> None:
    chat_id, waiting = await scene.press(), await scene.press("premies")
    await scene.assign(chat_id, "an")
    assert await transfer(client, chat_id=chat_id, agent_id="an", to_department="premies") == (204, None)
    state = await scene.observer.wait_for(ChatState, lambda s: s.turn == 2)
    assert (state.state, state.department, state.cause) == ("waiting", "premies", "transferred")
    assert (state.agent_id, state.former_agent_id) == (None, "an")
    await scene.observer.wait_for(PlaceWanted, lambda w: (w.chat_id, w.turn, w.department) == (chat_id, 2, "premies"))
    await scene.observer.wait_for(QueueChanged, lambda q: q.department == "premies" and q.order == [chat_id, waiting])

    async def published() -> bool:
        return (await scene.chat(chat_id)).untold_since is None

    async with asyncio.timeout(PATIENCE):
        while not await published():
            await asyncio.sleep(0.01)


async def test_a_transfer_to_a_colleague_requests_their_slot(client: aiohttp.ClientSession, scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    with capture_logs() as logged:
        assert await transfer(client, chat_id=chat_id, agent_id="an", to_agent="bert") == (204, None)
    (line,) = (one for one in logged if one["event"] == "chat_requeued")
    assert (line["department"], line["wanted_agent_id"], line["former_agent_id"]) == ("algemeen", "bert", "an")
    wanted = await scene.observer.wait_for(PlaceWanted, lambda w: w.turn == 2)
    assert (wanted.agent_id, wanted.department) == ("bert", "algemeen")


async def test_a_transfer_whose_answer_was_lost_is_answered_again(client: aiohttp.ClientSession, scene: Scene) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    for _ in range(2):
        assert await transfer(client, chat_id=chat_id, agent_id="an", to_agent="bert") == (204, None)
    assert (await scene.chat(chat_id)).turn == 2, "once"
    await scene.assign(chat_id, "bert", turn=2)
    assert await transfer(client, chat_id=chat_id, agent_id="an", to_agent="bert") == (204, None)
    assert await transfer(client, chat_id=chat_id, agent_id="an", to_agent="cas") == (403, "not_yours")


async def test_a_transferred_chat_is_shown_so_and_with_why_it_came_back(
    client: aiohttp.ClientSession, scene: Scene
) -> None:
    chat_id = await scene.press()
    await scene.assign(chat_id, "an")
    assert await transfer(client, chat_id=chat_id, agent_id="an", to_agent="bert") == (204, None)
    await scene.assign(chat_id, "bert", turn=2)
    (shown,) = await ask(client, AGENT_CHATS, agent_id="bert")
    assert (shown["transferred"], shown["returned"]) == (True, None)
    await scene.handle(TransferRefused(chat_id=chat_id, agent_id="bert"))
    (shown,) = await ask(client, CHATS, chat_ids=[chat_id])
    assert (shown["state"], shown["detail"], shown["returned"]) == ("waiting", "refused", None)
    await scene.assign(chat_id, "an", turn=3)
    (shown,) = await ask(client, AGENT_CHATS, agent_id="an")
    assert (shown["transferred"], shown["returned"]) == (False, "refused")


async def test_assignments_are_listed_with_their_reasons(client: aiohttp.ClientSession, scene: Scene) -> None:
    choice = Choice(rule=ChoiceRule.FEWEST_CHATS, candidates=2, speaks=True, chats=0, idle_for=9)
    chat_id, other = await scene.press(), await scene.press("premies")
    await scene.handle(PlaceClaimed(chat_id=chat_id, turn=1, agent_id="an", agent_name="An", choice=choice))
    await scene.handle(PlaceReleased(chat_id=chat_id, turn=1, agent_id="an", reason=ReleaseReason.AGENT_GONE))
    await scene.assign(chat_id, "bert", turn=2)
    await scene.assign(other, "cas")

    async def assignments(**query: object) -> list[tuple[str, int, str]]:
        async with client.post(ASSIGNMENTS, json=query) as answer:
            assert answer.status == 200, await answer.text()
            found = Assignments.model_validate(await answer.json()).assignments
        assert all(a.choice == choice for a in found if a.agent_id == "an")
        return [(a.chat_id, a.turn, a.agent_id) for a in found]

    assert await assignments(chat_id=chat_id) == [(chat_id, 2, "bert"), (chat_id, 1, "an")]
    assert await assignments(chat_id="unknown") == []
    assert await assignments(chat_id=chat_id, departments=["algemeen"]) == await assignments(chat_id=chat_id)
    async with client.post(ASSIGNMENTS, json={"chat_id": chat_id, "departments": ["premies"]}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")
    assert await assignments(departments=["algemeen"]) == [(chat_id, 2, "bert"), (chat_id, 1, "an")]
    assert await assignments(departments=["algemeen", "premies"], limit=2) == [(other, 1, "cas"), (chat_id, 2, "bert")]


async def test_who_waits_is_shown_how_long_it_may_take(client: aiohttp.ClientSession, scene: Scene) -> None:
    await scene.queue_store.note_slots(PlacesChanged(department="algemeen", free=0, revision=1, places=2))
    for _ in range(3):
        await scene.queue_store.add_handled("algemeen", 60)
    first, second = await scene.press(), await scene.press()
    shown = {c["chat_id"]: c["wait"] for c in await ask(client, CHATS, chat_ids=[first, second])}
    assert shown == {first: 30, second: 60}


async def test_a_transfer_that_cannot_be_is_refused_and_changes_nothing(
    client: aiohttp.ClientSession, scene: Scene
) -> None:
    chat_id, waiting = await scene.press(), await scene.press()
    await scene.assign(chat_id, "an")
    before = await scene.chat(chat_id)
    assert await transfer(client, chat_id=chat_id, agent_id="bert", to_department="premies") == (403, "not_yours")
    assert await transfer(client, chat_id="x", agent_id="an", to_department="premies") == (404, "no_such_chat")
    assert await transfer(client, chat_id=chat_id, agent_id="an", to_department="moon") == (409, "unavailable")
    assert await transfer(client, chat_id=waiting, agent_id="an", to_department="premies") == (409, "unavailable")
    assert await transfer(client, chat_id=chat_id, agent_id="an") == (422, "invalid")
    assert await scene.chat(chat_id) == before


@pytest.mark.parametrize("path", [CHATS, AGENT_CHATS, ASSIGNMENTS, TRANSFER])
async def test_without_a_service_token_nothing_is_answered(client: aiohttp.ClientSession, path: str) -> None:
    for token in ("", "Bearer nonsense", f"Bearer {Keys(SECRET).chat_token('0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a23')}"):
        body = {"chat_ids": [], "chat_id": "c", "agent_id": "an", "to_agent": "bert"}
        async with client.post(path, json=body, headers={"Authorization": token}) as answer:
            assert answer.status == 401
            assert (await answer.json())["code"] == "unauthenticated"


async def test_more_chats_than_the_limit_are_invalid(client: aiohttp.ClientSession) -> None:
    async with client.post(CHATS, json={"chat_ids": ["c"] * 201}) as answer:
        assert answer.status == 422


async def test_a_chat_is_erased_only_when_it_is_over_and_cannot_be_opened_again(
    scene: Scene, client: aiohttp.ClientSession
) -> None:
    chat_id = await scene.press()
    async with client.post(ERASE_CHAT, json={"chat_id": chat_id}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, "forbidden"), "asked by a gateway"
    client.headers["Authorization"] = f"Bearer {Keys(SECRET).service_token('operator')}"
    async with client.post(ERASE_CHAT, json={"chat_id": chat_id}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "chat_open")
    await scene.store.change(chat_id, lambda c: rules.assigned(c, 1, "an", "An", scene.now()))
    await scene.store.change(chat_id, lambda c: rules.closed(c, CloseReason.CITIZEN, scene.now()))
    for erased in ({"chats": 1}, {}):
        async with client.post(ERASE_CHAT, json={"chat_id": chat_id}) as answer:
            assert (answer.status, await answer.json()) == (200, {"erased": erased})
    assert (await scene.store.load(chat_id)).closed
    async with client.post(ERASE_CHAT, json={"chat_id": str(uuid4())}) as answer:
        assert (answer.status, await answer.json()) == (200, {"erased": {}})


async def test_a_gateway_reads_the_assignments_of_the_supervisors_departments_alone(
    scene: Scene, keyed: aiohttp.ClientSession
) -> None:
    own, other = await scene.press(), await scene.press("premies")
    await scene.assign(own, "an")
    await scene.assign(other, "bert")
    said = token_keys.keys_of("presence").agent_token(Agent(id="sofie", supervisor=True, departments=["algemeen"]))
    for body, status in (
        ({"chat_id": own}, 200),
        ({"chat_id": other}, 403),
        ({"chat_id": other, "departments": ["premies"]}, 403),
    ):
        async with keyed.post(ASSIGNMENTS, json=body, headers={AGENT_HEADER: said or ""}) as answer:
            assert answer.status == status, body


# ── revocation of a citizen's token ──────────────────────────────────────────────────────────────────────────────────


async def revoke(client: aiohttp.ClientSession, chat_id: str, **body: object) -> tuple[int, str | None]:
    async with client.post(TOKEN_REVOKE, json={"chat_id": chat_id, "by": "sofie", **body}) as answer:
        return answer.status, (await answer.json())["code"] if answer.status >= 400 else None


async def test_an_officer_revokes_a_token_and_the_chat_ends(client: aiohttp.ClientSession, scene: Scene) -> None:
    chat_id, waiting = await scene.press(), await scene.press()
    await scene.assign(chat_id, "an")
    for one in (chat_id, waiting):
        assert await revoke(client, one) == (204, None)
    await until(lambda: len([s for s in scene.observer.of(ChatState) if s.revoked_by]) == 2, "both ends")
    for one in (chat_id, waiting):
        last = scene.observer.of(ChatState, one)[-1]
        assert (last.state, last.reason, last.revoked_by) == ("closed", "agent", "officer")
    (shown,) = await ask(client, CHATS, chat_ids=[chat_id])
    assert shown["revoked_by"] == "officer"
    assert await revoke(client, chat_id, role="administrator") == (204, None), "a repetition changes nothing"
    assert await revoke(client, str(uuid4())) == (404, "no_such_chat")
    assert await revoke(client, chat_id, role="auditor") == (403, "forbidden")


async def test_presence_says_who_the_officer_is(scene: Scene, keyed: aiohttp.ClientSession) -> None:
    chat_id, presence = await scene.press(), token_keys.keys_of("presence")
    for said, body, status in (
        (None, {}, 403),
        (Agent(id="sofie", departments=["algemeen"]), {}, 403),
        (Agent(id="sofie", supervisor=True, departments=["premies"]), {}, 403),
        (Agent(id="lien", supervisor=True, departments=["algemeen"]), {}, 403),
        (Agent(id="sofie", role="auditor"), {"role": "administrator"}, 403),
        (Agent(id="sofie", role="auditor"), {"role": "auditor"}, 403),
        (Agent(id="sofie", role="administrator"), {}, 403),
        (Agent(id="sofie", supervisor=True, departments=["algemeen"]), {}, 204),
        (Agent(id="sofie", role="administrator"), {"role": "administrator"}, 204),
    ):
        headers = {AGENT_HEADER: presence.agent_token(said) or ""} if said else {}
        body = {"chat_id": chat_id, "by": "sofie", **body}
        async with keyed.post(TOKEN_REVOKE, json=body, headers=headers) as answer:
            assert answer.status == status, (said, body)
