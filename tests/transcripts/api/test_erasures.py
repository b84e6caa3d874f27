"""The routes of `make erase`: what they answer, and that only the operator's commands may ask."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.common.mongo.client import Database
from services.transcripts.log.store import Store
from tests.transcripts.api.client import CHAT, KEYS, ApiClient, seal
from tests.transcripts.conftest import OPENED_AT, new_id

WORDS = {"by": "griffie", "reason": "verzoek 2026/14"}


def wanted(chat: str = CHAT, **more: Any) -> dict[str, Any]:
    return {"chat_id": chat, **WORDS, **more}


async def test_a_chat_is_erased_once_it_has_ended_and_answers_as_unknown_then(api: ApiClient, store: Store) -> None:
    status, problem = await api.command("/internal/erasures", wanted())
    assert (status, problem["code"]) == (409, "chat_open")
    await seal(store, datetime.now(UTC))
    status, problem = await api.command("/internal/erasures", wanted())
    assert (status, problem["code"]) == (409, "too_recent")
    await seal_long_ago(store)
    elsewhere = {"routing": {"chats": 1}}
    status, receipt = await api.command("/internal/erasures", wanted(elsewhere=elsewhere))
    assert status == 200
    assert receipt["erased"] == {"transcripts": {"conversation": 4}, **elsewhere}
    assert (await api.get(f"/chats/{CHAT}/transcript"))[0] == 404
    assert (await api.command("/internal/receipts", {}))[1] == {"receipts": [receipt]}
    since, until = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    _, report = await api.command(
        "/internal/retention/report", {"since": since.isoformat(), "until": until.isoformat()}
    )
    assert [(r["category"], r["chats"], r["items"], r["by"]) for r in report["rows"]] == [
        ("conversation", 1, 4, "operator")
    ]
    assert {p["department"]: p["confirmed"] for p in report["periods"]} == {"algemeen": False, "premies": False}
    assert report["periods"][0]["days"]["questions"] == 90


async def seal_long_ago(store: Store) -> None:
    await store._chats.update_one({"_id": CHAT}, {"$set": {"closed_at": OPENED_AT}})


async def test_a_legal_hold_prevents_the_erasure_until_it_is_lifted(
    api: ApiClient, store: Store, database: Database
) -> None:
    await seal(store, OPENED_AT)
    future = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await api.command("/internal/holds", wanted(until=OPENED_AT.isoformat())))[0] == 422
    assert (await api.command("/internal/holds", wanted(new_id(), until=future)))[1]["code"] == "no_such_chat"
    assert (await api.command("/internal/holds", wanted(until=future)))[1]["act"] == "hold"
    for check in (True, False):
        status, problem = await api.command("/internal/erasures", wanted(only_check=check))
        assert (status, problem["code"]) == (409, "on_hold")
    assert (await api.command("/internal/holds/lift", wanted()))[1]["act"] == "lift"
    assert (await api.command("/internal/holds/lift", wanted()))[1]["code"] == "no_such_hold"
    assert (await api.command("/internal/erasures", wanted(only_check=True)))[0] == 204
    assert await database["erased"].count_documents({}) == 0


async def test_a_number_of_no_chat_is_refused_unless_others_had_something_of_it(api: ApiClient) -> None:
    assert (await api.command("/internal/erasures", wanted("not-a-number")))[0] == 422
    unknown = new_id()
    assert (await api.command("/internal/erasures", wanted(unknown)))[1]["code"] == "no_such_chat"
    status, receipt = await api.command(
        "/internal/erasures", wanted(unknown, elsewhere={"dead letters": {"routing": 1}})
    )
    assert (status, receipt["erased"]["dead letters"]) == (200, {"routing": 1})


FUTURE = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("erasures", wanted()),
        ("erasures/message", wanted(seq=1)),
        ("holds", wanted(until=FUTURE)),
        ("holds/lift", wanted()),
        ("receipts", {}),
        ("retention/report", {"since": FUTURE, "until": FUTURE}),
        ("access-log", {"by": "griffie"}),
        ("outbox/targets", {}),
        ("outbox/dead", {}),
        ("outbox/replay", {"target": "zaken"}),
        ("outbox/discard", {"target": "zaken"}),
    ],
)
async def test_only_the_operators_commands_may_ask(
    api: ApiClient, store: Store, database: Database, path: str, body: dict[str, Any]
) -> None:
    await seal_long_ago(store)
    for token, status in (("", 401), (KEYS.chat_token(CHAT), 401), (KEYS.service_token("gateway"), 403)):
        headers = {"Authorization": f"Bearer {token}"}
        async with api.client.post(f"/internal/{path}", json=body, headers=headers) as answer:
            assert answer.status == status
    assert await database["access_log"].count_documents({"_id": {"$gt": 0}}) == 0
