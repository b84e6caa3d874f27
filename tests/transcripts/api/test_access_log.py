"""What is read over the API is in the access log before it is answered; what may not be read is not read."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.common.access_chain import Verifier
from services.common.http.tokens import Actor
from services.transcripts.app import create_app
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.servers import ROOT
from tests.transcripts.api.client import AN, CHAT, CITIZEN, LEFT, LIEN, SOFIE, ApiClient, fill, opened

FROM = {"source": "192.0.2.7"}


async def entries(api: ApiClient) -> list[dict[str, Any]]:
    status, answer = await api.command("/internal/access-log", {"by": "auditor"})
    assert status == 200
    found: list[dict[str, Any]] = answer["entries"]
    verifier = Verifier()
    verifier.take(found)
    assert verifier.end() == []
    return found


def answered(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in ("act", "who", "role", "chat_id", "item", "source", "reason"))


async def test_every_read_of_a_conversation_a_file_and_notes_is_logged(api: ApiClient) -> None:
    an = AN.model_copy(update=FROM)
    sofie: Actor = SOFIE.model_copy(update={**FROM, "reason": "klacht 2026/3"})
    status, file = await api.upload(b"Dag allemaal", "brief.txt", an)
    assert status == 201
    assert (await api.get(f"/chats/{CHAT}/transcript?format=json", sofie))[0] == 200
    assert (await api.get(f"/chats/{CHAT}/notes", an))[0] == 200
    assert (await api.get(f"/chats/{CHAT}/attachments/{file['id']}", an))[0] == 200
    assert (await api.get(f"/chats/{CHAT}/transcript"))[0] == 200
    assert (await api.get(f"/chats/{CHAT}/transcript", LIEN))[0] == 403
    found = [answered(entry) for entry in await entries(api)]
    assert found == [
        ("transcript_read", "sofie", "supervisor", CHAT, "json", "192.0.2.7", "klacht 2026/3"),
        ("notes_read", "an", "agent", CHAT, None, "192.0.2.7", None),
        ("file_read", "an", "agent", CHAT, file["id"], "192.0.2.7", None),
        ("transcript_read", None, "citizen", CHAT, "txt", None, None),
        ("access_log_read", "auditor", "operator", None, None, None, None),
    ]
    assert CITIZEN.id == CHAT


async def test_questions_assignments_and_acts_of_operators_are_logged(api: ApiClient) -> None:
    assert (await api.ask("/internal/questions/leave", LEFT))[0] == 200
    reader = {"agent_id": "sofie", "supervisor": True, **FROM}
    assert (await api.ask("/internal/questions", {"departments": ["algemeen"], "reader": reader}))[0] == 200
    assert (await api.ask("/internal/questions", {"departments": ["algemeen"]}))[0] == 200  # of an earlier gateway
    claim = {"chat_id": CHAT, "agent_id": "an", "agent_name": "An", "departments": ["algemeen"]}
    assert (await api.ask("/internal/questions/claim", claim))[0] == 200
    assert (await api.ask("/internal/questions/done", claim))[0] == 204
    noted = {"act": "assignments_read", "reader": reader, "departments": ["algemeen"]}
    assert (await api.ask("/internal/access-log/note", noted))[0] == 204
    assert (await api.ask("/internal/access-log/note", {**noted, "act": "something"}))[0] == 422
    for act in ("sessions_read", "session_ended"):
        status, problem = await api.ask("/internal/access-log/note", {**noted, "act": act})
        assert (status, problem["code"]) == (403, "forbidden"), "of administrators alone"
    hold = {"chat_id": CHAT, "by": "griffie", "reason": "zaak", "until": datetime(2999, 1, 1, tzinfo=UTC).isoformat()}
    assert (await api.command("/internal/holds", hold))[0] == 200
    assert (await api.command("/internal/receipts", {}))[0] == 200
    assert [answered(entry)[:4] for entry in await entries(api)] == [
        ("questions_read", "sofie", "supervisor", None),
        ("question_claimed", "an", "agent", CHAT),
        ("question_done", "an", "agent", CHAT),
        ("assignments_read", "sofie", "supervisor", None),
        ("hold_set", "griffie", "operator", CHAT),
        ("receipts_read", None, "operator", None),
        ("access_log_read", "auditor", "operator", None),
    ]


AUDRA = {"agent_id": "audra", "role": "auditor", **FROM}


async def test_an_auditor_searches_exports_and_verifies_and_that_is_logged_too(api: ApiClient) -> None:
    for _ in range(3):
        assert (await api.get(f"/chats/{CHAT}/notes", AN))[0] == 200
    search = {"by": AUDRA, "about": "person=an", "who": ["an"], "most": 2}
    status, page = await api.ask("/internal/access-log/search", search)
    assert (status, [e["seq"] for e in page["entries"]], page["more"]) == (200, [3, 2], True)
    _, page = await api.ask("/internal/access-log/search", {"by": AUDRA, "who": ["an"], "after": 1, "most": 10})
    assert ([e["seq"] for e in page["entries"]], page["more"]) == ([2, 3], False)
    assert (await api.ask("/internal/access-log/span", {"by": AUDRA, "about": "jsonl"}))[1] == {"after": 0, "last": 5}
    status, found = await api.ask("/internal/access-log/verify", {"by": AUDRA})
    assert (status, found["first"], found["last"], found["complete"], found["problems"]) == (200, 1, 6, True, [])
    assert [answered(e)[:6] for e in (await entries(api))[3:6]] == [
        ("access_log_read", "audra", "auditor", None, "person=an", "192.0.2.7"),
        ("access_log_exported", "audra", "auditor", None, "jsonl", "192.0.2.7"),
        ("access_log_verified", "audra", "auditor", None, None, "192.0.2.7"),
    ]
    for path in ("search", "span", "verify"):
        for other in ({**AUDRA, "role": "administrator"}, {"agent_id": "sofie", "supervisor": True}):
            status, problem = await api.ask(f"/internal/access-log/{path}", {"by": other, "about": ""})
            assert (status, problem["code"]) == (403, "forbidden")
    auditor = Actor(party="auditor", id="audra")
    for path in ("transcript", "notes", "attachments/x"):
        assert (await api.get(f"/chats/{CHAT}/{path}", auditor))[0] == 403, "an auditor reads no conversation"


async def test_a_department_may_ask_why_a_supervisor_reads(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str, tmp_path: Path
) -> None:
    departments = (ROOT / "deploy" / "departments.toml").read_text(encoding="utf-8")
    file = tmp_path / "departments.toml"
    file.write_text(departments.replace('id = "algemeen"\n', 'id = "algemeen"\nask_reason = "others"\n'))
    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, departments_file=file))) as api:
        for path in ("transcript?format=json", "notes"):
            status, _, body = await api.get(f"/chats/{CHAT}/{path}", SOFIE)
            assert (status, b"reason_required" in body) == (428, True)
            assert (await api.get(f"/chats/{CHAT}/{path}", AN))[0] == 200, "an has the chat"
            asked = SOFIE.model_copy(update={"reason": "klacht 2026/3"})
            assert (await api.get(f"/chats/{CHAT}/{path}", asked))[0] == 200
        assert (await api.get(f"/chats/{CHAT}/transcript"))[0] == 200, "it is the citizen's own chat"
        assert (await api.ask("/internal/questions/leave", LEFT))[0] == 200
        claim = {"chat_id": CHAT, "agent_id": "sofie", "agent_name": "Sofie", "departments": ["algemeen"]}
        assert (await api.ask("/internal/questions/claim", claim))[0] == 200
        assert (await api.get(f"/chats/{CHAT}/notes", SOFIE))[0] == 200, "sofie deals with the question"
        found = [answered(e) for e in await entries(api)]
        assert [e[6] for e in found if e[1] == "sofie"] == ["klacht 2026/3", "klacht 2026/3", None, None]
