"""Sequences of frames of both websockets, valid, bent and broken, through the real parser and the rules of a session.

Whatever a browser sends: nothing raises, a frame is handled only after the hello was answered, each once and in its
order, and the connection is closed with a code of the protocol. Each sequence has a number, which makes it again.
"""

import asyncio
import itertools
import json
import random
import string
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from services.common.events.types import Party
from services.gateway.participants.sessions import AgentSession, CitizenSession, Session
from services.gateway.websocket.connection import MOST_FRAMES, Connection
from services.gateway.websocket.frames.client import (
    FRAMES,
    Frame,
    FrameParty,
    Hello,
    Malformed,
    Refused,
    kind_of,
    parse,
)
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits
from services.gateway.websocket.session import FrameSession
from tests.fuzz.amount import DERANDOMIZED, times
from tests.gateway.making import AN, CHAT, Paper, agent_view

SEQUENCES = 10_000
"""Of both websockets together."""
NO_UTF8 = 1007
CODES = {Close.BAD_FRAME, Close.UNAUTHENTICATED, Close.TOO_MANY_FRAMES, NO_UTF8}
KEPT: dict[str, tuple[int, ...]] = {"citizen": (), "agent": ()}
"""Numbers of sequences that once failed; they are tried first."""
Value = Callable[[random.Random], Any]

ODD: tuple[Value, ...] = (
    lambda r: None,
    lambda r: r.choice((True, False)),
    lambda r: r.choice((0, -1, 1, 2**31, 2**31 + 1, 2**63, 2**64, -(2**70), 1.5, 1e308)),
    lambda r: r.choice(("", " ", "\0", "\u202e", "😀" * 10, "é" * 4_001, "x" * 4_000, "null", "__proto__")),
    lambda r: [],
    lambda r: {},
    lambda r: {"type": "hello"},
    lambda r: [[[[[[]]]]]],
    lambda r: str(uuid.UUID(int=r.getrandbits(128))).upper(),
)
MEMBERS: dict[str, Value] = {
    "id": lambda r: str(uuid.UUID(int=r.getrandbits(128))),
    "chat_id": lambda r: r.choice((CHAT, str(uuid.UUID(int=r.getrandbits(128))))),
    "text": lambda r: "".join(r.choices(string.printable + "éß😀", k=r.randint(1, 40))),
    "attachment": lambda r: str(uuid.UUID(int=r.getrandbits(128))),
    "token": lambda r: "".join(r.choices(string.ascii_letters, k=20)),
    "after": lambda r: r.randint(0, 50),
    "seq": lambda r: r.randint(0, 50),
    "chats": lambda r: {str(uuid.UUID(int=r.getrandbits(128))): r.randint(0, 9) for _ in range(r.randint(0, 3))},
    "active": lambda r: r.choice((True, False)),
    "state": lambda r: r.choice(("available", "paused")),
    "reason": lambda r: r.choice(("lunch", "unknown", "x" * 41)),
    "name": lambda r: " An ",
    "note": lambda r: r.choice((None, "", "let op")),
    "to": lambda r: r.choice(({"department": "premies"}, {"agent": "bert"}, {"department": "a", "agent": "b"}, {})),
    "block": lambda r: r.choice((None, {"minutes": 15, "reason": "schelden"}, {"minutes": 0, "reason": " "})),
}


def value(r: random.Random, type_: type[Frame]) -> dict[str, Any]:
    """A frame of this type, mostly a right one."""
    fields = [name for name in type_.__struct_fields__ if r.random() < 0.9]
    if {"text", "attachment"} <= set(fields):
        fields.remove(r.choice(("text", "attachment")))
    made = {"type": kind_of(type_), **{name: MEMBERS[name](r) for name in fields}}
    if r.random() < 0.2:
        made[r.choice([*made, "more", "constructor"])] = r.choice(ODD)(r)
    return made


def bent(r: random.Random, text: bytes) -> bytes:
    """The same bytes with a few changes."""
    changed = bytearray(text)
    for _ in range(r.randint(1, 4)):
        at = r.randrange(len(changed) + 1)
        how = r.randrange(4)
        if how == 0:
            changed[at:at] = r.randbytes(r.randint(1, 4))
        elif how == 1:
            del changed[at : at + r.randint(1, 8)]
        elif how == 2 and at < len(changed):
            changed[at] ^= 1 << r.randrange(8)
        else:
            changed[at:at] = r.choice((b"\\ud800", b'"', b"[" * 50, b"{}", b"\\u0000", b"1e999", b"\xff"))
    return bytes(changed)


