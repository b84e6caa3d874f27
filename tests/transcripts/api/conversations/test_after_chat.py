"""Ratings and download codes, over HTTP and the real database."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.common.clock import utcnow
from services.common.events.types import Cause
from services.common.http.tokens import Actor
from services.common.internal_api import transcripts as transcripts_api
from services.common.mongo.client import Database
from services.transcripts.app import create_app
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.transcripts.api.client import AN, CHAT, CITIZEN, Answer, ApiClient, fill, opened, seal
from tests.transcripts.conftest import new_id, state

BY_CODE = Actor(party="citizen", id=CHAT, by_code=True)


async def ask(api: ApiClient, path: str, body: dict[str, Any], actor: Actor | None) -> Answer:
    async with api.client.post(path, json=body, headers=api.headers(actor)) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_chat_has_one_rating_and_the_last_one_counts(api: ApiClient, database: Database) -> None:
    for given in ({"helped": "no", "score": 2}, {"helped": "yes", "score": 5}):
        assert (await ask(api, transcripts_api.RATING, {"chat_id": CHAT, **given}, CITIZEN))[0] == 204
    (kept,) = [found async for found in database["ratings"].find()]
    assert (kept["_id"], kept["department"], kept["helped"], kept["score"]) == (CHAT, "algemeen", "yes", 5)
    assert "announced" not in kept, "there are no webhooks"


async def test_a_rating_is_of_the_department_to_which_the_chat_was_transferred(
    api: ApiClient, store: Store, database: Database
) -> None:
    await store.note_participations([state(CHAT, 5, Cause.ASSIGNED, 2, "bert", department="premies")])
    assert (await ask(api, transcripts_api.RATING, {"chat_id": CHAT, "score": 4}, CITIZEN))[0] == 204
    assert [found["department"] async for found in database["ratings"].find()] == ["premies"]


async def test_only_the_citizen_of_the_chat_rates_it_or_gets_its_code(api: ApiClient, database: Database) -> None:
    others = [(AN, 403, "forbidden"), (None, 401, "unauthenticated")]
    others += [(Actor(party="citizen", id=new_id()), 403, "forbidden")]
    for actor, status, code in others:
        for path, more in ((transcripts_api.RATING, {"score": 1}), (transcripts_api.CODE_CREATE, {})):
            answer = await ask(api, path, {"chat_id": CHAT, **more}, actor)
            assert (answer[0], answer[1]["code"]) == (status, code)
    assert await database["ratings"].count_documents({}) == 0
    assert await database["codes"].count_documents({}) == 0


async def test_a_code_reads_the_conversation_after_the_citizens_own_access_has_ended(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    await fill(store)
    settings = make_settings(rabbitmq_url=vhost_url, citizen_access=3600.0)
    async with opened(create_app(settings)) as api:
        status, made = await ask(api, transcripts_api.CODE_CREATE, {"chat_id": CHAT}, CITIZEN)
        assert status == 200
        await seal(store, utcnow() - timedelta(hours=2))
        assert (await api.get(f"/chats/{CHAT}/transcript"))[0] == 401
        assert (await ask(api, transcripts_api.CODE_CREATE, {"chat_id": CHAT}, CITIZEN))[0] == 401
        found = await ask(api, transcripts_api.CODE_USE, {"code": made["code"].lower()}, None)
        assert found == (200, {"chat_id": CHAT, "locale": "nl"})
        status, _, content = await api.get(f"/chats/{CHAT}/transcript", BY_CODE)
        assert status == 200
        assert "Ja?" in content.decode()
        assert (await api.upload(b"tekst", "a.txt", BY_CODE))[0] == 403, "a code gives no right but to read"


async def test_a_wrong_code_says_no_more_than_that(api: ApiClient) -> None:
    for code in ("7K3F-9QWD-XM2P", "", "x", "../../etc", "7K3F"):
        status, answer = await ask(api, transcripts_api.CODE_USE, {"code": code}, None)
        assert (status, answer["code"]) == (404, "unknown_code")


@pytest.mark.parametrize(("by", "code_reads"), [("citizen", True), ("agent", True), ("officer", False)])
async def test_a_revoked_token_opens_nothing_and_an_officers_ends_the_code_too(
    api: ApiClient, store: Store, by: str, code_reads: bool
) -> None:
    _, made = await ask(api, transcripts_api.CODE_CREATE, {"chat_id": CHAT}, CITIZEN)
    _, uploaded = await api.upload(b"tekst", "a.txt")
    await store.note_participations([state(CHAT, 9, Cause.CLOSED, revoked_by=by)])
    for path, more in ((transcripts_api.RATING, {"score": 1}), (transcripts_api.CODE_CREATE, {})):
        status, refused = await ask(api, path, {"chat_id": CHAT, **more}, CITIZEN)
        assert (status, refused["code"]) == (401, "unauthenticated")
    file = f"/chats/{CHAT}/attachments/{uploaded['id']}"
    for path in (f"/chats/{CHAT}/transcript", file, f"{file}/preview?size=small"):
        assert (await api.get(path))[0] == 401
    assert (await api.upload(b"meer", "b.txt"))[0] == 401
    status, found = await ask(api, transcripts_api.CODE_USE, {"code": made["code"]}, None)
    assert (status, found.get("code")) == ((200, None) if code_reads else (404, "unknown_code"))
    assert (await api.get(f"/chats/{CHAT}/transcript", BY_CODE))[0] == (200 if code_reads else 401)
    assert (await api.get(f"/chats/{CHAT}/transcript", AN))[0] == 200, "its agent reads on"
