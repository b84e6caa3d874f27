"""Who may read a transcript, its files and its notes, and until when, over HTTP and the real database."""

import json
from datetime import UTC, datetime, timedelta

from services.common.events.chats import ChatState
from services.common.events.messages import NotePosted
from services.common.events.types import Cause, ChatStatus, Party
from services.common.internal_api import transcripts as transcripts_api
from services.transcripts.attachments.store import Files
from services.transcripts.log.sequencing import event_id
from services.transcripts.log.store import Store
from tests.transcripts.api.client import AN, BERT, CHAT, CITIZEN, LEFT, LIEN, SOFIE, ApiClient, seal
from tests.transcripts.attachments.test_judging import PNG_BYTES
from tests.transcripts.conftest import OPENED_AT, entry, new_id


async def test_the_access_of_the_citizen_ends_before_that_of_the_agent(api: ApiClient, store: Store) -> None:
    await seal(store, datetime.now(UTC) - timedelta(hours=49))
    status, _, body = await api.get(f"/chats/{CHAT}/transcript")
    assert (status, json.loads(body)["code"]) == (401, "unauthenticated")
    assert (await api.get(f"/chats/{CHAT}/transcript", AN))[0] == 200


async def test_that_of_the_agent_ends_and_that_of_the_supervisor_does_not(api: ApiClient, store: Store) -> None:
    await seal(store, datetime.now(UTC) - timedelta(days=31))
    assert (await api.get(f"/chats/{CHAT}/transcript", AN))[0] == 403
    assert (await api.get(f"/chats/{CHAT}/transcript", SOFIE))[0] == 200


def state(v: int, cause: Cause, turn: int, agent: str | None, former: str | None = None) -> ChatState:
    status = ChatStatus.ASSIGNED if agent else ChatStatus.WAITING
    return ChatState(
        chat_id=CHAT,
        v=v,
        state=status,
        turn=turn,
        department="algemeen",
        cause=cause,
        agent_id=agent,
        former_agent_id=former,
        at=OPENED_AT,
    )


async def passed_on(store: Store, left_at: datetime) -> None:
    """`an` had the chat up to entry 4, which says so; then `bert` has it, and says something."""
    await store.note_states([(CHAT, 5, "bert")])
    await store.note_participations(
        [state(4, Cause.TRANSFERRED, 2, None, "an"), state(5, Cause.ASSIGNED, 2, "bert", "an")]
    )
    left = entry(CHAT, 4, Party.SYSTEM, "Doorgegeven", event=Cause.TRANSFERRED)
    id_ = event_id(CHAT, Cause.TRANSFERRED, 2)
    await store.insert([left.model_copy(update={"id": id_, "at": left_at})])
    await store.insert([entry(CHAT, 5, Party.AGENT, "wat daarna werd gezegd")])


async def test_who_passed_a_chat_on_reads_it_up_to_then(api: ApiClient, store: Store, files: Files) -> None:
    """Entries, files and notes; and adds nothing."""
    _, before = await api.upload(PNG_BYTES, actor=AN)
    _, after = await api.upload(PNG_BYTES, actor=CITIZEN)
    left_at = datetime.now(UTC)
    await passed_on(store, left_at)
    for n, (file, uploader) in enumerate(((before, "an"), (after, "citizen"))):
        kept = await files.keep(file["id"], CHAT, uploader)
        seq = 6 + n
        await store.insert([entry(CHAT, seq, text=None).model_copy(update={"attachment": kept})])
    for n, minutes in ((1, -1), (2, 1)):
        note = NotePosted(chat_id=CHAT, id=new_id(), agent_id="bert", agent_name="Bert", text=f"nota {n}")
        await store.add_note(note, left_at + timedelta(minutes=minutes))
    _, _, body = await api.get(f"/chats/{CHAT}/transcript?format=json", AN)
    assert [m["seq"] for m in json.loads(body)["messages"]] == [1, 2, 3, 4]
    for format_ in ("txt", "html"):
        assert "wat daarna" not in (await api.get(f"/chats/{CHAT}/transcript?format={format_}", AN))[2].decode()
    assert [
        m["seq"] for m in json.loads((await api.get(f"/chats/{CHAT}/transcript?format=json", BERT))[2])["messages"]
    ][-1] == 7
    assert (await api.get(f"/chats/{CHAT}/attachments/{after['id']}", AN))[0] == 404
    assert (await api.get(f"/chats/{CHAT}/attachments/{after['id']}", BERT))[0] == 200
    texts = [
        [n["text"] for n in json.loads((await api.get(f"/chats/{CHAT}/notes", who))[2])["notes"]] for who in (AN, BERT)
    ]
    assert texts == [["nota 1"], ["nota 1", "nota 2"]]
    assert (await api.upload(PNG_BYTES, actor=AN))[1]["code"] == "forbidden"
    assert (await api.upload(PNG_BYTES, actor=BERT))[0] == 201


