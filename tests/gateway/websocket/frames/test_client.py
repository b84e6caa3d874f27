"""`client.py`: one value for each frame, which nobody can change once it was understood."""

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args

import pytest

from services.gateway.websocket.frames.client import Frame, Refused
from services.gateway.websocket.frames.parser import AGENT_FRAMES, parse
from tests.gateway.making import AN, CHAT, id_of

SAID: dict[str, dict[str, Any]] = {
    "hello": {"chats": {CHAT: 3}},
    "message": {"id": id_of(1), "text": "dag"},
    "typing": {"active": True},
    "read": {"seq": 1},
    "close": {},
    "accept": {},
    "active": {},
    "refuse": {},
    "state": {"state": "paused"},
    "transfer": {"to": {"agent": AN}},
    "note": {"id": id_of(1), "text": "dag"},
}


def test_every_frame_has_a_value_of_its_own() -> None:
    assert SAID.keys() == AGENT_FRAMES
    read = {kind: parse(json.dumps({"type": kind, "chat_id": CHAT, **more}), "agent") for kind, more in SAID.items()}
    read["extend"] = parse('{"type": "extend"}', "citizen")
    assert {type(value) for value in read.values()} == set(get_args(Frame))


@pytest.mark.parametrize("kind", SAID)
def test_nobody_changes_what_was_understood_and_nothing_unknown_travels_on(kind: str) -> None:
    told = {"type": kind, "chat_id": CHAT, **SAID[kind]}
    value, more = parse(json.dumps(told), "agent"), parse(json.dumps({**told, "unknown": 1}), "agent")
    assert not isinstance(value, Refused)
    assert value == more
    assert not hasattr(value, "unknown")
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
