"""`services/common/observability/logging.py`: one JSON object a line, with places and without the words of an error."""

import functools
import json
import subprocess
import sys

import pytest

from tests.support.servers import ROOT

PROGRAM = """
import logging, structlog
from services.common.observability.logging import configure_logging
configure_logging("routing", "{level}")
log = structlog.get_logger()
log.debug("a_detail")
log.info("chat_assigned", chat_id="chat-1", turn=2)
log.warning("odd", what={{1, 2}})
logging.getLogger("library").info("chatter")
logging.getLogger("library").warning("old style %s", "words")
try:
    try:
        raise KeyError("An Peeters")
    except KeyError as error:
        raise RuntimeError("wrote: help") from error
except RuntimeError:
    log.exception("handler_failed", queue="routing.chats")
    logging.getLogger("library").exception("it failed")
log.error("not_handled", exc_info=ValueError("An Peeters"))
"""


@functools.cache
def lines(level: str) -> list[dict[str, object]]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    assert "Peeters" not in ran.stdout
    assert "wrote" not in ran.stdout
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_each_line_is_an_event_with_its_values() -> None:
    logged = lines("info")
    assert [line["event"] for line in logged] == [
        "chat_assigned",
        "odd",
        "old style words",
        "handler_failed",
        "it failed",
        "not_handled",
    ]
    first = logged[0]
    assert (first["service"], first["level"], first["chat_id"], first["turn"]) == ("routing", "info", "chat-1", 2)
    assert str(first["timestamp"]).endswith("Z")
    assert all(line["service"] == "routing" for line in logged)


def test_an_error_names_its_types_and_places_from_the_last_to_the_first() -> None:
    failed, library, bare = lines("info")[-3:]
    for line in (failed, library):
        places = str(line["exception"]).splitlines()
        assert [p for p in places if not p.startswith(" ")] == ["builtins.RuntimeError", "builtins.KeyError"]
        assert [p for p in places if p.startswith(" ")] == ["  <string>:15 in <module>", "  <string>:13 in <module>"]
    assert bare["exception"] == "builtins.ValueError"


@pytest.mark.parametrize(("level", "number"), [("debug", 7), ("info", 6), ("warning", 5)])
def test_the_level_decides_what_is_logged(level: str, number: int) -> None:
    assert len(lines(level)) == number
