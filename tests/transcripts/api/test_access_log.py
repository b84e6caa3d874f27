"""What is read over the API is in the access log before it is answered; what may not be read is not read."""

from datetime import UTC, datetime
from typing import Any

from services.common.access_chain import Verifier
from services.common.http.tokens import Actor
from tests.transcripts.api.client import AN, CHAT, CITIZEN, LEFT, LIEN, SOFIE, ApiClient

FROM = {"source": "192.0.2.7"}


async def entries(api: ApiClient) -> list[dict[str, Any]]:
    status, answer = await api.ask("/internal/access-log", {"by": "auditor"})
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
    hold = {"chat_id": CHAT, "by": "griffie", "reason": "zaak", "until": datetime(2999, 1, 1, tzinfo=UTC).isoformat()}
    assert (await api.ask("/internal/holds", hold))[0] == 200
    assert (await api.ask("/internal/receipts", {}))[0] == 200
    assert [answered(entry)[:4] for entry in await entries(api)] == [
        ("questions_read", "sofie", "supervisor", None),
        ("question_claimed", "an", "agent", CHAT),
        ("question_done", "an", "agent", CHAT),
        ("assignments_read", "sofie", "supervisor", None),
        ("hold_set", "griffie", "operator", CHAT),
        ("receipts_read", None, "operator", None),
        ("access_log_read", "auditor", "operator", None),
    ]
