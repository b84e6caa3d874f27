"""Verification of transcripts: what was altered is found, and where."""

import copy as copying
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.evidence import chain
from services.common.evidence.verification import MOST_BYTES, Finding, Result, Verdict, Why, verify_file
from tests.common.evidence.made import KEYS, OTHER, Data, content, copy, public, rebuilt, transcript

TEXTS = ["Dag", "Waarmee kan ik helpen?", "Mijn premie", "Ik kijk even", "Dank u"]
TAMPERED: dict[str, tuple[Callable[[Data], Any], Verdict, Finding]] = {
    "a text": (
        lambda d: d["messages"][2].update(text="Neen"),
        Verdict.ALTERED,
        Finding(Why.ENTRY_ALTERED, 3, 3),
    ),
    "a time": (
        lambda d: d["messages"][3].update(at="2027-01-01T00:00:00.000Z"),
        Verdict.ALTERED,
        Finding(Why.ENTRY_ALTERED, 4, 4),
    ),
    "an author": (
        lambda d: d["messages"][1].update({"from": "agent"}),
        Verdict.ALTERED,
        Finding(Why.ENTRY_ALTERED, 2, 2),
    ),
    "a name": (lambda d: d["messages"][1].update(name="Bob"), Verdict.ALTERED, Finding(Why.ENTRY_ALTERED, 2, 2)),
    "the last entry": (
        lambda d: d["messages"][-1].update(text="Tot ziens"),
        Verdict.ALTERED,
        Finding(Why.ENTRY_ALTERED, 7, 7),
    ),
    "the order": (
        lambda d: d["messages"].insert(2, d["messages"].pop(3)),
        Verdict.ALTERED,
        Finding(Why.ENTRY_MOVED, 3, 3),
    ),
    "an entry twice": (
        lambda d: d["messages"].insert(2, d["messages"][2]),
        Verdict.ALTERED,
        Finding(Why.ENTRY_MOVED, 3, 3),
    ),
    "a member that nothing covers": (
        lambda d: d["messages"][2].update(remark="Ja"),
        Verdict.ALTERED,
        Finding(Why.ENTRY_ALTERED, 3, 3),
    ),
    "a salt": (lambda d: d["messages"][2].update(salt="0" * 32), Verdict.ALTERED, Finding(Why.ENTRY_ALTERED, 3, 3)),
    "a hash of an entry before": (
        lambda d: d["messages"][2].update(prev="0" * 64),
        Verdict.ALTERED,
        Finding(Why.ENTRY_ALTERED, 2, 2),
    ),
    "an entry that is nothing": (
        lambda d: d["messages"].__setitem__(2, None),
        Verdict.ALTERED,
        Finding(Why.ENTRY_ALTERED, 3, 3),
    ),
    "the department": (lambda d: d.update(department="fin"), Verdict.ALTERED, Finding(Why.HEADING_ALTERED)),
    "the beginning": (lambda d: d.update(opened_at="2020"), Verdict.ALTERED, Finding(Why.HEADING_ALTERED)),
    "the end": (lambda d: d.update(closed_at=None), Verdict.ALTERED, Finding(Why.HEADING_ALTERED)),
    "the head": (lambda d: d["chain"].update(head="0" * 64), Verdict.ALTERED, Finding(Why.HEADING_ALTERED)),
    "the code": (lambda d: d["chain"].update(code="0000"), Verdict.ALTERED, Finding(Why.HEADING_ALTERED)),
    "a member beside the messages": (lambda d: d.update(note="x"), Verdict.ALTERED, Finding(Why.HEADING_ALTERED)),
    "the first entry is missing": (
        lambda d: d["messages"].pop(0),
        Verdict.INCOMPLETE,
        Finding(Why.ENTRIES_MISSING, 1, 1),
    ),
    "entries in the middle are missing": (
        lambda d: d["messages"].__delitem__(slice(2, 4)),
        Verdict.INCOMPLETE,
        Finding(Why.ENTRIES_MISSING, 3, 4),
    ),
    "the last entry is missing": (
        lambda d: d["messages"].pop(),
        Verdict.INCOMPLETE,
        Finding(Why.ENTRIES_MISSING, 7, 7),
    ),
    "the signature is missing": (
        lambda d: d["chain"].update(statement=None, signature=None),
        Verdict.INCOMPLETE,
        Finding(Why.NOT_SIGNED),
    ),
    "the signature": (
        lambda d: d["chain"].update(signature=chain.encoded(bytes(64))),
        Verdict.ALTERED,
        Finding(Why.BAD_SIGNATURE),
    ),
    "the time of the signature": (
        lambda d: d["chain"]["statement"].update(signed_at="2020"),
        Verdict.ALTERED,
        Finding(Why.BAD_SIGNATURE),
    ),
    "the chain is missing": (lambda d: d.update(chain=None), Verdict.NO_CHAIN, Finding(Why.NO_CHAIN)),
    "a later version": (lambda d: d["chain"].update(version=2), Verdict.UNREADABLE, Finding(Why.NEWER_FORMAT)),
}


