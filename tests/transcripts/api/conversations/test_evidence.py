"""Transcripts as evidence over HTTP and the real database: chains, signatures, codes, and their verification."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pypdf
import pytest
from prometheus_client import Gauge
from pymongo import MongoClient

from deploy.erasures import restored
from services.common.evidence import chain
from services.common.evidence.verification import Finding, Verdict, Why, verify_file
from services.common.internal_api import erasures as erasures_api
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.erasures import Receipt
from services.common.mongo.client import Database
from services.common.mongo.migrations import upgrade
from services.transcripts import metrics
from services.transcripts.app import create_app
from services.transcripts.attachments.store import FREE, File, Files
from services.transcripts.evidence.job import SigningJob
from services.transcripts.evidence.signer import Signer
from services.transcripts.evidence.store import Chains
from services.transcripts.log.store import Store
from services.transcripts.log.writer import now_ms
from services.transcripts.migrations import STEPS
from services.transcripts.rendering.json_format import as_json
from services.transcripts.rendering.transcript import Transcript
from services.transcripts.settings import Settings
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import AN, CHAT, CITIZEN, ApiClient, fill, opened, seal
from tests.transcripts.conftest import attachment, entry, new_id, opened_event, seal_entry

SECRET_KEY = bytes(range(32))
SIGNER = Signer(SECRET_KEY)
FORMER = Signer(bytes(32)).public_key
KEYS = {SIGNER.kid: SIGNER.public_key}
JSON = f"/chats/{CHAT}/transcript?format=json"


@pytest.fixture
async def api(make_settings: Callable[..., Settings], store: Store, vhost_url: str) -> AsyncIterator[ApiClient]:
    await fill(store)
    keys = {"transcript_key": SECRET_KEY.hex(), "transcript_keys_former": chain.encoded(FORMER)}
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, **keys))) as made:
        yield made


def now() -> datetime:
    return now_ms()


def value_of(gauge: Gauge) -> float:
    [family] = gauge.collect()
    return family.samples[0].value


async def verify(api: ApiClient, content: bytes) -> dict[str, Any]:
    async with api.client.post(
        transcripts_api.VERIFY_FILE, data=io.BytesIO(content), headers=api.headers(None)
    ) as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
    return found


async def test_the_json_of_an_ended_chat_is_signed_and_intact(api: ApiClient, store: Store) -> None:
    await seal(store, now())
    _, _, content = await api.get(JSON)
    assert verify_file(content, KEYS).verdict is Verdict.INTACT
    found = await verify(api, content)
    assert (found["verdict"], found["entries"], found["chat_id"]) == ("intact", 4, CHAT)
    assert [m["text"] for m in found["messages"]][1:3] == ["Dag", "Ja?"]
    again = (await api.get(JSON))[2]
    assert again == content
    data = json.loads(content)
    data["messages"][2]["text"] = "Neen"
    found = await verify(api, json.dumps(data).encode())
    assert (found["verdict"], found["findings"][0]) == ("altered", {"why": "entry_altered", "first": 3, "last": 3})


@pytest.mark.parametrize("actor", [CITIZEN, AN])
async def test_the_pdf_has_the_signed_data_and_is_verified(api: ApiClient, store: Store, actor: Any) -> None:
    await seal(store, now())
    _, _, content = await api.get(f"/chats/{CHAT}/transcript?format=pdf", actor)
    found = await verify(api, content)
    assert (found["verdict"], found["pdf"]) == ("intact", True)
    reader = pypdf.PdfReader(io.BytesIO(content))
    assert reader.attachments[f"chat-{CHAT}.json"][0] == (await api.get(JSON, actor))[2]
    assert json.loads((await api.get(JSON))[2])["chain"]["code"] in reader.pages[0].extract_text()
    cut = await verify(api, content[:4_000])
    assert (cut["verdict"], cut["findings"][0]["why"]) == ("unreadable", "cut_off")


async def test_text_and_html_have_a_code_and_the_code_says_what_was_signed(api: ApiClient, store: Store) -> None:
    for format_ in ("txt", "html"):
        assert "Controlecode" not in (await api.get(f"/chats/{CHAT}/transcript?format={format_}"))[2].decode()
    await seal(store, now())
    data = json.loads((await api.get(JSON))[2])
    code = data["chain"]["code"]
    for format_ in ("txt", "html"):
        assert code in (await api.get(f"/chats/{CHAT}/transcript?format={format_}"))[2].decode()
    status, found = await api.ask(transcripts_api.VERIFY_CODE, {"code": code.lower().replace("-", " ")})
    assert status == 200
    told = (found["chat_id"], found["entries"], found["closed_at"], found["kid"], found["department"])
    assert told == (CHAT, 4, data["closed_at"], SIGNER.kid, "algemeen")
    status, found = await api.ask(transcripts_api.VERIFY_CODE, {"code": code[:-1] + "00"})
    assert (status, found["code"]) == (404, "unknown_code")


async def test_a_chat_that_goes_on_has_a_chain_that_its_end_continues(api: ApiClient, store: Store) -> None:
    _, _, before = await api.get(JSON)
    assert verify_file(before, KEYS).findings == [Finding(Why.NOT_SIGNED)]
    await seal(store, now())
    _, _, after = await api.get(JSON)
    assert json.loads(after)["messages"][:3] == json.loads(before)["messages"]


async def test_two_replicas_give_the_same_salts_and_one_signature(
    api: ApiClient, database: Database, store: Store
) -> None:
    both = [Chains(database, store, Signer(key), now_ms) for key in (SECRET_KEY, bytes(32))]
    chat = await store.chat(CHAT)
    assert chat is not None
    for last in (1, 3):
        proofs = await asyncio.gather(*(chains.proof(chat, last, None) for chains in both * 3))
        assert len({proof.salts for proof in proofs if proof}) == 1
    await seal(store, now())
    proofs = await asyncio.gather(*(chains.proof(chat, 4, now()) for chains in both * 3))
    assert len({proof.signature for proof in proofs if proof}) == 1
    assert len({proof.code for proof in proofs if proof}) == 1


async def test_a_chat_from_before_there_were_chains_has_none(api: ApiClient, store: Store, database: Database) -> None:
    since = (await database["chain_state"].find_one({"_id": "since"}) or {})["at"]
    await seal(store, since - timedelta(milliseconds=1))
    _, _, content = await api.get(JSON)
    assert "chain" not in json.loads(content)
    assert (await verify(api, content))["verdict"] == "no_chain"
    assert (await api.get(f"/chats/{CHAT}/transcript?format=pdf"))[0] == 200
    chains = Chains(database, store, SIGNER, now_ms)
    await chains.sign(CHAT)
    assert await chains.unsigned(10) == []


async def test_the_job_signs_what_has_ended_and_what_an_earlier_release_has_ended(
    api: ApiClient, store: Store, database: Database
) -> None:
    end = seal_entry(CHAT, 4).model_copy(update={"at": now() + timedelta(seconds=1)})
    await store.insert([end])
    await database["chats"].update_one({"_id": CHAT}, {"$set": {"closed_at": end.at}})  # as version 1.1 does it
    chains = Chains(database, store, SIGNER, now_ms)
    assert await chains.unsigned(10) == []
    await chains.note_overlooked()
    async with asyncio.timeout(PATIENCE):  # the job of the service, or this one
        while await SigningJob(chains, None, now_ms).round() or not await database["chains"].find_one(  # type: ignore[arg-type]
            {"_id": CHAT, "statement.entries": 4}
        ):
            pass
    assert await chains.unsigned(10) == []
    assert verify_file((await api.get(JSON))[2], KEYS).verdict is Verdict.INTACT


async def test_how_long_a_chat_waits_for_its_signature_is_measured(store: Store, database: Database) -> None:
    chains = Chains(database, store, SIGNER, now_ms)
    job = SigningJob(chains, None, now_ms)  # type: ignore[arg-type]
    for minutes in (20, 30, 10):
        chat = {"_id": new_id(), "signed": False, "closed_at": now() - timedelta(minutes=minutes)}
        await database["chats"].insert_one(chat)
    await job.measure()
    assert 1_800 <= value_of(metrics.UNSIGNED_AGE) < 1_800 + PATIENCE
    await database["chats"].update_many({}, {"$set": {"signed": True}})
    await job.measure()
    assert value_of(metrics.UNSIGNED_AGE) == 0


async def test_a_log_that_is_altered_in_the_database_is_no_longer_what_was_signed(
    api: ApiClient, store: Store, database: Database
) -> None:
    await seal(store, now())
    await api.get(JSON)
    await database["entries"].update_one({"_id": f"{CHAT}:id-2"}, {"$set": {"text": "Neen"}})
    assert (await verify(api, (await api.get(JSON))[2]))["verdict"] == "altered"


async def test_a_file_is_evidence_by_its_digest_also_when_it_is_gone(
    api: ApiClient, store: Store, database: Database, files: Files
) -> None:
    file = File(attachment(), CHAT, "citizen", FREE, "a" * 64)
    await files.begin(file, now())
    await store.insert([entry(CHAT, 4, text=None, attachment=attachment())])
    await api.get(JSON)
    await database["attachments"].delete_one({"_id": "file"})
    await store.insert([seal_entry(CHAT, 5).model_copy(update={"at": now()})])
    _, _, content = await api.get(JSON)
    assert json.loads(content)["chain"]["entries"][3]["sha256"] == "a" * 64
    assert verify_file(content, KEYS).verdict is Verdict.INTACT


ASKED = {"by": "griffie", "reason": "verzoek 2026/14"}


async def erase_message(api: ApiClient, seq: int) -> tuple[int, dict[str, Any]]:
    return await api.command(erasures_api.ERASE_MESSAGE, {"chat_id": CHAT, "seq": seq, **ASKED})


async def begun_yesterday(database: Database) -> datetime:
    """There are chains since yesterday, so that a chat may have ended an hour ago; that time."""
    await database["chain_state"].update_one({"_id": "since"}, {"$set": {"at": now() - timedelta(days=1)}}, upsert=True)
    return now() - timedelta(hours=1)


async def test_an_erased_message_stays_at_its_place_and_verifies_as_removed(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str, database: Database
) -> None:
    await fill(store)
    await upgrade(database, STEPS)
    ended = await begun_yesterday(database)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, transcript_key=SECRET_KEY.hex()))) as api:
        await seal(store, ended)
        before = (await api.get(JSON))[2]
        receipts = [await erase_message(api, 2) for _ in range(2)]
        assert [status for status, _ in receipts] == [200, 200]
        assert {(r["act"], r["entry"], r["digest"]) for _, r in receipts} == {
            ("erase_message", 2, json.loads((await api.get(JSON))[2])["chain"]["entries"][1]["removed"])
        }
        for seq in (1, 4, 9):  # no message of a participant
            assert (await erase_message(api, seq))[1]["code"] == "no_such_message"
        _, _, content = await api.get(JSON)
        found = await verify(api, content)
        assert (found["verdict"], found["removed"], found["messages"][1]["removed"]) == ("intact", 1, True)
        removed, salt = json.loads(content), json.loads(before)["chain"]["entries"][1]["salt"]
        assert {"text", "name"}.isdisjoint(removed["messages"][1])
        assert "salt" not in removed["chain"]["entries"][1]
        stored = [await database[name].find({}).to_list(None) for name in ("entries", "chains")]
        assert bytes.fromhex(salt) not in bytes(stored[1][0]["salts"])
        assert "An Peeters" not in str(stored[0])
        (listed,) = await database["past_chats"].find({"chat_id": CHAT}).to_list(None)
        assert "ja" in listed["words"], "the chat can still be found by its other messages"
        assert "dag" not in listed["words"]
        assert "verwijderd" in (await api.get(f"/chats/{CHAT}/transcript?format=txt"))[2].decode()
        assert verify_file(before, KEYS).verdict is Verdict.INTACT  # what was handed out before stays true


async def test_messages_that_are_erased_at_once_all_lose_their_salts(database: Database, store: Store) -> None:
    await fill(store)
    await upgrade(database, STEPS)
    ended = await begun_yesterday(database)
    await seal(store, ended)
    chat, chains = await store.chat(CHAT), Chains(database, store, SIGNER, now_ms)
    assert chat is not None
    entries = {e.seq: e for e in await store.entries(CHAT)}
    await asyncio.gather(*(chains.remove_content(chat, entries[seq], ended) for seq in (2, 3)))
    proof = await chains.proof(chat, 4, ended)
    assert proof is not None
    assert [proof.salt(seq) == bytes(chain.SALT_BYTES) for seq in range(1, 5)] == [False, True, True, False]


async def test_a_message_is_erased_of_an_ended_chat_without_a_hold_alone(
    api: ApiClient, store: Store, database: Database
) -> None:
    assert (await erase_message(api, 2))[1]["code"] == "chat_open"
    await seal(store, now())
    assert (await erase_message(api, 2))[1]["code"] == "too_recent"
    await database["chats"].update_one({"_id": CHAT}, {"$set": {"closed_at": now() - timedelta(hours=1)}})
    hold = {"chat_id": CHAT, "until": (now() + timedelta(days=9)).isoformat(), **ASKED}
    assert (await api.command(erasures_api.HOLD, hold))[0] == 200
    assert (await erase_message(api, 2))[1]["code"] == "on_hold"
    status, found = await api.command(erasures_api.ERASE_MESSAGE, {"chat_id": new_id(), "seq": 1, **ASKED})
    assert (status, found["code"]) == (404, "no_such_chat")


async def test_a_restored_backup_does_not_bring_an_erased_message_back(
    database: Database, store: Store, files: Files, mongodb_url: str, mongodb_prefix: str
) -> None:
    await fill(store)
    await upgrade(database, STEPS)
    ended = await begun_yesterday(database)
    await files.begin(File(attachment(), CHAT, "citizen", FREE, "a" * 64), now())
    await store.insert([entry(CHAT, 4, text=None, attachment=attachment())])
    end = seal_entry(CHAT, 5).model_copy(update={"at": ended})
    await store.insert([end])
    await store.close_chats([end])
    chat, chains = await store.chat(CHAT), Chains(database, store, SIGNER, now_ms)
    assert chat is not None
    proof = await chains.proof(chat, 5, ended)
    assert proof is not None
    messages = {e.seq: proof.message(e) for e in await store.entries(CHAT)}
    digests = {seq: chain.content_digest(messages[seq], proof.salt(seq)) for seq in (2, 4)}
    receipts = [
        Receipt(id=str(seq), act="erase_message", chat_id=CHAT, at=now(), entry=seq, digest=digest, **ASKED)
        for seq, digest in digests.items()
    ]
    with MongoClient[dict[str, Any]](mongodb_url) as client:
        for _ in range(2):
            restored.apply(client, mongodb_prefix, receipts)
    proof = await chains.proof(chat, 5, ended)
    assert proof is not None
    assert proof.removed == digests
    assert [proof.salt(seq) == bytes(chain.SALT_BYTES) for seq in range(1, 6)] == [False, True, False, True, False]
    entries = {e.seq: e for e in await store.entries(CHAT)}
    assert (entries[2].text, entries[2].name, entries[4].attachment) == ("", None, None)
    assert await files.get("file") is None
    head = Transcript(CHAT, "algemeen", "Algemeen", chat.locale, chat.opened_at, ended, list(entries.values()))
    result = verify_file(as_json(head, proof), KEYS)
    assert (result.verdict, result.removed) == (Verdict.INTACT, 2)


async def test_the_public_keys_are_the_present_and_the_former_ones(api: ApiClient) -> None:
    _, found = await api.ask(transcripts_api.TRANSCRIPT_KEYS, {})
    assert [*chain.keys_of(found).values()] == [SIGNER.public_key, FORMER]


async def test_a_file_that_is_too_large_is_refused_before_it_is_read(api: ApiClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(100_000)

    headers = api.headers(None)
    async with api.client.post(transcripts_api.VERIFY_FILE, data=endless(), headers=headers) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "content",
    [b"[" + b"{}," * 3_500_000 + b"{}]", b'{"chat_id":' + b"[" * 900_000, b"%PDF" + b"/EmbeddedFile" * 800_000],
    ids=["objects", "depth", "files"],
)
async def test_a_file_that_would_take_too_much_is_no_transcript(api: ApiClient, content: bytes) -> None:
    assert (await verify(api, content))["verdict"] == "unreadable"


async def test_without_a_key_there_is_a_chain_and_no_signature(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str, database: Database
) -> None:
    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url))) as api:
        await seal(store, now())
        _, _, content = await api.get(JSON)
        assert verify_file(content, KEYS).findings == [Finding(Why.NOT_SIGNED)]
    assert [*(await Chains(database, store, SIGNER, now_ms).unsigned(9))] == [CHAT]


async def test_erasing_a_chat_erases_its_chain(database: Database, store: Store, api: ApiClient) -> None:
    await store.open_chats([opened_event(CHAT)])
    ended = await begun_yesterday(database)
    await seal(store, ended)
    chat, chains = await store.chat(CHAT), Chains(database, store, SIGNER, now_ms)
    assert chat is not None
    assert await chains.proof(chat, 4, ended)
    assert (await api.command(erasures_api.ERASE, {"chat_id": CHAT, **ASKED}))[0] == 200
    assert await database["chains"].find({}).to_list(None) == []
