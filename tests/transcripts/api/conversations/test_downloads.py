"""Transcripts in all formats, over HTTP and the real database."""

import asyncio
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import psutil
import pypdf
import pytest
from pymongo.errors import AutoReconnect

from services.common.events.types import Entry
from services.common.http.tokens import Actor
from services.transcripts.api import context
from services.transcripts.app import create_app
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.conditions import until
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import AN, BERT, CHAT, CITIZEN, ApiClient, fill, opened, seal
from tests.transcripts.api.conftest import LogPolls
from tests.transcripts.conftest import entry, new_id


async def test_the_conversation_in_all_formats(api: ApiClient, store: Store) -> None:
    await seal(store, datetime.now(UTC).replace(microsecond=0))
    for format_, kind in (
        ("txt", "text/plain; charset=utf-8"),
        ("html", "text/html; charset=utf-8"),
        ("pdf", "application/pdf"),
        ("json", "application/json"),
    ):
        status, headers, content = await api.get(f"/chats/{CHAT}/transcript?format={format_}")
        assert (status, headers["Content-Type"]) == (200, kind)
        assert f'filename="chat-2026-11-22-{CHAT[:8]}.{format_}"' in headers["Content-Disposition"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        text = content.decode() if format_ != "pdf" else pypdf.PdfReader(io.BytesIO(content)).pages[0].extract_text()
        assert "Ja?" in text
        assert "Welkom" in text
    _, _, content = await api.get(f"/chats/{CHAT}/transcript?format=json")
    assert [m["seq"] for m in json.loads(content)["messages"]] == [1, 2, 3, 4]
    assert json.loads(content)["closed_at"] is not None


async def test_a_conversation_that_is_too_long_for_a_pdf_is_there_in_the_other_formats(
    api: ApiClient, store: Store
) -> None:
    await store.insert([entry(CHAT, 4 + n, text="\n" * 4_000, id=f"long-{n}") for n in range(6)], in_order=True)
    status, _, content = await api.get(f"/chats/{CHAT}/transcript?format=pdf")
    assert (status, json.loads(content)["code"]) == (422, "too_long")
    for format_ in ("txt", "html", "json"):
        status, _, content = await api.get(f"/chats/{CHAT}/transcript?format={format_}")
        assert (status, len(content) > 24_000) == (200, True)


async def test_a_long_log_is_streamed_whole_and_unread_downloads_hold_little(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "DOWNLOAD_PATIENCE", 0.1)
    await fill(store)
    texts = ["😀" * 4_000] * 400
    for n in range(0, 400, 100):
        some = [entry(CHAT, 4 + n + i, text=t, id=f"long-{n + i}") for i, t in enumerate(texts[n : n + 100])]
        await store.insert(some, in_order=True)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url))) as api:
        path, own = f"/chats/{CHAT}/transcript?format=json", psutil.Process()
        unread = [await api.client.get(path, headers=api.headers(CITIZEN)) for _ in range(2)]
        before = own.memory_info().rss
        status, headers, content = await api.get(path)
        assert (status, json.loads(content)["code"]) == (429, "rate_limited")
        assert int(headers["Retry-After"]) > 0
        assert own.memory_info().rss - before < 20_000_000
        for answer in unread:
            assert [m.get("text") for m in json.loads(await answer.read())["messages"]][3:] == texts
        async with asyncio.timeout(PATIENCE):
            while (status := (await api.get(f"/chats/{CHAT}/transcript?format=txt"))[0]) == 429:
                pass  # a place is given back a moment after its download is read
        assert status == 200


async def test_a_log_that_cannot_be_read_to_its_end_is_no_whole_download(
    api: ApiClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.insert([entry(CHAT, 4 + n, text="😀" * 4_000, id=f"long-{n}") for n in range(80)], in_order=True)
    real = Store.entries

    async def away(self: Store, chat_id: str, after: int = 0, limit: int = 0) -> list[Entry]:
        if after > 30:
            raise AutoReconnect("away")
        return await real(self, chat_id, after, limit)

    monkeypatch.setattr(Store, "entries", away)
    for format_ in ("json", "txt", "html"):
        with pytest.raises(aiohttp.ClientPayloadError):
            await api.get(f"/chats/{CHAT}/transcript?format={format_}")


async def test_a_download_waits_for_what_its_asker_has_seen(api: ApiClient, store: Store, log_polls: LogPolls) -> None:
    asking = asyncio.create_task(api.get(f"/chats/{CHAT}/transcript?format=json&at_least=4"))
    await until(lambda: log_polls.number > 1 or asking.done(), "a second look")
    await store.insert([entry(CHAT, 4, text="net op tijd")])
    assert "net op tijd" in (await asking)[2].decode()


@pytest.mark.parametrize(
    ("path", "actor", "status", "code"),
    [
        (f"/chats/{CHAT}/transcript?format=docx", CITIZEN, 422, "invalid"),
        (f"/chats/{CHAT}/transcript", BERT, 403, "forbidden"),
        (f"/chats/{new_id()}/transcript", CITIZEN, 403, "forbidden"),
        (f"/chats/{new_id()}/transcript", AN, 404, "no_such_chat"),
        (f"/chats/{CHAT}/transcript", None, 401, "unauthenticated"),
    ],
    ids=["format", "not-his", "foreign-chat", "no-chat", "nobody"],
)
async def test_refusals(api: ApiClient, path: str, actor: Actor | None, status: int, code: str) -> None:
    got, headers, body = await api.get(path, actor)
    assert (got, json.loads(body)["code"]) == (status, code)
    assert headers["Content-Type"] == "application/problem+json"


def test_fonts_and_template_are_part_of_the_package() -> None:
    room = Path(create_app.__code__.co_filename).parent / "rendering"
    assert {p.name for p in (room / "fonts").iterdir()} >= {
        *("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "LICENSE.txt"),
        *("noto-cjk.otf", "noto-sansdevanagari.ttf", "LICENSE-noto.txt"),
        *("twemoji.ttf", "LICENSE-twemoji.txt", "spans.json"),
    }
    assert (room / "transcript.typ").is_file()
