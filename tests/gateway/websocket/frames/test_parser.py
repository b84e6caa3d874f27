"""`services/gateway/websocket/frames/parser.py`: what browsers send, however wrong."""

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.events.types import AgentState, Block
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.client import (
    Accept,
    End,
    Extend,
    Frame,
    Hello,
    Malformed,
    Post,
    Read,
    Refuse,
    Refused,
    SetState,
    TransferChat,
    Typing,
    WriteNote,
)
from services.gateway.websocket.frames.parser import AGENT_FRAMES, CITIZEN_FRAMES, parse
from tests.gateway.making import AN, CHAT, entry, id_of

ID = id_of(1)


def read(party: Literal["citizen", "agent"] = "citizen", **members: Any) -> Frame | Refused:
    """What the gateway understands of these members."""
    return parse(json.dumps(members), party)


def said(text: Any) -> Frame | Refused:
    return read(type="message", id=ID, text=text)


@pytest.mark.parametrize(
    ("members", "frame"),
    [
        ({"type": "hello", "token": "t", "after": 7}, Hello("t", 7)),
        ({"type": "hello", "token": "t"}, Hello("t", 0)),
        ({"type": "hello"}, Hello("", 0)),
        ({"type": "hello", "token": 5}, Hello("", 0)),
        ({"type": "hello", "token": "t" * 2_001}, Hello("", 0)),
        ({"type": "message", "id": ID, "text": "dag"}, Post(ID, text="dag")),
        ({"type": "message", "id": ID.upper(), "text": "dag"}, Post(ID, text="dag")),
        ({"type": "message", "id": ID, "attachment": ID.upper()}, Post(ID, attachment=ID)),
        ({"type": "typing", "active": True}, Typing(True)),
        ({"type": "read", "seq": 7}, Read(7)),
        ({"type": "close"}, End()),
        ({"type": "extend"}, Extend()),
        ({"type": "close", "unknown": [1]}, End()),
        ({"type": "close", "chat_id": CHAT}, End()),  # a citizen has one chat
    ],
)
def test_a_citizens_frames(members: dict[str, Any], frame: Frame) -> None:
    assert read(**members) == frame


@pytest.mark.parametrize(
    ("members", "frame"),
    [
        ({"type": "hello"}, Hello(chats={})),
        ({"type": "hello", "chats": {CHAT: 7}}, Hello(chats={CHAT: 7})),
        ({"type": "message", "chat_id": CHAT, "id": ID, "text": "dag"}, Post(ID, text="dag", chat_id=CHAT)),
        ({"type": "note", "chat_id": CHAT, "id": ID.upper(), "text": "intern"}, WriteNote(ID, "intern", CHAT)),
        ({"type": "typing", "chat_id": CHAT, "active": False}, Typing(False, CHAT)),
        ({"type": "read", "chat_id": CHAT, "seq": 0}, Read(0, CHAT)),
        ({"type": "close", "chat_id": CHAT}, End(CHAT)),
        (
            {"type": "close", "chat_id": CHAT, "block": {"minutes": 60, "reason": "scheldt"}},
            End(CHAT, Block(minutes=60, reason="scheldt")),
        ),
        (
            {"type": "close", "chat_id": CHAT, "block": {"minutes": 1440, "reason": "x" * 200, "address": False}},
            End(CHAT, Block(minutes=1440, reason="x" * 200, address=False)),
        ),
        ({"type": "close", "chat_id": CHAT, "block": None}, End(CHAT)),
        ({"type": "accept", "chat_id": CHAT}, Accept(CHAT)),
        ({"type": "refuse", "chat_id": CHAT}, Refuse(CHAT)),
        ({"type": "state", "state": "paused"}, SetState(AgentState.PAUSED)),
        (
            {"type": "transfer", "chat_id": CHAT, "to": {"department": "premies"}, "note": "dringend"},
            TransferChat(CHAT, "premies", None, "dringend"),
        ),
        ({"type": "transfer", "chat_id": CHAT, "to": {"agent": AN}}, TransferChat(CHAT, None, AN, None)),
        ({"type": "transfer", "chat_id": CHAT, "to": {"agent": AN}, "note": ""}, TransferChat(CHAT, None, AN, None)),
    ],
)
def test_an_agents_frames(members: dict[str, Any], frame: Frame) -> None:
    assert read("agent", **members) == frame