async def test_who_passed_a_chat_on_long_ago_reads_nothing(api: ApiClient, store: Store) -> None:
    await passed_on(store, datetime.now(UTC) - timedelta(days=31))
    for path in ("transcript", "notes"):
        assert (await api.get(f"/chats/{CHAT}/{path}", AN))[0] == 403


async def test_without_the_entry_an_agent_who_left_reads_up_to_their_own_last_word(
    api: ApiClient, store: Store
) -> None:
    """It is not stored yet, or of before version 2.0."""
    await store.insert([entry(CHAT, 4, Party.AGENT, "mijn laatste woord").model_copy(update={"sender_id": "an"})])
    await store.insert([entry(CHAT, 5)])
    await store.note_participations([state(5, Cause.ASSIGNED, 2, "bert", "an")])
    await store.note_states([(CHAT, 5, "bert")])
    _, _, body = await api.get(f"/chats/{CHAT}/transcript?format=json", AN)
    assert json.loads(body)["messages"][-1]["text"] == "mijn laatste woord"


async def test_notes_are_never_for_the_citizen(api: ApiClient, store: Store) -> None:
    note = NotePosted(chat_id=CHAT, id=new_id(), agent_id="an", agent_name="An", text="intern")
    await store.add_note(note, OPENED_AT)
    status, _, body = await api.get(f"/chats/{CHAT}/notes")
    assert (status, json.loads(body)["code"]) == (403, "forbidden")
    assert b"intern" not in body
    assert json.loads((await api.get(f"/chats/{CHAT}/notes", SOFIE))[2])["notes"][0]["text"] == "intern"
    await seal(store, datetime.now(UTC))
    assert json.loads((await api.get(f"/chats/{CHAT}/notes", AN))[2])["notes"][0]["name"] == "An"


async def test_a_supervisor_reads_the_own_departments_and_adds_nothing(api: ApiClient) -> None:
    assert (await api.get(f"/chats/{CHAT}/transcript", SOFIE))[0] == 200
    assert (await api.get(f"/chats/{CHAT}/transcript", LIEN))[0] == 403
    assert (await api.get(f"/chats/{CHAT}/notes", LIEN))[0] == 403
    for who in (SOFIE, LIEN):
        assert (await api.upload(PNG_BYTES, actor=who))[1]["code"] == "forbidden"


async def test_who_claims_a_question_reads_its_conversation(api: ApiClient) -> None:
    """Until it is released; and nobody else does."""
    assert (await api.ask(transcripts_api.QUESTION_LEAVE, LEFT))[0] == 200
    claim = {"chat_id": CHAT, "agent_id": "bert", "agent_name": "Bert", "departments": ["algemeen"]}
    assert (await api.get(f"/chats/{CHAT}/transcript", BERT))[0] == 403
    status, question = await api.ask(transcripts_api.QUESTION_CLAIM, claim)
    assert (status, question["claimed"]["agent_id"]) == (200, "bert")
    for path in ("transcript", "notes"):
        assert (await api.get(f"/chats/{CHAT}/{path}", BERT))[0] == 200
    assert (await api.upload(PNG_BYTES, actor=BERT))[1]["code"] == "forbidden"
    status, refused = await api.ask(transcripts_api.QUESTION_CLAIM, {**claim, "agent_id": "carl", "agent_name": "Carl"})
    assert (status, refused["code"], refused["claimed"]["name"]) == (409, "claimed", "Bert")
    done = {"chat_id": CHAT, "agent_id": "carl", "departments": ["algemeen"]}
    assert (await api.ask(transcripts_api.QUESTION_DONE, done))[1]["code"] == "claimed"
    other = {**claim, "agent_id": "carl"}
    assert (await api.ask(transcripts_api.QUESTION_UNCLAIM, other))[1]["code"] == "not_yours"
    assert (await api.ask(transcripts_api.QUESTION_UNCLAIM, claim))[0] == 204
    assert (await api.get(f"/chats/{CHAT}/transcript", BERT))[0] == 403