def sequence(r: random.Random, party: FrameParty) -> list[bytes | None]:
    """What a browser sends on one connection; None: a binary frame."""
    types = list(FRAMES[party])
    frames: list[bytes | None] = []
    if r.random() < 0.9:
        frames.append(json.dumps({"type": "hello", "token": "t", "after": 0, "chats": {}}).encode())
    for _ in range(r.randint(0, 12)):
        text = json.dumps(value(r, r.choice(types)), ensure_ascii=r.random() < 0.5).encode()
        chance = r.random()
        frames.append(None if chance < 0.01 else bent(r, text) if chance < 0.06 else text)
    return frames


class Recorder:
    """Records the frames that reach it, and answers a hello after some turns of the event loop."""

    def __init__(self, turns: int) -> None:
        self.turns, self.greeted, self.taken = turns, 0, list[Frame]()

    def identify(self, session: Session, hello: Hello) -> bool:
        return not isinstance(session, CitizenSession) or (bool(hello.token) and session.identify(CHAT))

    async def greet(self, session: Session, hello: Hello) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        session.connection.end_answer()
        self.greeted += 1

    def take(self, session: Session, frame: Frame) -> None:
        assert self.greeted, "a frame before the answer to the hello"
        assert session.connection.closing is None, "a frame after the close"
        self.taken.append(frame)

    def leave(self, session: Session) -> None:
        return


def handled(frames: list[bytes | None], party: FrameParty) -> list[Frame]:
    """The frames of a sequence that reach a handler if the connection is not closed before."""
    found: list[Frame] = []
    for text in frames:
        try:
            frame = None if text is None else parse(text, party)
        except Malformed:
            break
        if frame is not None and not isinstance(frame, Refused | Hello):
            found.append(frame)
    return found


async def play(number: int, party: FrameParty, outcomes: Counter[str]) -> None:
    """Send one sequence, and look at what became of it."""
    r = random.Random(f"{party} {number}")
    frames = sequence(r, party)
    paper = Paper(full=r.random() < 0.2)
    connection = Connection(Party.CITIZEN if party == "citizen" else Party.AGENT, paper)
    session = CitizenSession(connection) if party == "citizen" else AgentSession(connection, agent_view(AN), "session")
    recorder = Recorder(r.randint(0, 3))
    frame_session = FrameSession(session, recorder, MessageLimits(limited=r.random() < 0.5, clock=lambda: 0.0))
    for text in frames:
        frame_session.receive(text)
        for _ in range(r.choice((0, 0, 1, 6))):
            await asyncio.sleep(0)
    expected = handled(frames, party)
    for _ in range(200):
        if connection.closing or len(recorder.taken) == len(expected):
            break
        await asyncio.sleep(0)
    closing = connection.closing
    await frame_session.end()
    assert connection.waiting <= MOST_FRAMES
    for written in paper.written:
        assert json.loads(written)["type"] == "error"
    if closing is None:
        assert recorder.taken == (expected if recorder.greeted else [])
        outcomes["open"] += 1
    else:
        assert closing[0] in CODES, closing
        assert recorder.taken == expected[: len(recorder.taken)]
        outcomes[str(int(closing[0]))] += 1
    outcomes["handled"] += len(recorder.taken)


@pytest.mark.parametrize("party", ["citizen", "agent"])
async def test_no_sequence_of_frames_breaks_a_session(party: FrameParty) -> None:
    outcomes: Counter[str] = Counter()
    begin = 0 if DERANDOMIZED else random.SystemRandom().randrange(2**40)
    for number in itertools.chain(KEPT[party], range(begin, begin + times(SEQUENCES // 2))):
        try:
            await play(number, party, outcomes)
        except Exception as error:
            raise AssertionError(f"sequence {number} of {party}: {error}") from error
    assert {"open", "4400", "4401"} <= set(outcomes), outcomes
    assert outcomes["handled"] > SEQUENCES