def verify(data: Data) -> Result:
    return verify_file(content(data), KEYS)


def test_what_was_handed_out_is_intact() -> None:
    result = verify(transcript(TEXTS, file_of=4))
    assert (result.verdict, result.findings, result.entries, result.removed) == (Verdict.INTACT, [], 7, 0)
    assert (result.chat_id, result.signed_at, [*KEYS]) == ("chat-1", "2026-11-22T15:00:59.123Z", [result.kid])
    assert [m.get("text") for m in result.messages][1:3] == TEXTS[:2]


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_altered_is_found_and_where(what: str) -> None:
    data = transcript(TEXTS)
    tamper, verdict, finding = TAMPERED[what]
    tamper(data)
    result = verify(data)
    assert result.verdict is verdict
    assert finding in result.findings


def test_a_chain_that_was_made_anew_is_not_the_one_that_was_signed() -> None:
    data = transcript(TEXTS)
    data["messages"][2]["text"] = "Neen"
    result = verify(rebuilt(data))
    assert (result.verdict, Finding(Why.SOMEWHERE) in result.findings) == (Verdict.ALTERED, True)


def test_messages_after_the_end_that_was_signed_are_found() -> None:
    data = transcript(TEXTS)
    data["messages"].append({**data["messages"][-1], "seq": 8})
    result = verify(rebuilt(data))
    assert (result.verdict, Finding(Why.ENTRIES_ADDED, 8, 8) in result.findings) == (Verdict.ALTERED, True)


def test_the_signature_of_another_chat_is_no_signature_of_this_one() -> None:
    data, other = transcript(TEXTS), transcript(TEXTS, chat="chat-2")
    data["chain"] = other["chain"]
    result = verify(data)
    assert (result.verdict, Finding(Why.OTHER_CHAT) in result.findings) == (Verdict.ALTERED, True)


def test_a_key_that_is_not_published_proves_nothing() -> None:
    assert verify(transcript(TEXTS, key=OTHER)).verdict is Verdict.UNKNOWN_KEY
    data = transcript(TEXTS, key=OTHER)  # and naming the published one does not help
    data["chain"]["statement"]["kid"] = next(iter(KEYS))
    assert Finding(Why.BAD_SIGNATURE) in verify(data).findings
    assert (
        verify_file(content(transcript(TEXTS, key=OTHER)), {chain.kid_of(public(OTHER)): public(OTHER)}).findings == []
    )


def test_entries_without_content_keep_the_chain_whole() -> None:
    data = transcript(TEXTS, removed=(3, 5))
    assert "text" not in data["messages"][2]
    result = verify(data)
    assert (result.verdict, result.removed) == (Verdict.INTACT, 2)
    data["messages"][2]["removed"] = "0" * 64
    assert Finding(Why.ENTRY_ALTERED, 3, 3) in verify(data).findings
    both = copy(transcript(TEXTS, removed=(3,)))
    both["messages"][2]["text"] = "wat er niet stond"
    assert Finding(Why.ENTRY_ALTERED, 3, 3) in verify(both).findings


def test_a_conversation_that_goes_on_is_not_signed_and_its_entries_are_verified() -> None:
    data = transcript(TEXTS, signed=False)
    assert verify(data).findings == [Finding(Why.NOT_SIGNED)]
    data["messages"][-1]["text"] = "Neen"
    assert Finding(Why.ENTRY_ALTERED, 7, 7) in verify(data).findings


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", Why.NOT_A_TRANSCRIPT),
        (b"hello", Why.NOT_A_TRANSCRIPT),
        (b"[]", Why.NOT_A_TRANSCRIPT),
        (b'{"chat_id":"a","messages":[{"a":' + b"[" * 100_000, Why.CUT_OFF),
        (b'{"chat_id":1,"department":"","locale":"","opened_at":"","messages":[]}', Why.NOT_A_TRANSCRIPT),
        (b'{"chat_id":"a","chat_id":"b"}', Why.NOT_A_TRANSCRIPT),
        (b'{"chat_id":NaN}', Why.CUT_OFF),
        (b"\xff\xfe{}", Why.NOT_A_TRANSCRIPT),
        (b"%PDF-1.7\n%%EOF", Why.NOT_A_TRANSCRIPT),
        (b"%PDF-1.7\n1 0 obj", Why.CUT_OFF),
        (b" " * (MOST_BYTES + 1), Why.TOO_LARGE),
    ],
)
def test_a_file_that_is_no_transcript_says_so(file: bytes, why: Why) -> None:
    result = verify_file(file, KEYS)
    assert ([f.why for f in result.findings], result.verdict) == ([why], Verdict.UNREADABLE)


