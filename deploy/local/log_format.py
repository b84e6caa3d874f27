"""RULES of a log line on the terminal: text in, text out. No I/O."""

import json
from collections.abc import Mapping
from datetime import datetime

NAME_WIDTH = 13
_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_NAME_COLOURS = {
    "runner": "\x1b[1m",
    "gateway": "\x1b[36m",
    "presence": "\x1b[35m",
    "routing": "\x1b[34m",
    "transcripts": "\x1b[32m",
    "broker": "\x1b[33m",
    "database": "\x1b[33m",
}
_LEVEL_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m", "debug": _DIM}
_HEAD = ("event", "level", "timestamp", "service", "exception", "stack")


def readable(name: str, raw: str, *, colour: bool) -> str:
    """Return one line for the terminal from a line of a process.

    A JSON object becomes time, level, event and `key=value` pairs; a traceback follows, indented. Any other text stays
    as it is, except for control characters, which must not reach a terminal.
    """
    record = _record(raw)
    prefix = _paint(f"{name:<{NAME_WIDTH}}", _NAME_COLOURS.get(name.split("-")[0], ""), colour)
    if record is None:
        return f"{prefix} {harmless(raw)}"
    level = str(record.get("level", "info"))
    time = _paint(_clock(record.get("timestamp")), _DIM, colour)
    pairs = " ".join(_pair(key, value, colour) for key, value in record.items() if key not in _HEAD)
    shown_level = _paint(f"{harmless(level):<7}", _LEVEL_COLOURS.get(level, ""), colour)
    event = harmless(str(record["event"]))
    line = f"{prefix} {time} {shown_level} {event} {pairs}".rstrip()
    return line + _traceback(record)


def gist(raw: str) -> str:
    """Return event and `key=value` pairs of a log line, for use within a sentence."""
    record = _record(raw)
    if record is None:
        return harmless(raw)
    pairs = (_pair(key, value, False) for key, value in record.items() if key not in _HEAD)
    return " ".join([harmless(str(record["event"])), *pairs])


def harmless(text: str) -> str:
    """Return the text with terminal control characters replaced by their escapes."""
    return "".join(char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in text)


def exit_status(status: int) -> str:
    """Return how a process ended, in words. `status` is that of `Popen`: negative for a signal."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def _record(raw: str) -> Mapping[str, object] | None:
    if not raw.startswith("{"):
        return None
    try:
        record = json.loads(raw)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "event" in record else None


def _clock(timestamp: object) -> str:
    """Return the local time of day of an RFC 3339 timestamp, to the millisecond."""
    try:
        moment = datetime.fromisoformat(str(timestamp)).astimezone()
    except ValueError:
        return f"{'':12}"
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def _pair(key: str, value: object, colour: bool) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and (not value or any(char in ' ="' or not char.isprintable() for char in value)):
        text = json.dumps(value, ensure_ascii=False)
    return _paint(f"{harmless(key)}=", _DIM, colour) + harmless(text)


def _traceback(record: Mapping[str, object]) -> str:
    text = record.get("exception") or record.get("stack")
    if not text:
        return ""
    lines = text.splitlines() if isinstance(text, str) else [json.dumps(text)]
    return "".join(f"\n{'':{NAME_WIDTH}} | {harmless(line)}" for line in lines)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{_RESET}" if colour and code else text
