"""RULES of the conversation as JSON. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from services.common.events.types import Entry
from services.transcripts.rendering.transcript import Transcript, utc_time, whole


def as_json(transcript: Transcript) -> bytes:
    """Return the conversation as data, as the protocol has it."""
    return whole(JsonParts(transcript), transcript).encode()


def message(entry: Entry) -> dict[str, Any]:
    """Return the entry as the citizen was shown it: the protocol's message frame.

    Members without a value are left out.
    """
    made: dict[str, Any] = {"seq": entry.seq, "id": entry.id, "from": entry.party.value}
    if entry.name is not None:
        made["name"] = entry.name
    if entry.text is not None:
        made["text"] = entry.text
    if entry.attachment is not None:
        made["attachment"] = entry.attachment.model_dump()
    if entry.event is not None:
        made["event"] = entry.event.value
    made["at"] = utc_time(entry.at)
    return made


class JsonParts:
    """JSON in parts; see `as_json`."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript, self._begun = transcript, False

    def before(self) -> str:
        """Return the beginning of the object, up to its list of messages."""
        t = self._transcript
        head: dict[str, Any] = {
            "chat_id": t.chat_id,
            "department": t.department,
            "locale": t.locale,
            "opened_at": utc_time(t.opened_at),
            "closed_at": utc_time(t.closed_at) if t.closed_at else None,
            "messages": [],
        }
        return orjson.dumps(head).decode().removesuffix("]}")

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next messages."""
        messages = ",".join(orjson.dumps(message(entry)).decode() for entry in entries)
        comma = "," if messages and self._begun else ""
        self._begun = self._begun or bool(messages)
        return comma + messages

    def after(self) -> str:
        """Return the end of the object."""
        return "]}"