def test_a_file_that_is_cut_off_anywhere_says_so() -> None:
    whole = content(transcript(TEXTS))
    for end in range(20, len(whole), 97):
        assert verify_file(whole[:end], KEYS).findings == [Finding(Why.CUT_OFF)]
    assert verify_file(b"\xef\xbb\xbf" + whole + b"\r\n", KEYS).verdict is Verdict.INTACT


def pdf(*embedded: bytes, deflated: bool = True) -> bytes:
    parts = [b"%PDF-1.7\n"]
    for number, data in enumerate(embedded, 1):
        stream = zlib.compress(data) if deflated else data
        kind = b"/Filter/FlateDecode" if deflated else b""
        head = b"%d 0 obj\n<</Type/EmbeddedFile/Length %d%b>>\nstream\n" % (number, len(stream), kind)
        parts += [head, stream, b"\nendstream\nendobj\n"]
    return b"".join([*parts, b"%%EOF\n"])


@pytest.mark.parametrize("deflated", [True, False])
def test_the_transcript_in_a_pdf_is_verified(deflated: bool) -> None:
    result = verify_file(pdf(b"<xml/>", content(transcript(TEXTS)), deflated=deflated), KEYS)
    assert (result.verdict, result.pdf) == (Verdict.INTACT, True)


def test_of_a_pdf_with_many_transcripts_no_more_than_two_are_held_in_memory() -> None:
    large = b'{"chat_id":"' + b"x" * 2_000_000 + b'"}'
    many = pdf(*[large] * 20)
    tracemalloc.start()
    try:
        assert verify_file(many, KEYS).findings == [Finding(Why.NOT_A_TRANSCRIPT)]
        assert tracemalloc.get_traced_memory()[1] < 5 * len(large)
    finally:
        tracemalloc.stop()


def test_a_pdf_with_two_transcripts_or_one_that_is_too_large_is_not_read() -> None:
    two = pdf(content(transcript(TEXTS)), content(transcript(TEXTS[:2])))
    assert verify_file(two, KEYS).findings == [Finding(Why.NOT_A_TRANSCRIPT)]
    bomb = pdf(b'{"chat_id"' + b" " * (MOST_BYTES + 1))
    assert len(bomb) < 100_000
    assert verify_file(bomb, KEYS).findings == [Finding(Why.NOT_A_TRANSCRIPT)]


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────────

SAID = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=6)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(SAID)
def test_whatever_was_said_is_intact_after_any_program_has_written_the_json_anew(said: list[str]) -> None:
    data = transcript(said)
    for written in (content(data), json.dumps(data, indent=2, sort_keys=True).encode()):
        assert verify_file(written, KEYS).verdict is Verdict.INTACT


@given(SAID, st.data())
def test_any_other_value_of_any_member_is_noticed(said: list[str], choose: st.DataObject) -> None:
    data = transcript(said)
    at: Any = data
    while True:
        step = choose.draw(st.sampled_from([*at] if isinstance(at, dict) else range(len(at))))
        inner = at[step]
        if not isinstance(inner, dict | list) or not inner or choose.draw(st.booleans()):
            break
        at = inner
    before = copying.deepcopy(inner)
    at[step] = choose.draw(ANY)
    result = verify(data)
    same = at[step] == before and type(at[step]) is type(before)
    # What may be left out without harm: the copy of the key, which is published, and the code, which is computed.
    harmless = at is data["chain"] and (step == "public_key" or (step == "code" and at[step] is None))
    assert (result.verdict is Verdict.INTACT) == (same or harmless)


@given(SAID, st.data())
def test_entries_in_another_order_or_without_some_are_noticed(said: list[str], choose: st.DataObject) -> None:
    data = transcript(said)
    whole = data["messages"]
    data["messages"] = choose.draw(st.lists(st.sampled_from(whole), max_size=len(whole) + 2))
    assert (verify(data).verdict is Verdict.INTACT) == (data["messages"] == whole)


@given(ANY)
def test_nothing_makes_the_verifier_fail(value: Any) -> None:
    data = transcript(TEXTS[:1])
    for broken in (value, {**data, "chain": value}, {**data, "messages": [value]}, {**data, "messages": value}):
        assert verify_file(json.dumps(broken).encode(), KEYS).verdict is not Verdict.INTACT
    statement = {**data, "chain": {**data["chain"], "statement": value}}
    assert verify_file(json.dumps(statement).encode(), KEYS).verdict is not Verdict.INTACT


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    assert verify_file(data, KEYS).verdict is Verdict.UNREADABLE
    assert verify_file(b"%PDF" + data, KEYS).verdict is Verdict.UNREADABLE
