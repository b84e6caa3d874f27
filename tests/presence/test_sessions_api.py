"""`services/presence/api/sessions.py`: people see and end their own sessions, administrators those of others."""

import uuid
from typing import Any

from services.common.events.agents import SessionEnded
from services.common.http.tokens import Agent
from services.common.internal_api import presence as presence_api
from services.common.internal_api import sessions as api
from tests.presence.administration import administered, speak
from tests.presence.conftest import eventually, listening
from tests.presence.test_service import NEVER, Presence

FIREFOX = {"browser": "firefox", "system": "windows"}
SAFARI = {"browser": "safari", "system": "ios"}


async def log_in(service: Presence, username: str, client: dict[str, str], address: str) -> dict[str, Any]:
    body = {"username": username, "password": "demo", "address": address, "client": client}
    status, made = await service.ask(presence_api.SESSION_OPEN, body)
    assert status == 200
    opened: dict[str, Any] = made
    return opened


async def listed(service: Presence, token: str) -> list[dict[str, Any]]:
    status, found = await service.ask(api.SESSIONS_OWN, {"token": token})
    assert status == 200
    sessions: list[dict[str, Any]] = found["sessions"]
    return sessions


async def test_people_see_their_own_sessions_and_end_the_others(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with (
        listening(vhost_url) as observer,
        administered(vhost_url, mongodb_url, mongodb_prefix, AGENT_GRACE=NEVER) as service,
    ):
        speak(service, "gateway")
        office = await log_in(service, "an", FIREFOX, "192.0.2.17")
        home = await log_in(service, "an", SAFARI, "2001:db8:7:1::/64")
        bert = await log_in(service, "bert", FIREFOX, "192.0.2.18")

        found = {one["id"]: one for one in await listed(service, office["token"])}
        assert set(found) == {office["session_id"], home["session_id"]}, "nobody else's"
        here, there = found[office["session_id"]], found[home["session_id"]]
        assert (here["current"], here["network"], here["client"]) == (True, "192.0.2.*", FIREFOX)
        assert (there["current"], there["network"], there["client"]) == (False, "2001:db8:7:*", SAFARI)
        assert here["begun_at"] <= here["used_at"] < here["expires_at"]
        assert not {"token", "token_hash"} & set(here)

        async def end(token: str, session: str) -> tuple[int, Any]:
            status, problem = await service.ask(api.SESSIONS_OWN_END, {"token": token, "session_id": session})
            return status, problem and problem["code"]

        assert await end(office["token"], office["session_id"]) == (409, "current_session")
        assert await end(office["token"], bert["session_id"]) == (404, "no_such_session"), "of another person"
        assert await end(office["token"], str(uuid.uuid4())) == (404, "no_such_session")
        assert await end("nobody's", home["session_id"]) == (401, "unauthenticated")
        assert await end(office["token"], home["session_id"]) == (204, None)
        assert await end(office["token"], home["session_id"]) == (404, "no_such_session"), "it is over"
        assert (await service.ask(presence_api.SESSION_LOOKUP, {"token": home["token"]}))[0] == 401
        assert (await service.ask(presence_api.SESSION_LOOKUP, {"token": bert["token"]}))[0] == 200
        assert [one["id"] for one in await listed(service, office["token"])] == [office["session_id"]]

        async def is_published() -> bool:
            return {event.session_id for event in observer.seen(SessionEnded)} == {home["session_id"]}

        await eventually(is_published, "the end of that session, so that its websockets are closed")


async def test_administrators_see_and_end_the_sessions_of_others(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with administered(vhost_url, mongodb_url, mongodb_prefix, AGENT_GRACE=NEVER) as service:
        speak(service, "gateway")
        an = await log_in(service, "an", FIREFOX, "192.0.2.17")
        bert = await log_in(service, "bert", SAFARI, "192.0.2.18")
        ending = {"session_id": an["session_id"], "by": "beheer"}
        supervisor = Agent(id="beheer", supervisor=True, departments=["algemeen"])
        for refused in (None, supervisor, Agent(id="beheer", role="auditor")):
            speak(service, "gateway", refused)
            assert (await service.ask(api.SESSIONS_SEARCH, {}))[0] == 403
            assert (await service.ask(api.SESSIONS_END, ending))[0] == 403
        speak(service, "gateway", Agent(id="another", role="administrator"))
        assert (await service.ask(api.SESSIONS_END, ending))[0] == 403, "in the name of another administrator"

        speak(service, "gateway", Agent(id="beheer", role="administrator"))

        async def found(**query: str) -> dict[str, str]:
            status, answer = await service.ask(api.SESSIONS_SEARCH, query)
            assert (status, answer["more"]) == (200, False)
            return {one["id"]: one["name"] for one in answer["sessions"]}

        assert await found() == {an["session_id"]: "An", bert["session_id"]: "Bert"}
        assert await found(search="BER") == {bert["session_id"]: "Bert"}
        assert await found(search="nobody") == {}
        assert await found(session_id=an["session_id"]) == {an["session_id"]: "An"}
        assert (await service.ask(api.SESSIONS_SEARCH, {"search": "x" * 101}))[0] == 422
        assert (await service.ask(api.SESSIONS_END, ending))[0] == 204
        status, problem = await service.ask(api.SESSIONS_END, ending)
        assert (status, problem["code"]) == (404, "no_such_session")
        assert (await service.ask(presence_api.SESSION_LOOKUP, {"token": an["token"]}))[0] == 401
        assert await found() == {bert["session_id"]: "Bert"}
