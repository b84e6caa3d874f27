"""The histories and the ends of logs that gateways ask for, over HTTP and the real database."""

import asyncio
from typing import Any

import pytest

from services.common.events.messages import NotePosted
from services.common.internal_api import transcripts as transcripts_api
from services.transcripts.log import reader
from services.transcripts.log.store import Store
from tests.support.conditions import until
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import CHAT, DONE, KEYS, LEFT, ApiClient, seal
from tests.transcripts.api.conftest import LogPolls
from tests.transcripts.conftest import OPENED_AT, entry, new_id


async def test_history_is_in_the_order_of_seq_after_what_the_asker_has(api: ApiClient, store: Store) -> None:
    status, answer = await api.ask(
        transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT, "after": 1}, {"chat_id": new_id()}]}
    )
    assert status == 200
    (chat,) = transcripts_api.History.model_validate(answer).chats
    assert ([e.seq for e in chat.entries], chat.last_seq, chat.sealed, chat.notes) == ([2, 3], 3, False, [])
    await seal(store, OPENED_AT)
    _, answer = await api.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT, "after": 4}]})
    (chat,) = transcripts_api.History.model_validate(answer).chats
    assert (chat.entries, chat.last_seq, chat.sealed, chat.closed_at) == ([], 4, True, OPENED_AT)


async def test_history_waits_for_the_entries_that_the_request_names(
    api: ApiClient, store: Store, log_polls: LogPolls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PATIENCE", PATIENCE)
    wanted = {"chats": [{"chat_id": CHAT, "after": 3, "at_least": 4}]}
    asking = asyncio.create_task(api.ask(transcripts_api.HISTORY, wanted))
    await until(lambda: log_polls.number > 1 or asking.done(), "a second look")
    assert not asking.done()
    await store.insert([entry(CHAT, 4)])
    _, answer = await asking
    assert [e["seq"] for e in answer["chats"][0]["entries"]] == [4]
    monkeypatch.setattr(reader, "PATIENCE", 0.1)
    _, answer = await api.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT, "after": 4, "at_least": 9}]})
    assert answer["chats"][0]["last_seq"] == 4


async def test_a_page_of_history_is_bounded(api: ApiClient, store: Store) -> None:
    await store.insert([entry(CHAT, n) for n in range(4, 520)], in_order=True)
    _, answer = await api.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT}]})
    assert [e["seq"] for e in answer["chats"][0]["entries"]] == list(range(1, transcripts_api.PAGE + 1))
    assert answer["chats"][0]["last_seq"] == 519


async def test_notes_only_when_asked_and_never_in_a_transcript(api: ApiClient, store: Store) -> None:
    secret = NotePosted(chat_id=CHAT, id=new_id(), agent_id="an", agent_name="An", text="geheime notitie")
    await store.add_note(secret, OPENED_AT)
    _, answer = await api.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT}]})
    assert answer["chats"][0]["notes"] == []
    _, answer = await api.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT}], "notes": True})
    assert [n["text"] for n in answer["chats"][0]["notes"]] == ["geheime notitie"]
    for format_ in ("txt", "html", "json"):
        _, _, content = await api.get(f"/chats/{CHAT}/transcript?format={format_}")
        assert b"geheime" not in content


async def test_tails(api: ApiClient) -> None:
    status, answer = await api.ask(transcripts_api.TAILS, {"chat_ids": [CHAT, new_id()]})
    assert (status, answer) == (200, {"tails": {CHAT: 3}}), "as a former gateway asks"
    unknown = new_id()
    for has, answered in ((1, {CHAT: 2}), (3, {}), (9, {})):
        body = {"chat_ids": [CHAT, unknown], "after": {CHAT: has, unknown: 0}}
        assert await api.ask(transcripts_api.TAILS, body) == (200, {"tails": answered})


async def test_only_services_may_ask(api: ApiClient) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        (transcripts_api.HISTORY, {"chats": []}),
        (transcripts_api.TAILS, {"chat_ids": []}),
        (transcripts_api.QUESTION_LEAVE, LEFT),
        (transcripts_api.QUESTIONS, {"departments": []}),
        (transcripts_api.QUESTION_DONE, DONE),
    ]
    for path, body in asked:
        async with api.client.post(path, json=body) as answer:
            assert answer.status == 401
    for path in (f"/chats/{CHAT}/transcript", f"/chats/{CHAT}/attachments/x"):
        bad = {"Authorization": f"Bearer {KEYS.chat_token(CHAT)}"}
        async with api.client.get(path, headers=bad) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (401, "unauthenticated")
