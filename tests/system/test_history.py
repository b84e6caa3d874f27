"""The history: the same digest for the same content, and a file that can be read after the run."""

import json
from pathlib import Path

from tests.system.history import (
    CITIZEN,
    Closed,
    Disconnected,
    Event,
    Pressed,
    Sent,
    Shown,
    StatusShown,
    digest,
    message_of,
    visits,
    write,
)

FRAME = {
    "type": "message",
    "seq": 3,
    "id": "one",
    "from": "citizen",
    "name": "An",
    "text": "Dag",
    "at": "2026-11-23T08:00:00.123Z",
}


def test_a_frame_and_a_line_of_the_transcript_are_the_same_message() -> None:
    """An agent's frame names the chat; a transcript names neither chat nor type."""
    line = {k: v for k, v in FRAME.items() if k != "type"}
    assert message_of(FRAME) == message_of(line) == message_of({**FRAME, "chat_id": "chat"})


def test_whatever_else_differs_makes_another_message() -> None:
    for member, other in (("name", "x"), ("text", "x"), ("at", "2026-11-23T08:00:01Z")):
        assert message_of({**FRAME, member: other}).whole != message_of(FRAME).whole


def test_the_content_is_the_text_or_the_attachment() -> None:
    assert message_of(FRAME).content == digest("Dag")
    attached = {k: v for k, v in FRAME.items() if k != "text"} | {"attachment": {"id": "file", "size": 3}}
    assert message_of(attached).content == digest("file")
    assert message_of(attached).attachment == "file"


def test_a_history_is_written_one_event_a_line(tmp_path: Path) -> None:
    events: list[Event] = [
        Sent("chat", CITIZEN, "one", digest("Dag"), at=1.5),
        Shown("chat", CITIZEN, 7, message_of(FRAME), at=2.0),
    ]
    write(events, tmp_path / "history.jsonl")
    first, second = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert first == {"what": "sent", "chat": "chat", "who": "citizen", "at": 1.5, "id": "one", "content": digest("Dag")}
    assert second["message"]["seq"] == 3
    assert "Dag" not in (tmp_path / "history.jsonl").read_text()


def test_presses_with_one_key_are_a_visit_of_one_citizen() -> None:
    events: list[Event] = [
        Pressed("", CITIZEN, "key", 1, 503, at=2),
        Pressed("", CITIZEN, "other", 1, 409, at=2),
        Pressed("chat", CITIZEN, "key", 3, 201, at=4),
        StatusShown("chat", CITIZEN, "grey", "", 1, at=5),
        Disconnected("chat", CITIZEN, 1, 1012, at=6),
        StatusShown("chat", CITIZEN, "green", "An", at=7),
        StatusShown("chat", CITIZEN, "grey", "", at=8),
        Closed("chat", CITIZEN, "citizen", at=9),
        Disconnected("chat", CITIZEN, 2, 1000, at=10),
    ]
    one, other = visits(events)
    assert [p.status for p in one.presses] == [503, 201]
    assert (one.chat, one.served_at, one.lost_agent, one.disconnects) == ("chat", 7, True, [6])
    assert one.closed is not None
    assert (other.chat, other.served_at, other.closed) == ("", None, None)