@pytest.mark.parametrize(
    "block",
    [
        {},
        [],
        True,
        "60",
        {"minutes": 60},
        {"reason": "scheldt"},
        {"minutes": 60, "reason": ""},
        {"minutes": 60, "reason": " \n"},
        {"minutes": 60, "reason": "a\0b"},
        {"minutes": 60, "reason": "x" * 201},
        {"minutes": 60, "reason": 7},
        *({"minutes": minutes, "reason": "scheldt"} for minutes in (0, -1, 1441, 2**70, "60", 1.5, True, None)),
        {"minutes": 60, "reason": "scheldt", "address": "yes"},
    ],
)
def test_a_block_without_a_time_or_a_reason_is_invalid(block: Any) -> None:
    assert read("agent", type="close", chat_id=CHAT, block=block) == Refused("invalid", None, CHAT)
    assert read("citizen", type="close", block=block) == End(), "a citizen blocks nobody"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "dag",
        "{",
        "[]",
        "null",
        "7",
        '"hello"',
        "{}",
        '{"type":null}',
        '{"type":7}',
        '{"type":[]}',
        '{"type":{}}',
        '{"type":["hello"]}',
        '{"type":"Hello"}',
        '{"type":"shout"}',
        '{"type":"accept","chat_id":"x"}',  # an agent's frame
        '{"type":"refuse","chat_id":"x"}',
        '{"type":"message","id":NaN}',
        '{"type":"message","text":"\\ud800"}',
        '{"type":"message","text":"\\udc00\\ud800"}',
        '{"type":"read","seq":1e999}',
        "[" * 20_000,
        '{"type":"hello"}{"type":"hello"}',
        b'{"type":"message","text":"\xed\xa0\x80"}',
        b"\xff\xfe",
    ],
)
def test_what_is_not_a_frame_of_the_protocol_is_malformed(data: str | bytes) -> None:
    with pytest.raises(Malformed):
        parse(data, "citizen")


@pytest.mark.parametrize("wrong", [None, 7, True, 1.5, "", "x", [], {}, [ID], {"id": ID}, ID + " ", "é" * 36, "٣" * 36])
@pytest.mark.parametrize(
    ("party", "members", "member"),
    [
        ("citizen", {"type": "message", "text": "dag"}, "id"),
        ("citizen", {"type": "message", "id": ID}, "text"),
        ("citizen", {"type": "typing"}, "active"),
        ("citizen", {"type": "read"}, "seq"),
        ("citizen", {"type": "hello", "token": "t"}, "after"),
        ("agent", {"type": "hello"}, "chats"),
        ("agent", {"type": "message", "id": ID, "text": "dag"}, "chat_id"),
        ("agent", {"type": "note", "chat_id": CHAT, "text": "dag"}, "id"),
        ("agent", {"type": "note", "chat_id": CHAT, "id": ID}, "text"),
        ("agent", {"type": "state"}, "state"),
        ("agent", {"type": "transfer", "chat_id": CHAT}, "to"),
        ("agent", {"type": "accept"}, "chat_id"),
        ("agent", {"type": "refuse"}, "chat_id"),
    ],
)
def test_a_wrong_value_is_refused_and_never_taken(
    party: Literal["citizen", "agent"], members: dict[str, Any], member: str, wrong: Any
) -> None:
    good: dict[str, Callable[[Any], bool]] = {
        "text": lambda value: isinstance(value, str) and value != "",
        "active": lambda value: isinstance(value, bool),
        "seq": lambda value: value == 7 and value is not True,
        "after": lambda value: value == 7 and value is not True,
        "chats": lambda value: value == {},
    }
    frame = read(party, **members, **{member: wrong})
    assert isinstance(frame, Refused) != good.get(member, lambda value: False)(wrong)
    if isinstance(frame, Refused):
        assert frame.code == "invalid"


@pytest.mark.parametrize(
    ("to", "note"),
    [
        ({"department": "a", "agent": "b"}, None),
        ({"department": 1}, None),
        ({"department": None, "agent": None}, None),
        ({"agent": AN}, 5),
        ({"agent": AN}, "a\0b"),
    ],
)
def test_a_transfer_goes_to_one_place(to: dict[str, Any], note: Any) -> None:
    assert read("agent", type="transfer", chat_id=CHAT, to=to, note=note) == Refused("invalid", None, CHAT)


