"""RULES of dead letters: what a letter says about itself, without what a participant wrote in it. No I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from services.common.events.codec import decode

REASONS = {
    "rejected": "the consumer could not read or use it",
    "delivery_limit": "it failed, or ended its process, at each of its deliveries",
    "maxlen": "its queue was full",
    "expired": "it waited too long",
}
UNKNOWN = "unknown"
# Members with values of the system, without personal data. All other texts are shown as their length.
OURS = frozenset(
    (
        *("type", "event_id", "occurred_at", "chat_id", "id", "party", "state", "cause", "detail", "reason", "code"),
        *("department", "locale", "at", "opened_at", "closed_at", "event", "attachment_id"),
    )
)
_PLAIN = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")
_NOT_JSON = object()


@dataclass(frozen=True)
class Letter:
    """A dead letter. `problem`: why this version of the services cannot read it; None when it can."""

    id: str
    type: str
    queue: str | None
    reason: str
    since: datetime | None
    count: int
    chat_id: str | None
    problem: str | None
    body: bytes


def read_letter(body: bytes, headers: Mapping[str, Any], message_id: str | None) -> Letter:
    """Return the letter of this message.

    Its id is the message's, or else derived from its content, so it stays the same.
    """
    content = _parsed(body)
    members = content if isinstance(content, dict) else {}
    queue, reason = _word(headers.get("x-first-death-queue")), _word(headers.get("x-first-death-reason"))
    deaths = [d for d in headers.get("x-death") or [] if isinstance(d, dict)]
    first = next((d for d in deaths if (d.get("queue"), d.get("reason")) == (queue, reason)), {})
    at = first.get("time")
    return Letter(
        id=_word(message_id) or _word(members.get("event_id")) or f"sha-{hashlib.sha256(body).hexdigest()[:12]}",
        type=_word(members.get("type")) or ("no type" if members else "not readable"),
        queue=queue,
        reason=reason or UNKNOWN,
        since=at if isinstance(at, datetime) else None,
        count=sum(d["count"] for d in deaths if isinstance(d.get("count"), int)),
        chat_id=_word(members.get("chat_id")),
        problem=_problem(body),
        body=body,
    )


def without_content(body: bytes) -> str:
    """Return the letter's body in one printable line, in which each text that is not of the system is its length."""
    content = _parsed(body)
    return f"<{len(body)} bytes>" if content is _NOT_JSON else json.dumps(_hidden(content))


def with_content(body: bytes) -> str:
    """Return the letter's body as it is, in one printable line."""
    return ascii(body.decode("utf-8", "backslashreplace"))[1:-1]


def tally(letters: Iterable[Letter]) -> list[tuple[int, Letter]]:
    """Return the number of letters of each queue, type and reason, the largest number first.

    Each kind has its oldest letter.
    """
    kinds: dict[tuple[str, str, str], list[Letter]] = defaultdict(list)
    for letter in letters:
        kinds[letter.queue or UNKNOWN, letter.type, letter.reason].append(letter)
    counted = [(len(alike), min(alike, key=_age)) for alike in kinds.values()]
    return sorted(counted, key=lambda pair: -pair[0])


def when(at: datetime | None) -> str:
    """Return a time in UTC for operators."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else UNKNOWN


def _age(letter: Letter) -> float:
    return letter.since.timestamp() if letter.since else float("inf")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _hidden(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {
            key if _PLAIN.fullmatch(key) else f"<{len(key)} characters>": _hidden(v, key) for key, v in value.items()
        }
    if isinstance(value, list):
        return [_hidden(v, name) for v in value]
    if isinstance(value, str) and not (name in OURS and _PLAIN.fullmatch(value)):
        return f"<{len(value)} characters>"
    return value


def _problem(body: bytes) -> str | None:
    try:
        decode(body)
    except ValidationError as error:
        return str(error.errors(include_input=False, include_url=False, include_context=False)[0]["type"])
    return None


def _word(value: object) -> str | None:
    """Return the value only if it is safe to print, to compare and to type again."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else None
