"""Erasure of one chat on the real database: what goes, what stays, holds, interruptions at every write."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.common.internal_api.erasures import EraseWanted, HoldWanted, LiftWanted
from services.transcripts.retention.rules import SETTLED, Obstacle
from services.transcripts.retention.store import Erasures
from tests.transcripts.conftest import OPENED_AT, new_id, posted
from tests.transcripts.retention.conftest import NOW, Archive

WORDS = {"by": "griffie", "reason": "verzoek 2026/14"}


def hold(chat_id: str, days: float = 30) -> HoldWanted:
    return HoldWanted(chat_id=chat_id, until=NOW + timedelta(days=days), **WORDS)


async def test_an_erasure_by_number_takes_everything_of_the_chat_and_nothing_of_others(archive: Archive) -> None:
    chat, other = await archive.chat(word="kwetterbes"), await archive.chat(word="zilverling")
    everything = await archive.places(other)
    assert set(everything) == {
        *("chats", "entries", "notes", "attachments", "bytes", "questions", "ratings", "codes", "past_chats"),
    }
    assert "past_chats" in await archive.words("kwetterbes")
    assert await archive.erasures.erase(chat, "operator", NOW) is None
    assert await archive.words("kwetterbes") == []
    assert await archive.places(chat) == {}
    assert await archive.places(other) == everything
    assert await archive.erasures.erased([chat, other]) == {chat}
    receipt = await archive.erasures.receipt_of_erasure(EraseWanted(chat_id=chat, **WORDS), NOW)
    assert receipt.department == "algemeen"
    once = dict.fromkeys(("notes", "past_chats", "ratings", "codes", "questions"), 1)
    assert receipt.erased == {"transcripts": {"files": 2, "conversation": 3, **once}}
    assert await archive.erasures.receipts(None) == [receipt]
    assert await archive.erasures.receipts(receipt.id) == []


async def test_a_repetition_counts_nothing_twice(archive: Archive) -> None:
    chat = await archive.chat()
    for _ in range(2):
        assert await archive.erasures.erase(chat, "operator", NOW) is None
    rows = await archive.erasures.report(NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert {(r.category, r.chats, r.items) for r in rows} == {
        ("files", 1, 2),
        ("notes", 1, 1),
        ("past_chats", 1, 1),
        ("conversation", 1, 3),
        ("ratings", 1, 1),
        ("codes", 1, 1),
        ("questions", 1, 1),
    }
    assert {(r.month, r.department, r.by, r.last_at) for r in rows} == {("2029-08", "algemeen", "operator", NOW)}


async def test_open_recent_and_unknown_chats_are_not_erased(archive: Archive) -> None:
    open_, recent = await archive.chat(closed_at=None), await archive.chat(closed_at=NOW)
    assert await archive.erasures.erase(open_, "operator", NOW) is Obstacle.OPEN
    assert await archive.erasures.erase(recent, "operator", NOW + SETTLED / 2) is Obstacle.RECENT
    assert await archive.erasures.erase(new_id(), "operator", NOW) is Obstacle.UNKNOWN
    assert (await archive.places(open_))["entries"] == 2
    assert await archive.erasures.erased([open_, recent]) == set()


async def test_a_legal_hold_keeps_a_chat_until_it_is_lifted_or_ends(archive: Archive) -> None:
    chat, erasures = await archive.chat(), archive.erasures
    set_ = await erasures.hold(hold(chat), NOW)
    assert set_ is not None
    assert (set_.act, set_.until) == ("hold", NOW + timedelta(days=30))
    assert await erasures.on_hold(NOW) == 1
    for by in ("operator", "period"):
        assert await erasures.erase(chat, by, NOW) is Obstacle.ON_HOLD
    assert await erasures.expired("algemeen", NOW, NOW, 10) == []
    assert await erasures.expired("algemeen", NOW, NOW + timedelta(days=31), 10) == [chat]
    assert await erasures.lift(LiftWanted(chat_id=chat, **WORDS), NOW + SETTLED) is not None
    assert await erasures.lift(LiftWanted(chat_id=chat, **WORDS), NOW + SETTLED) is None
    assert await erasures.erase(chat, "operator", NOW) is None
    assert await erasures.hold(hold(chat), NOW) is None
    assert [r.act for r in await erasures.receipts(None)] == ["hold", "lift"]


async def test_a_left_question_without_a_chat_is_erased_and_held_by_its_number(archive: Archive) -> None:
    number = new_id()
    await archive.question(number, word="kwetterbes")
    assert await archive.erasures.hold(hold(number), NOW) is not None
    assert await archive.erasures.erase(number, "operator", NOW) is Obstacle.ON_HOLD
    assert await archive.erasures.lift(LiftWanted(chat_id=number, **WORDS), NOW) is not None
    assert await archive.erasures.erase(number, "operator", NOW) is None
    assert await archive.words("kwetterbes") == []


@pytest.mark.parametrize("kind", ["chat", "question without a chat"])
async def test_of_a_legal_hold_and_an_erasure_at_once_one_succeeds(archive: Archive, kind: str) -> None:
    for _ in range(20):
        number = new_id()
        if kind == "chat":
            number = await archive.chat(parts=False)
        else:
            await archive.question(number, word="kwetterbes")
        why_not, held = await asyncio.gather(
            archive.erasures.erase(number, "operator", NOW), archive.erasures.hold(hold(number), NOW)
        )
        assert (why_not is Obstacle.ON_HOLD) == (held is not None)
        left = await archive.places(number) if kind == "chat" else await archive.words("kwetterbes")
        assert bool(left) == (held is not None)
        if held is not None:
            assert await archive.erasures.lift(LiftWanted(chat_id=number, **WORDS), NOW) is not None
            assert await archive.erasures.erase(number, "operator", NOW) is None


async def test_a_hold_that_comes_after_a_chat_was_found_keeps_its_files_and_notes(archive: Archive) -> None:
    chat = await archive.chat()
    before = await archive.places(chat)
    assert await archive.erasures.hold(hold(chat), NOW) is not None
    for part in ("files", "notes"):
        assert await archive.erasures.delete_part(part, chat, "algemeen", NOW) == 0
    assert await archive.places(chat) == before
    assert await archive.erasures.lift(LiftWanted(chat_id=chat, **WORDS), NOW) is not None
    for part in ("files", "notes"):
        assert await archive.erasures.delete_part(part, chat, "algemeen", NOW) > 0


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """A collection or database whose writes are counted; the process is killed before the one with this number."""

    def __init__(self, real: Any, count: list[int]) -> None:
        self._real, self._count = real, count

    def __getitem__(self, name: str) -> "Mortal":
        return Mortal(self._real[name], self._count)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("update", "delete", "insert")):
            self._count[0] -= 1
            if self._count[0] == 0:
                raise Killed
        return getattr(self._real, name)


CLAIM, CLAIM_OF_QUESTION = 6, 3
"""Which write is the claim. Before it are the rows of statistics: of the chat with its rating, and of the question."""


async def test_an_erasure_that_is_killed_at_any_write_is_finished_by_the_next_round(archive: Archive) -> None:
    killed = 0
    while True:
        chat = await archive.chat(word="kwetterbes")
        mortal = Erasures(Mortal(archive.database, [killed + 1]))  # type: ignore[arg-type]
        try:
            await mortal.erase(chat, "operator", NOW)
        except Killed:
            killed += 1
        else:
            break
        claimed = (await archive.database["chats"].find_one({"_id": chat}) or {}).get("erasing") is not None
        assert claimed == (killed > CLAIM)
        if claimed:
            assert await archive.erasures.interrupted(10) == [chat]
            assert await archive.erasures.hold(hold(chat), NOW) is None
        assert await archive.erasures.erase(chat, "period" if claimed else "operator", NOW) is None
        assert await archive.words("kwetterbes") == []
        assert await archive.places(chat) == {}
        assert await archive.erasures.interrupted(10) == []
    assert killed > 20
    sums = {r.category: (r.chats, r.items) for r in await archive.erasures.report(OPENED_AT, NOW + SETTLED)}
    assert sums["files"] == (killed + 1, 2 * (killed + 1))
    assert sums["conversation"] == (killed + 1, 3 * (killed + 1))


async def test_a_killed_erasure_of_a_question_without_a_chat_is_finished_by_the_next_round(archive: Archive) -> None:
    killed = 0
    while True:
        number = new_id()
        await archive.question(number, word="kwetterbes")
        mortal = Erasures(Mortal(archive.database, [killed + 1]))  # type: ignore[arg-type]
        try:
            await mortal.erase(number, "operator", NOW)
        except Killed:
            killed += 1
        else:
            break
        question = await archive.database["questions"].find_one({"_id": number})
        claimed = question is None or question.get("erasing") is not None
        assert claimed == (killed > CLAIM_OF_QUESTION)
        assert await archive.erasures.interrupted(10) == ([number] if claimed and question else [])
        assert await archive.erasures.erase(number, "period" if claimed else "operator", NOW) is None
        assert await archive.words("kwetterbes") == []
        assert await archive.erasures.interrupted(10) == []
    assert killed >= 3


async def test_what_lands_late_is_erased_a_day_later(archive: Archive) -> None:
    chat = await archive.chat()
    await archive.erasures.erase(chat, "operator", NOW)
    late = posted(chat)
    await archive.database["entries"].insert_one({"_id": f"{chat}:{late.id}", "chat_id": chat, "seq": 3})
    assert await archive.erasures.late(NOW, 10) == []
    later = NOW + timedelta(days=1)
    assert await archive.erasures.late(later, 10) == [chat]
    assert await archive.erasures.erase_again(chat, later) == 1
    assert await archive.places(chat) == {}
    assert await archive.erasures.late(later, 10) == []
