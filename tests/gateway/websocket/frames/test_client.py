"""`services/gateway/websocket/frames/client.py`: what browsers send, however wrong."""

import json
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.events.types import AgentState
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.client import (
    FRAMES,
    Accept,
    BlockRequest,
    Details,
    Done,
    End,
    Extend,
    Frame,
    FrameParty,
    Hello,
    Malformed,
    Post,
    Read,
    Refuse,
    Refused,
    SetState,
    Target,
    TransferChat,
    Typing,
    WriteNote,
    kind_of,
    parse,
)
from tests.gateway.making import AN, CHAT, entry, id_of

ID = id_of(1)
CITIZEN_FRAMES, AGENT_FRAMES = ({kind_of(type_) for type_ in FRAMES[party]} for party in ("citizen", "agent"))
SAID: dict[str, dict[str, Any]] = {
    "hello": {"chats": {CHAT: 3}},
    "message": {"id": id_of(1), "text": "dag"},
    "typing": {"active": True},
    "read": {"seq": 1},
    "close": {},
    "accept": {},
    "active": {},
    "done": {},
    "watch": {},
    "departments": {},
    "refuse": {},
    "state": {"state": "paused"},
    "transfer": {"to": {"agent": AN}},
    "note": {"id": id_of(1), "text": "dag"},
    "identify": {"id": id_of(1)},
}


def read(party: FrameParty = "citizen", **members: Any) -> Frame | Refused:
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
        ({"type": "details", "name": " An  Peeters\n"}, Details("An Peeters")),
        ({"type": "details", "name": "\u202eAn\u200b \u2066Peeters"}, Details("An Peeters")),
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
            End(CHAT, BlockRequest(minutes=60, reason="scheldt")),
        ),
        (
            {"type": "close", "chat_id": CHAT, "block": {"minutes": 1440, "reason": "x" * 200, "address": False}},
            End(CHAT, BlockRequest(minutes=1440, reason="x" * 200, address=False)),
        ),
        ({"type": "close", "chat_id": CHAT, "block": None}, End(CHAT)),
        ({"type": "accept", "chat_id": CHAT}, Accept(CHAT)),
        ({"type": "refuse", "chat_id": CHAT}, Refuse(CHAT)),
        ({"type": "done", "chat_id": CHAT}, Done(CHAT)),
        ({"type": "state", "state": "paused"}, SetState(AgentState.PAUSED)),
        (
            {"type": "transfer", "chat_id": CHAT, "to": {"department": "premies"}, "note": "dringend"},
            TransferChat(CHAT, Target(department="premies"), "dringend"),
        ),
        ({"type": "transfer", "chat_id": CHAT, "to": {"agent": AN}}, TransferChat(CHAT, Target(agent=AN))),
        ({"type": "transfer", "chat_id": CHAT, "to": {"agent": AN}, "note": ""}, TransferChat(CHAT, Target(agent=AN))),
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
    party: FrameParty, members: dict[str, Any], member: str, wrong: Any
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
def test_a_transfer_goes_to_one_recipient(to: dict[str, Any], note: Any) -> None:
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
def test_a_message_with_a_lone_surrogate_is_refused_by_its_id(text: str) -> None:
    half = "a" + text[0]
    assert parse(json.dumps({"type": "message", "id": ID, "text": half}), "citizen") == Refused("invalid", ID)
    assert read("agent", type="message", chat_id=CHAT, id=ID, text=half) == Refused("invalid", ID, CHAT)
    assert read("agent", type="note", chat_id=CHAT, id=ID, text=half) == Refused("invalid", ID, CHAT)
    for members in ({"id": half, "text": "a"}, {"id": 7, "text": half}, {"text": half}):
        with pytest.raises(Malformed):
            parse(json.dumps({"type": "message", **members}), "citizen")


@pytest.mark.parametrize(
    ("escaped", "text"),
    [("\\ud83d\\ude00", "\U0001f600"), ("\\\\ud83d", "\\ud83d"), ("\\\\\\ud83d\\ude00", "\\\U0001f600")],
)
def test_what_only_looks_like_a_lone_surrogate_is_a_text(escaped: str, text: str) -> None:
    frame = '{"type":"message","id":"%s","text":"%s"}'
    assert parse(frame % (ID, escaped), "citizen") == Post(ID, text=text)
    assert parse(frame % (ID, f"{escaped}\\udc00"), "citizen") == Refused("invalid", ID)
    with pytest.raises(Malformed):
        parse(frame % (ID, f"{escaped}\\udc00") + "x", "citizen")


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
    party: FrameParty, kind: Any, members: dict[str, Any]
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


def test_every_frame_has_a_value_of_its_own() -> None:
    assert SAID.keys() == AGENT_FRAMES
    read = {kind: parse(json.dumps({"type": kind, "chat_id": CHAT, **more}), "agent") for kind, more in SAID.items()}
    read["extend"] = parse('{"type": "extend"}', "citizen")
    read["details"] = parse('{"type": "details", "name": "An"}', "citizen")
    assert {type(value) for value in read.values()} == set(get_args(Frame))