def test_a_message_has_a_text_or_an_attachment() -> None:
    assert read(type="message", id=ID, text="dag", attachment=ID) == Refused("invalid", ID)
    assert read(type="message", id=ID) == Refused("invalid", ID)
    assert read(type="message", id=ID, attachment="../etc/passwd") == Refused("unknown_attachment", ID)
    assert read(type="message", id=ID, attachment=7) == Refused("invalid", ID)


def test_a_refusal_names_the_id_as_it_was_given_unless_it_is_no_id_at_all() -> None:
    assert read(type="message", id="Mijn id", text="dag") == Refused("invalid", "Mijn id")
    assert read(type="message", id=ID.upper(), text="") == Refused("invalid", ID.upper())
    assert read(type="message", id="x" * 101, text="dag") == Refused("invalid")
    assert read("agent", type="message", chat_id="x", id=ID, text="dag") == Refused("invalid", ID)


def test_a_text_has_1_to_4000_code_points() -> None:
    assert said("") == Refused("invalid", ID)
    assert said("x" * 4_000) == Post(ID, text="x" * 4_000)
    assert said("🏠" * 4_000) == Post(ID, text="🏠" * 4_000)
    assert said("x" * 4_001) == Refused("too_long", ID)
    assert said("🏠" * 4_001) == Refused("too_long", ID)
    assert said("a\0b") == Refused("invalid", ID)
    note = {"type": "note", "chat_id": CHAT, "id": ID, "text": "x" * 4_001}
    assert read("agent", **note) == Refused("too_long", ID, CHAT)


@pytest.mark.parametrize(
    "text",
    [
        "‮gnirts sdrawkcab‬",
        "zero​width‌‍joiners﻿",
        "<script>alert(1)</script> & <b>vet</b>",
        "  spatie \n\t regel\r\n",
        " ",
        "e\u0301 é 👩‍👩‍👧 🇧🇪",
        "￾\U0010ffff",
    ],
)
def test_a_text_is_kept_unchanged(text: str) -> None:
    assert said(text) == Post(ID, text=text)
    shown = json.loads(server.message(entry(1, text=text)))
    assert shown["text"] == text


@given(st.text(min_size=1, max_size=50, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_every_text_comes_out_as_it_went_in(text: str) -> None:
    assert said(text) == Post(ID, text=text)


@given(st.text(alphabet=st.characters(categories=["Cs"]), min_size=1, max_size=3))
def test_a_lone_surrogate_is_never_taken(text: str) -> None:
    with pytest.raises(Malformed):
        parse(json.dumps({"type": "message", "id": ID, "text": "a" + text[0]}), "citizen")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ("token", "after", "chats", "chat_id", "id", "text", "attachment", "active", "seq", "state", "to", "note")


@given(
    st.sampled_from(["citizen", "agent"]),
    st.sampled_from(sorted(AGENT_FRAMES)) | JSON,
    st.dictionaries(st.sampled_from(MEMBERS), JSON | st.sampled_from([ID, CHAT, 7, "tekst"])),
)
def test_nothing_but_a_frame_a_refusal_or_malformed_comes_out(
    party: Literal["citizen", "agent"], kind: Any, members: dict[str, Any]
) -> None:
    known = kind in (CITIZEN_FRAMES if party == "citizen" else AGENT_FRAMES) if isinstance(kind, str) else False
    try:
        frame = read(party, type=kind, **members)
    except Malformed:
        assert not known or "\\ud" in json.dumps(members) or _too_big(members)
    else:
        assert known
        if isinstance(frame, Refused):
            assert frame.code in server.ERRORS


def _too_big(value: Any) -> bool:
    """Whether a whole number is in it that is no double either."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_too_big(v) for v in inner) or (isinstance(value, int) and abs(value) > 10**308)


@pytest.mark.parametrize("seq", [-1, 2**31 + 1, 2**63, 2**64, 10**30, 1.0, "7", True, False, None])
def test_a_seq_is_a_whole_number_within_bounds(seq: Any) -> None:
    assert read(type="read", seq=seq) == Refused("invalid")
    assert read(type="hello", token="t", after=seq) == Refused("invalid")
    assert read("agent", type="hello", chats={CHAT: seq}) == Refused("invalid")


def test_an_agents_hello_names_at_most_a_hundred_chats() -> None:
    assert isinstance(read("agent", type="hello", chats={id_of(n): 0 for n in range(100)}), Hello)
    assert read("agent", type="hello", chats={id_of(n): 0 for n in range(101)}) == Refused("invalid")
    assert read("agent", type="hello", chats={CHAT.upper(): 0}) == Refused("invalid")
