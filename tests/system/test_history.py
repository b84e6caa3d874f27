"""The history: the same digest for the same content, and a file that can be read after the run."""

import json
from pathlib import Path

from tests.system.history import CITIZEN, Event, Sent, Shown, digest, message_of, write

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
