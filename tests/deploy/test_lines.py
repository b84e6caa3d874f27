"""Log lines on the terminal."""

import json

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.log_format import exit_status, gist, harmless, readable

RECORD = {
    "chat_id": "7f",
    "event": "chat_assigned",
    "level": "warning",
    "timestamp": "2026-11-23T08:00:00.123456Z",
    "service": "routing",
    "waited": 1.5,
    "reason": "no agent",
}


def test_a_json_line_is_name_time_level_event_and_pairs() -> None:
    line = readable("routing", json.dumps(RECORD), colour=False)
    assert line.startswith("routing      ")
    assert line.endswith(':00.123 warning chat_assigned chat_id=7f waited=1.5 reason="no agent"')
    assert "service=" not in line


def test_colour_only_when_asked() -> None:
    assert "\x1b[" not in readable("routing", json.dumps(RECORD), colour=False)
    assert "\x1b[33mwarning\x1b[0m" in readable("routing", json.dumps(RECORD), colour=True)


def test_other_lines_are_shown_as_they_are() -> None:
    for raw in ("Killed", "{not json", "[1]", '{"no":"event"}', ""):
        assert readable("gateway", raw, colour=False) == f"gateway       {raw}"


def test_a_traceback_follows_indented() -> None:
    raw = json.dumps({"event": "failed", "level": "error", "exception": "Traceback:\n  boom"})
    first, *rest = readable("gateway", raw, colour=False).splitlines()
    assert first.endswith("error   failed")
    assert rest == ["              | Traceback:", "              |   boom"]


def test_a_missing_or_odd_timestamp_is_blank() -> None:
    assert "            info    x" in readable("gateway", '{"event":"x","timestamp":"soon"}', colour=False)


@given(st.text())
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    for raw in (text, json.dumps({"event": text, "level": text, text: text}, ensure_ascii=False)):
        shown = readable("gateway", raw.replace("\n", " "), colour=False)
        assert all(char.isprintable() or char == "\t" for char in shown)


def test_harmless_keeps_words_and_shows_escapes() -> None:
    assert harmless("één\tthé\x1b[2J\u202e") == "één\tthé\\x1b[2J\\u202e"


def test_gist_is_event_and_pairs() -> None:
    assert (
        gist('{"event":"settings_invalid","level":"error","field":"OFFICE_HOURS"}')
        == "settings_invalid field=OFFICE_HOURS"
    )
    assert gist("plain") == "plain"


def test_exit_status_in_words() -> None:
    assert exit_status(-9) == "was ended by signal 9"
    assert exit_status(1) == "ended with status 1"
