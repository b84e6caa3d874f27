"""Mirrors services/transcripts/after_chat/download_codes.py: codes that a person can copy, and that expire."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.common.mongo.client import Database
from services.transcripts.after_chat.download_codes import ALPHABET, DownloadCodes, new_code, normal_form
from tests.transcripts.conftest import OPENED_AT, new_id


@given(st.lists(st.sampled_from(["", " ", "-", "\t", "\u2011", "\u2013"]), min_size=13, max_size=13), st.booleans())
def test_a_code_is_understood_however_it_is_typed(between: list[str], small: bool) -> None:
    code = new_code()
    plain = code.replace("-", "")
    typed = "".join(gap + c for gap, c in zip(between, plain, strict=False)) + between[-1]
    assert normal_form(typed.lower() if small else typed) == code


def test_letters_that_look_like_digits_are_read_as_digits() -> None:
    assert not set("ILOU") & set(ALPHABET)
    assert normal_form("il0o-ABCD-7K3F") == "1100-ABCD-7K3F"


@given(st.text(max_size=60))
def test_anything_else_is_no_code(typed: str) -> None:
    found = normal_form(typed)
    assert found is None or (len(found) == 14 and set(found) <= {*ALPHABET, "-"})


def test_what_is_too_short_or_too_long_is_no_code() -> None:
    assert normal_form("7K3F-9QWD-XM2") is None
    assert normal_form("7K3F-9QWD-XM2PA") is None
    assert normal_form("7K3F-9QWD-XM2U") is None


async def test_a_code_opens_its_chat_until_it_expires_or_is_replaced(database: Database) -> None:
    codes, chat = DownloadCodes(database, timedelta(days=7)), new_id()
    first, until = await codes.create(chat, OPENED_AT)
    assert until == OPENED_AT + timedelta(days=7)
    assert await codes.chat_of(first.lower(), OPENED_AT) == chat
    assert await codes.chat_of(first, until) is None
    second, _ = await codes.create(chat, OPENED_AT)
    assert await codes.chat_of(first, OPENED_AT) is None
    assert await codes.chat_of(second, OPENED_AT) == chat
    assert await codes.chat_of(new_code(), OPENED_AT) is None


async def test_the_database_holds_no_code(database: Database) -> None:
    code, _ = await DownloadCodes(database, timedelta(days=7)).create(new_id(), OPENED_AT)
    (kept,) = [found async for found in database["codes"].find()]
    assert code not in str(kept)
    assert code.replace("-", "") not in str(kept)
