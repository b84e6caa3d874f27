"""`services/gateway/websocket/frames/server.py`: what browsers are sent."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.common.clock import utcnow
from services.common.events import types
from services.common.events.agents import WrapUp
from services.common.events.types import Attachment, ChatStatus, CloseReason, Detail, Form, Note, Party
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import Close
from tests.gateway.making import AN, CHAT, NOW, agent_view, entry, id_of, seal, view
from tests.support.servers import PATIENCE

ID = id_of(1)
CONNECTION = Path(__file__).parents[4] / "services/gateway/web/shared/connection.js"


def test_browsers_open_no_connection_again_after_a_final_close_code_and_after_no_other() -> None:
    listed = re.search(r"FINAL = Object\.freeze\(\[([\d, ]+)\]\)", CONNECTION.read_text())
    assert listed
    final = {Close.ENDED, Close.BAD_FRAME, Close.UNAUTHENTICATED, Close.FORBIDDEN_ORIGIN}
    final |= {Close.NO_SUCH_CHAT, Close.TOO_MANY_CONNECTIONS}
    assert {int(code) for code in listed[1].split(",")} == {int(code) for code in final}


def test_a_message_as_a_citizen_and_as_an_agent_is_shown_it() -> None:
    one = entry(3, name="An Peeters")
    shown = {"type": "message", "seq": 3, "id": id_of(3), "from": "citizen", "name": "An Peeters"}
    shown |= {"text": "tekst 3", "at": "2026-11-23T08:00:00.123Z"}
    assert json.loads(server.message(one)) == shown
    assert json.loads(server.message(one, CHAT)) == {**shown, "chat_id": CHAT}


def test_an_attachment_and_an_event_are_shown() -> None:
    file = Attachment(id=ID, name="<b>.pdf", size=5, content_type="application/pdf")
    shown = json.loads(server.message(entry(1, text=None, attachment=file)))
    assert shown["attachment"] == {"id": ID, "name": "<b>.pdf", "size": 5, "content_type": "application/pdf"}
    assert "text" not in shown
    closed = json.loads(server.message(seal(2, CloseReason.AGENT)))
    assert (closed["event"], closed["from"]) == ("closed", "system")
    assert "reason" not in closed


def test_times_have_milliseconds_and_are_never_rounded_up() -> None:
    assert server.stamp(datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC)) == "2026-01-02T03:04:05.999Z"
    assert server.stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000Z"


def test_the_dot_with_its_position_or_agent() -> None:
    waiting = json.loads(server.status(ChatStatus.WAITING, 2, 90, "An"))
    assert waiting == {"type": "status", "dot": "grey", "position": 2, "wait": 90, "agent": None}
    assigned = json.loads(server.status(ChatStatus.ASSIGNED, 2, 90, "An"))
    assert assigned == {"type": "status", "dot": "green", "position": None, "wait": None, "agent": {"name": "An"}}
    closed = json.loads(server.status(ChatStatus.CLOSED, 2, 90, "An"))
    assert closed == {"type": "status", "dot": "red", "position": None, "wait": None, "agent": None}


def test_a_warning_of_inactivity_and_its_end() -> None:
    warned = json.loads(server.inactive(1, NOW, 300))
    assert warned == {"type": "inactive", "warning": 1, "closes_at": "2026-11-23T08:00:00.123Z", "seconds": 300}
    over = json.loads(server.inactive(0, None, None, CHAT))
    assert over == {"type": "inactive", "chat_id": CHAT, "warning": 0, "closes_at": None, "seconds": None}


@pytest.mark.parametrize(("returned", "shown"), [(None, None), (Detail.REFUSED, "refused")])
def test_a_chat_says_whether_it_may_be_refused_or_came_back(returned: Detail | None, shown: str | None) -> None:
    chat = server.chat_for_agent(view(3, ChatStatus.ASSIGNED, AN, transferred=not returned, returned=returned), 7)
    assert (chat.transferred, chat.returned) == (not returned, shown)


def test_a_chat_says_how_long_it_can_be_accepted() -> None:
    def left(**more: Any) -> Any:
        return server.chat_for_agent(view(3, ChatStatus.ASSIGNED, AN, **more), 7, NOW).accept_seconds

    assert left(accept_by=NOW + timedelta(seconds=29.6)) == 30
    assert left(accept_by=NOW - timedelta(seconds=1)) == 0
    assert left() is None


def test_an_error_says_what_to_do_and_which_frame_it_was() -> None:
    assert json.loads(server.error("invalid")) == {
        "type": "error",
        "code": "invalid",
        "message": server.ERRORS["invalid"],
    }
    assert json.loads(server.error("too_long", ID, CHAT))["chat_id"] == CHAT
    assert json.loads(server.error("too_long", ID))["id"] == ID


def test_a_chat_and_an_agent_as_the_console_gets_them() -> None:
    one = view(3, ChatStatus.ASSIGNED, AN, form=Form(id="f", title="T", url="https://x.be"), name="An P", question="?")
    shown = msgspec.to_builtins(server.chat_for_agent(one, 7))
    assert shown["form"] == {"id": "f", "title": "T", "url": "https://x.be"}
    placed = view(3, ChatStatus.ASSIGNED, AN, form=Form(id="f", step="Stap 2", error="IBAN-07"))
    place = {"id": "f", "title": None, "url": None, "step": "Stap 2", "error": "IBAN-07"}
    assert msgspec.to_builtins(server.chat_for_agent(placed, 0))["form"] == place
    named = {"chat_id", "department", "locale", "name", "question", "form", "opened_at", "last_seq"}
    assert named <= shown.keys()
    assert (shown["last_seq"], shown["opened_at"]) == (7, "2026-11-23T08:00:00.123Z")
    assert server.chat_for_agent(view(1, ChatStatus.WAITING), 0).form is None
    me = msgspec.to_builtins(server.agent(agent_view(), NOW))
    first = {"id": AN, "name": "An", "departments": ["algemeen"], "capacity": 1, "state": "available"}
    assert me == {**first, "wrap_ups": []}


def test_the_seconds_left_of_a_wrap_up_are_those_of_the_server() -> None:
    known = [
        WrapUp(chat_id=CHAT, department="algemeen", until=NOW + timedelta(seconds=89.6)),
        WrapUp(chat_id=ID, department="premies", until=NOW + timedelta(seconds=0.2)),
    ]
    assert msgspec.to_builtins(server.wrap_ups(known, NOW)) == [
        {"chat_id": CHAT, "department": "algemeen", "seconds": 90}
    ]


def test_a_note_names_its_chat_and_writer() -> None:
    shown = json.loads(server.note(Note(chat_id=CHAT, id=ID, agent_id=AN, name="An", text="intern", at=NOW)))
    assert (shown["type"], shown["chat_id"], shown["name"], shown["text"]) == ("note", CHAT, "An", "intern")
    assert Party.AGENT.value not in shown


def test_a_step_of_an_identification_is_shown_to_both_sides_and_only_from_the_system() -> None:
    step = types.Identification(
        id=id_of(5), step=types.IdentificationStep.IDENTIFIED, name="Lien", level=types.AssuranceLevel.HIGH, issuer="X"
    )
    about = types.About(identification=step)
    told: dict[str, Any] = {"party": Party.SYSTEM, "sender_id": "system", "text": "Lien, hoog", "about": about}
    for chat_id in (None, CHAT):
        shown = json.loads(server.message(entry(4, **told), chat_id))
        assert (shown["event"], shown["text"]) == ("identification", "Lien, hoog")
        assert shown["identification"] == {
            "id": id_of(5),
            "step": "identified",
            "name": "Lien",
            "level": "high",
            "issuer": "X",
        }
        assert ("about" in shown) is bool(chat_id)
    forged = json.loads(server.message(entry(4, about=about)))
    assert "identification" not in forged
    assert "event" not in forged
    asked = types.Identification(id=id_of(5), step=types.IdentificationStep.ASKED)
    fresh = entry(4, **{**told, "about": types.About(identification=asked), "at": utcnow()})
    assert 600 - PATIENCE <= json.loads(server.message(fresh))["identification"]["seconds"] <= 600
    old = fresh.model_copy(update={"at": utcnow() - timedelta(hours=1)})
    assert json.loads(server.message(old))["identification"]["seconds"] == 0
