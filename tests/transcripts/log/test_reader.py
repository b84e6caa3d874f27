"""Reads for those who must not miss anything, on the real database."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.common.config.departments import load_departments
from services.common.internal_api.transcripts import HistoryWanted
from services.transcripts.log import reader as module
from services.transcripts.log.reader import heading, history, reached
from services.transcripts.log.store import Store
from tests.support.conditions import until
from tests.support.servers import PATIENCE, ROOT
from tests.transcripts.conftest import OPENED_AT, entry, new_id, opened_event, seal_entry

DEPARTMENTS = load_departments(ROOT / Path("deploy/departments.toml"))


async def test_a_chat_without_a_log_has_no_history(store: Store) -> None:
    assert await history(store, HistoryWanted(chat_id=new_id()), notes=False) is None


async def test_a_page_has_what_comes_after_and_knows_the_end(store: Store) -> None:
    chat_id = new_id()
    for one in (entry(chat_id, 1), entry(chat_id, 2), seal_entry(chat_id, 3)):
        await store.insert([one])
    page = await history(store, HistoryWanted(chat_id=chat_id, after=1), notes=False)
    assert page is not None
    assert ([e.seq for e in page.entries], page.last_seq, page.sealed) == ([2, 3], 3, True)
    assert page.closed_at == OPENED_AT
    beyond = await history(store, HistoryWanted(chat_id=chat_id, after=9), notes=False)
    assert beyond is not None
    assert (beyond.entries, beyond.last_seq) == ([], 3)


async def test_an_entry_that_the_request_names_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chat_id, looks, real = new_id(), 0, store.grown

    async def grown(after: Mapping[str, int]) -> dict[str, int]:
        nonlocal looks
        looks += 1
        return await real(after)

    monkeypatch.setattr(store, "grown", grown)
    monkeypatch.setattr(module, "PATIENCE", PATIENCE)
    await store.insert([entry(chat_id, 1)])
    asked = asyncio.create_task(history(store, HistoryWanted(chat_id=chat_id, after=1, at_least=2), notes=False))
    await until(lambda: looks > 1 or asked.done(), "a second look")
    assert not asked.done()
    await store.insert([entry(chat_id, 2)])
    page = await asked
    assert page is not None
    assert ([e.seq for e in page.entries], page.last_seq) == ([2], 2)


async def test_what_never_comes_is_not_waited_for_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    chat_id = new_id()
    await store.insert([entry(chat_id, 1)])
    async with asyncio.timeout(PATIENCE):
        await reached(store, chat_id, 99)
        page = await history(store, HistoryWanted(chat_id=chat_id, at_least=99), notes=False)
    assert page is not None
    assert page.last_seq == 1


@pytest.mark.parametrize(
    ("after", "entries"),
    [
        (0, [1, 2]),
        (1, [2, 3]),
        (3, [4, 5]),  # a full page, and the last one
        (4, [5]),
        (5, []),
        (6, []),
    ],
)
async def test_every_page_knows_the_tail(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: int, entries: list[int]
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    chat_id = new_id()
    for seq in range(1, 5):
        await store.insert([entry(chat_id, seq)])
    await store.insert([seal_entry(chat_id, 5)])
    page = await history(store, HistoryWanted(chat_id=chat_id, after=after), notes=False)
    assert page is not None
    assert ([e.seq for e in page.entries], page.last_seq, page.sealed) == (entries, 5, True)


async def test_a_page_is_bounded_in_bytes_and_the_log_is_read_whole_page_after_page(store: Store) -> None:
    chat_id = new_id()
    texts = ["😀" * 4_000 if seq % 3 else "kort" for seq in range(1, 41)]
    await store.insert([entry(chat_id, seq, text=text) for seq, text in enumerate(texts, 1)], in_order=True)
    read, pages = list[str](), 0
    while True:
        page = await history(store, HistoryWanted(chat_id=chat_id, after=len(read)), notes=False, most=50_000)
        assert page is not None
        assert page.last_seq == 40
        if not page.entries:
            break
        assert sum(len((e.text or "").encode()) for e in page.entries) <= 50_000 + 16_000
        assert [e.seq for e in page.entries] == list(range(len(read) + 1, len(read) + 1 + len(page.entries)))
        read += [e.text or "" for e in page.entries]
        pages += 1
    assert read == texts
    assert pages >= 8


async def test_a_page_of_long_entries_has_at_least_one(store: Store) -> None:
    chat_id = new_id()
    for seq in (1, 2):
        await store.insert([entry(chat_id, seq, text="😀" * 4_000)])
    for after in (0, 1):
        page = await history(store, HistoryWanted(chat_id=chat_id, after=after), notes=False, most=20_000)
        assert page is not None
        assert [e.seq for e in page.entries][:1] == [after + 1]
        assert page.last_seq == 2


async def test_the_whole_conversation_with_its_departments_name(store: Store) -> None:
    chat_id = new_id()
    await store.open_chats([opened_event(chat_id, locale="fr")])
    await store.insert([entry(chat_id, 1)])
    chat = await store.chat(chat_id)
    assert chat is not None
    head, pages = await heading(store, chat, DEPARTMENTS)
    assert (head.department_name, head.closed_at) == ("Questions générales", None)
    await store.insert([seal_entry(chat_id, 2)])
    assert [e.seq async for page in pages for e in page] == [1]  # up to the moment of asking
    head, pages = await heading(store, chat, DEPARTMENTS)
    assert head.closed_at == OPENED_AT
    assert [e.seq async for page in pages for e in page] == [1, 2]


async def test_a_log_that_ends_too_soon_is_an_error_and_no_shorter_conversation(store: Store) -> None:
    chat_id = new_id()
    await store.insert([entry(chat_id, 1)])
    with pytest.raises(EOFError):
        assert [page async for page in module.pages(store, chat_id, 2)]