@pytest.mark.parametrize("kind", SAID)
def test_a_frame_is_immutable_and_nothing_unknown_is_kept(kind: str) -> None:
    members = {"type": kind, "chat_id": CHAT, **SAID[kind]}
    value, more = parse(json.dumps(members), "agent"), parse(json.dumps({**members, "unknown": 1}), "agent")
    assert not isinstance(value, Refused)
    assert value == more
    assert not hasattr(value, "unknown")
    for field in msgspec.structs.fields(value):
        with pytest.raises(AttributeError):
            setattr(value, field.name, None)


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"read","seq":"x",}',
        '{"type":"read","seq":"x"',
        '{"type":"read","seq":7,"other":NaN}',
        '{"type":"read","seq":7,"other":01}',
        '{"type":"read","seq":7,"other":"\\ud800"}',
        '{"type":"read","seq":7,"other":{"deep":["\\udc00"]}}',
        b'{"type":"read","seq":7,"other":"\xff"}',
        b'{"type":"read","seq":7,"\xed\xa0\x80":1}',
        '{"type":"read","seq":7,"other":"a\nb"}',
        '{"type":"read","seq":7,"other":' + "[" * 1_100 + "]" * 1_100 + "}",
        '{"type":"hello","type":"shout"}',
        '\ufeff{"type":"extend"}',
        '{"type":"extend"}\0',
    ],
)
def test_a_text_that_is_no_json_is_malformed_wherever_and_whatever_else_is_wrong(data: str | bytes) -> None:
    with pytest.raises(Malformed):
        parse(data, "citizen")


@pytest.mark.parametrize(
    ("party", "data", "frame"),
    [
        ("citizen", '{"type":"read","seq":1,"seq":2}', Read(2)),
        ("citizen", '{"type":"read","seq":"x","seq":2}', Read(2)),
        ("citizen", '{"type":"read","seq":2,"seq":"x"}', Refused("invalid")),
        ("citizen", '{"type":"shout","type":"read","seq":2}', Read(2)),
        ("citizen", '{"type":"read","seq":-0}', Read(0)),
        ("citizen", '{"type":"read","seq":7e0}', Refused("invalid")),
        ("citizen", '{"type":"read","seq":2147483648}', Read(2**31)),
        ("citizen", f'{{"type":"message","id":"{ID}","text":null,"attachment":"{ID}"}}', Refused("invalid", ID)),
        ("citizen", f'{{"type":"message","id":"{ID}","text":"dag","attachment":null}}', Refused("invalid", ID)),
        ("citizen", f'{{"type":"message","id":"{ID}","text":null}}', Refused("invalid", ID)),
        ("citizen", f'{{"type":"message","id":"{ID}\\n","text":"dag"}}', Refused("invalid", f"{ID}\n")),
        ("citizen", f'{{"type":"message","id":"{ID}","text":"dag","chat_id":7,"block":7}}', Post(ID, text="dag")),
        ("citizen", '{"type":"hello","token":"t","chats":7}', Hello("t")),
        ("citizen", '{"type":"hello","token":null}', Hello("")),
        ("citizen", '{"type":"hello","token":7,"after":-1}', Refused("invalid")),
        ("agent", '{"type":"hello","token":7,"after":-1}', Hello()),
        ("agent", f'{{"type":"hello","chats":{{"{CHAT}\\n":0}}}}', Refused("invalid")),
        ("agent", f'{{"type":"accept","chat_id":"{CHAT.upper()}","id":"mine"}}', Refused("invalid", "mine")),
        ("agent", '{"type":"state","state":"gone","chat_id":"x","id":"mine"}', Refused("invalid")),
        ("agent", '{"type":"active","chat_id":7}', parse('{"type":"active"}', "agent")),
    ],
)
def test_of_a_repeated_member_the_last_counts_and_wrong_values_are_refused_as_ever(
    party: FrameParty, data: str, frame: Frame | Refused
) -> None:
    assert parse(data, party) == frame


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"id": ID, "text": "x" * 4_001 + "\0"}, "invalid"),
        ({"id": "x", "text": "x" * 4_001}, "invalid"),
        ({"id": ID, "text": "x" * 4_001, "attachment": ID}, "invalid"),
        ({"id": "x", "attachment": "x"}, "invalid"),
        ({"id": ID, "attachment": ""}, "unknown_attachment"),
        ({"id": ID, "attachment": ID + "\n"}, "unknown_attachment"),
    ],
)
def test_of_several_faults_of_a_message_one_is_named(more: dict[str, Any], code: str) -> None:
    assert read(type="message", **more) == Refused(code, more["id"])
    assert read("agent", type="message", chat_id=CHAT, **more) == Refused(code, more["id"], CHAT)


def test_a_note_that_is_too_long_is_so_whatever_its_id() -> None:
    assert read("agent", type="note", chat_id=CHAT, id="x", text="x" * 4_001) == Refused("too_long", "x", CHAT)
    assert read("agent", type="transfer", chat_id=CHAT, to={"agent": AN}, note="x" * 4_001) == Refused(
        "invalid", None, CHAT
    )


@pytest.mark.parametrize("reason", [" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2003\u2028\u3000", " \0a", " a\0"])
def test_a_reason_of_white_space_alone_is_none(reason: str) -> None:
    block = {"minutes": 60, "reason": reason}
    assert read("agent", type="close", chat_id=CHAT, block=block) == Refused("invalid", None, CHAT)


@pytest.mark.parametrize("to", [{"department": "premies", "agent": None}, {"department": "premies", "other": 7}])
def test_a_target_without_a_value_is_no_target(to: dict[str, Any]) -> None:
    target = Target(department="premies")
    assert read("agent", type="transfer", chat_id=CHAT, to=to) == TransferChat(CHAT, target)


@pytest.mark.parametrize("to", [{"department": 7, "agent": AN}, {"department": "premies", "agent": [AN]}])
def test_a_target_that_is_no_text_is_invalid(to: dict[str, Any]) -> None:
    assert read("agent", type="transfer", chat_id=CHAT, to=to) == Refused("invalid", None, CHAT)
