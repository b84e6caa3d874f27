"""`supervision/picture.py` and `intake_notice.py`: what supervisors and citizens are shown. No I/O."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from services.common.config.departments import Department, Text
from services.common.events.types import AgentState, ButtonColour, ButtonReason, Intake
from services.common.internal_api.presence import AgentView
from services.common.internal_api.supervision import (
    MOST_LISTED,
    REASONS,
    ClosedIntake,
    DepartmentChats,
    RunningChat,
    WaitingChat,
)
from services.gateway.supervision.intake_notice import notice_of_intake
from services.gateway.supervision.picture import Picture, change, picture
from services.gateway.websocket.frames import server
from tests.gateway.making import AN, BERT, CHAT, NOW, OTHER, agent_view, id_of

DEPARTMENT = Department(id="algemeen", names=Text(nl="a", fr="a", de="a", en="a"))
GREEN = server.LiveButton(colour=ButtonColour.GREEN, reason=ButtonReason.AVAILABLE, opens_at=None)


def running(chat_id: str, minute: int = 0, agent_id: str = AN) -> RunningChat:
    return RunningChat(
        chat_id=chat_id, since=NOW + timedelta(minutes=minute), agent_id=agent_id, agent_name="An", accepted=True
    )


def shown(
    agents: list[AgentView] | None = None,
    chats: DepartmentChats | None = None,
    unanswered: dict[str, Any] | None = None,
    intake: ClosedIntake | None = None,
) -> Picture:
    found = chats or DepartmentChats(department="algemeen")
    return picture(GREEN, intake, ["09:00-17:00"], agents or [], found, {AN: 2}, unanswered or {})


def frame(before: Picture | None, after: Picture) -> Any:
    made = change(DEPARTMENT, before, after, NOW)
    return None if made is None else msgspec.json.decode(made.encode())


def test_agents_have_their_state_and_their_number_of_chats() -> None:
    paused = agent_view(BERT, state=AgentState.PAUSED, capacity=3, since=NOW)
    gone = agent_view("agent-c", online=False, state=AgentState.PAUSED)
    agents = shown([gone, paused, agent_view(AN, capacity=2)]).agents
    assert [(a.id, a.state, a.chats, a.capacity) for a in agents.values()] == [
        (AN, "available", 2, 2),
        (BERT, "paused", 0, 3),
        ("agent-c", "offline", 0, 1),
    ]
    assert agents[BERT].since == "2026-11-23T08:00:00.123Z"


def test_a_large_department_has_numbers_and_those_who_wait_longest() -> None:
    many = [running(id_of(n), n) for n in range(150)]
    waiting = [WaitingChat(chat_id=id_of(n), since=NOW) for n in range(150)]
    chats = DepartmentChats(
        department="algemeen", waiting=400, waiting_since=NOW, running=300, first_waiting=waiting, first_running=many
    )
    late = {id_of(149): NOW + timedelta(minutes=1), id_of(148): NOW}
    made = shown([agent_view(f"a{n:03}") for n in range(150)], chats, late)
    assert (made.running, made.staff, made.waiting.count) == (300, 150, 400)
    assert {len(made.chats), len(made.agents), len(made.waiting.first)} == {MOST_LISTED}
    assert list(made.chats)[:3] == [id_of(148), id_of(149), id_of(0)]
    whole = change(DEPARTMENT, None, made, NOW)
    assert whole is not None
    assert len(whole.encode()) < 64 * 1024


def test_the_whole_comes_first_and_then_only_what_changed() -> None:
    chats = DepartmentChats(department="algemeen", running=1, first_running=[running(CHAT)])
    first = shown([agent_view(AN)], chats)
    whole = frame(None, first)
    assert (whole["whole"], whole["current"], whole["remind_after"], whole["alarm_after"]) == (True, True, 120, 300)
    assert {"button", "intake", "hours", "waiting", "running", "staff", "agents", "chats"} <= whole.keys()
    assert frame(first, first) is None
    asked = frame(first, shown([agent_view(AN)], chats, {CHAT: NOW}))
    assert asked["chats"] == [{**whole["chats"][0], "unanswered_since": "2026-11-23T08:00:00.123Z"}]
    assert not {"button", "intake", "hours", "waiting", "running", "staff", "agents", "chats_gone"} & asked.keys()
    other = DepartmentChats(department="algemeen", running=1, first_running=[running(OTHER)])
    moved = frame(first, shown([agent_view(BERT)], other))
    assert (moved["chats_gone"], [c["chat_id"] for c in moved["chats"]]) == ([CHAT], [OTHER])
    assert (moved["agents_gone"], [a["id"] for a in moved["agents"]]) == ([AN], [BERT])
    assert "running" not in moved


def test_a_closed_intake_comes_and_goes() -> None:
    closed = ClosedIntake(
        department="algemeen", reason="staff", until=NOW + timedelta(hours=1), agent_id="c", name="Chef", at=NOW
    )
    assert frame(shown(), shown(intake=closed))["intake"]["reason"] == "staff"
    assert frame(shown(intake=closed), shown())["intake"] is None


@pytest.mark.parametrize("reason", [*REASONS, "of a later release"])
def test_citizens_read_the_reason_in_four_languages(reason: str) -> None:
    until = NOW + timedelta(hours=1)
    notice = notice_of_intake(Intake(reason=reason, until=until))
    assert notice.end == until
    assert len(set(notice.text.model_dump().values())) == 4
