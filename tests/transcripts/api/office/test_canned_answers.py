"""Canned answers over HTTP and the real database: what is answered, and what the access log has of it."""

from typing import Any

import pytest

from services.common.internal_api import transcripts as transcripts_api
from tests.transcripts.api.client import ApiClient
from tests.transcripts.api.test_access_log import entries
from tests.transcripts.conftest import new_id

SOFIE = {"agent_id": "sofie", "supervisor": True, "source": "192.0.2.7"}
NEW: dict[str, Any] = {
    "id": new_id(),
    "code": "groet",
    "title": "Begroeting",
    "departments": ["algemeen", "premies"],
    "texts": {"nl": "Goeiedag {{citizen}}", "de": "Guten Tag"},
    "by": SOFIE,
    "name": "Sofie",
}
OWN = {"own": ["algemeen", "premies"]}


async def test_an_answer_is_added_read_changed_and_removed_and_each_change_is_logged(
    api: ApiClient, capfd: pytest.CaptureFixture[str]
) -> None:
    status, added = await api.ask(transcripts_api.CANNED_ANSWER_ADD, NEW)
    assert (status, added["revision"], added["changed_by"]) == (200, 1, {"id": "sofie", "name": "Sofie"})
    query = {"departments": ["premies"]}
    status, first = await api.ask(transcripts_api.CANNED_ANSWERS, query)
    assert (status, first["answers"]) == (200, [added])
    known = {**query, "known": first["tag"]}
    assert (await api.ask(transcripts_api.CANNED_ANSWERS, known))[1] == {"tag": first["tag"], "answers": None}
    change = {**NEW, **OWN, "title": "Groet", "revision": 1}
    status, changed = await api.ask(transcripts_api.CANNED_ANSWER_CHANGE, change)
    assert (status, changed["revision"], changed["title"]) == (200, 2, "Groet")
    status, again = await api.ask(transcripts_api.CANNED_ANSWERS, known)
    assert (status, again["answers"]) == (200, [changed])
    removal = {"id": NEW["id"], "by": SOFIE, "revision": 2, **OWN}
    for _ in range(2):
        assert (await api.ask(transcripts_api.CANNED_ANSWER_REMOVE, removal))[0] == 204
    said = "".join(capfd.readouterr())
    assert "canned_answer_changed" in said
    assert "Goeiedag" not in said
    logged = [entry for entry in await entries(api) if entry["act"].startswith("canned")]
    assert [entry["act"] for entry in logged] == [f"canned_answer_{act}" for act in ("added", "changed", "removed")]
    more = {"who": "sofie", "role": "supervisor", "item": NEW["id"], "source": "192.0.2.7"}
    more["department"] = "algemeen,premies"
    assert all(more.items() <= entry.items() for entry in logged)


async def test_the_log_says_that_an_administrator_changed_an_answer(api: ApiClient) -> None:
    by = {"agent_id": "beheer", "role": "administrator", "source": "192.0.2.7"}
    assert (await api.ask(transcripts_api.CANNED_ANSWER_ADD, {**NEW, "by": by}))[0] == 200
    (logged,) = [entry for entry in await entries(api) if entry["act"].startswith("canned")]
    assert (logged["act"], logged["who"], logged["role"]) == ("canned_answer_added", "beheer", "administrator")


async def test_what_is_refused_says_why_and_what_is_there_and_is_not_logged(api: ApiClient) -> None:
    _, added = await api.ask(transcripts_api.CANNED_ANSWER_ADD, NEW)
    status, taken = await api.ask(transcripts_api.CANNED_ANSWER_ADD, {**NEW, "id": new_id(), "title": "Nog een"})
    assert (status, taken["code"], taken["current"]) == (409, "code_taken", added)
    change = {**NEW, **OWN, "title": "Groet", "revision": 7}
    for path in (transcripts_api.CANNED_ANSWER_CHANGE, transcripts_api.CANNED_ANSWER_REMOVE):
        status, changed = await api.ask(path, change)
        assert (status, changed["code"], changed["current"]) == (409, "changed", added)
        status, forbidden = await api.ask(path, {**change, "own": ["premies"]})
        assert (status, forbidden["code"]) == (403, "forbidden")
    unknown = await api.ask(transcripts_api.CANNED_ANSWER_CHANGE, {**change, "id": new_id()})
    assert (unknown[0], unknown[1]["code"]) == (404, "no_such_answer")
    wrong: dict[str, Any]
    for wrong in ({"texts": {}}, {"texts": {"es": "Hola"}}, {"texts": {"nl": "x" * 4_001}}, {"departments": []}):
        assert (await api.ask(transcripts_api.CANNED_ANSWER_ADD, {**NEW, **wrong}))[0] == 422
    assert [entry["act"] for entry in await entries(api) if entry["act"].startswith("canned")] == [
        "canned_answer_added"
    ]
