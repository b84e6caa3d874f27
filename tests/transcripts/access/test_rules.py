"""`services/transcripts/access/rules.py` and `participation.py`: who may do what with a chat."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.common.events.chats import ChatState
from services.common.events.types import Cause, ChatStatus
from services.common.http.tokens import Actor
from services.transcripts.access.participation import (
    Participation,
    department_of,
    participation_of,
    participation_update,
)
from services.transcripts.access.rules import Chat, Reach, Refusal, needs_reason, reach, uploader_of
from services.transcripts.log.sequencing import event_id
from tests.transcripts.conftest import OPENED_AT

LIFE, FORMER = timedelta(hours=48), timedelta(days=30)
ALGEMEEN = frozenset({"algemeen"})
OLD = Chat("c1", "algemeen", "nl", OPENED_AT, participants=frozenset({"an"}), closed_at=OPENED_AT, departments=ALGEMEEN)
CHAT = replace(OLD, participants=frozenset({"an", "bert"}), participation=Participation("an", {"bert": "e7"}))
OPEN = replace(CHAT, closed_at=None)
CITIZEN = Actor(party="citizen", id="c1")
BY_CODE = Actor(party="citizen", id="c1", by_code=True)
AN, BERT, CARL = (Actor(party="agent", id=name, departments=["algemeen"]) for name in ("an", "bert", "carl"))
SOFIE = Actor(party="agent", id="sofie", supervisor=True, departments=["algemeen", "wonen"])
LIEN = Actor(party="agent", id="lien", supervisor=True, departments=["premies"])
CLIENT = Actor(party="client", id="cijfers", departments=["algemeen"])
ALL, READS = Reach(adds=True), Reach()


@pytest.mark.parametrize(
    ("actor", "chat", "hours", "answer"),
    [
        (CITIZEN, CHAT, 47, ALL),
        (CITIZEN, CHAT, 48, ALL),
        (CITIZEN, CHAT, 49, (401, "unauthenticated")),
        (CITIZEN, OPEN, 10_000, ALL),
        (CITIZEN, None, 0, (404, "no_such_chat")),
        (CITIZEN, replace(CHAT, revoked_by="citizen"), 0, (401, "unauthenticated")),
        (CITIZEN, replace(CHAT, revoked_by="agent"), 0, (401, "unauthenticated")),
        (BY_CODE, replace(CHAT, revoked_by="citizen"), 10_000, READS),
        (BY_CODE, replace(CHAT, revoked_by="agent"), 10_000, READS),
        (BY_CODE, replace(CHAT, revoked_by="officer"), 0, (401, "unauthenticated")),
        (AN, replace(CHAT, revoked_by="officer"), 0, ALL),
        (Actor(party="citizen", id="c2"), CHAT, 0, (403, "forbidden")),
        (Actor(party="citizen", id="c2"), None, 0, (403, "forbidden")),
        (AN, OPEN, 10_000, ALL),
        (AN, CHAT, 719, ALL),
        (AN, CHAT, 720, ALL),
        (AN, CHAT, 721, (403, "forbidden")),
        (AN, OLD, 719, ALL),
        (BERT, OPEN, 0, Reach(former=True, left="e7")),
        (BERT, replace(CHAT, participation=Participation("an")), 0, Reach(former=True)),
        (BERT, OLD, 0, (403, "forbidden")),
        (BERT, replace(OPEN, participation=Participation("bert", {"bert": "e7"})), 0, ALL),
        (BERT, None, 0, (404, "no_such_chat")),
        (CARL, OPEN, 0, (403, "forbidden")),
        (SOFIE, CHAT, 10_000, READS),
        (AN.model_copy(update={"supervisor": True}), OPEN, 0, ALL),
        (AN.model_copy(update={"supervisor": True}), CHAT, 10_000, READS),
        (LIEN, OPEN, 0, (403, "forbidden")),
        (LIEN, replace(OPEN, departments=frozenset({"algemeen", "premies"})), 0, READS),
        (LIEN.model_copy(update={"departments": None}), OPEN, 0, READS),
        (LIEN.model_copy(update={"departments": []}), OPEN, 0, (403, "forbidden")),
        (Actor(party="citizen", id="an"), CHAT, 0, (403, "forbidden")),
        (Actor(party="other", id="an"), CHAT, 0, (403, "forbidden")),
        (CLIENT, CHAT, 10_000, READS),
        (CLIENT, OPEN, 0, (409, "not_ended")),
        (CLIENT, None, 0, (404, "no_such_chat")),
        (CLIENT, replace(CHAT, departments=frozenset({"premies"})), 0, (404, "no_such_chat")),
        (CLIENT.model_copy(update={"departments": None}), CHAT, 0, (404, "no_such_chat")),
        (None, CHAT, 0, (401, "unauthenticated")),
    ],
)
def test_who_may(actor: Actor | None, chat: Chat | None, hours: int, answer: Reach | tuple[int, str]) -> None:
    found = reach(actor, "c1", chat, OPENED_AT + timedelta(hours=hours), LIFE, FORMER)
    assert ((found.status, found.code) if isinstance(found, Refusal) else found) == answer


@pytest.mark.parametrize(
    ("actor", "chat", "asked_of"),
    [
        (CITIZEN, OPEN, ()),
        (AN, OPEN, ()),
        (AN, CHAT, ()),
        (BERT, OPEN, ("former",)),
        (SOFIE, OPEN, ("others", "former")),
        (BERT.model_copy(update={"supervisor": True}), CHAT, ("former",)),
        (AN.model_copy(update={"supervisor": True}), CHAT, ()),
    ],
)
def test_who_says_why_they_read(actor: Actor, chat: Chat, asked_of: tuple[str, ...]) -> None:
    found = reach(actor, "c1", chat, OPENED_AT, LIFE, FORMER)
    assert isinstance(found, Reach)
    asks = ("nobody", "others", "former")
    assert tuple(one for one in asks if needs_reason(actor, chat, found, {one})) == asked_of
    assert needs_reason(actor, chat, found, {"nobody", "former"}) == ("former" in asked_of), "the strictest counts"
    assert not needs_reason(actor, chat, replace(found, claimed=True), set(asks))


def test_as_whom_an_upload_counts() -> None:
    assert uploader_of(CITIZEN) == "citizen"
    assert uploader_of(AN) == "an"


# ── who has it and who had it ────────────────────────────────────────────────────────────────────────────────────────


def state(v: int, cause: Cause, turn: int, agent: str | None = None, former: str | None = None) -> ChatState:
    status = ChatStatus.CLOSED if cause is Cause.CLOSED else ChatStatus.ASSIGNED if agent else ChatStatus.WAITING
    return ChatState(
        chat_id="c1",
        v=v,
        state=status,
        turn=turn,
        department="algemeen" if v < 4 else "premies",
        cause=cause,
        agent_id=agent,
        former_agent_id=former,
        at=OPENED_AT,
    )


DAY = [
    state(1, Cause.OPENED, 1),
    state(2, Cause.ASSIGNED, 1, "an"),
    state(3, Cause.TRANSFERRED, 2, None, "an"),
    state(4, Cause.ASSIGNED, 2, "bert", "an"),
    state(5, Cause.AGENT_LEFT, 3, None, "bert"),
    state(6, Cause.ASSIGNED, 3, "an", "bert"),
    state(7, Cause.CLOSED, 3, "an", "bert"),
]


def applied(states: list[ChatState]) -> dict[str, Any]:
    """The document after these changes, as the database makes them."""
    document: dict[str, Any] = {"left": {}, "departments": set()}
    for one in states:
        change = participation_update(one)
        for path, value in change["$max"].items():
            where = document["left"] if path.startswith("left.") else document
            name = path.removeprefix("left.")
            where[name] = max(value, where.get(name, ""))
        document["departments"].add(change["$addToSet"]["departments"])
    return document


def test_order_and_repetition_of_states_do_not_matter() -> None:
    left = {"an": event_id("c1", Cause.TRANSFERRED, 2), "bert": event_id("c1", Cause.AGENT_LEFT, 3)}
    for seed in range(200):
        dice = random.Random(seed)
        seen = dice.choices(DAY, k=5) + DAY
        dice.shuffle(seen)
        document = applied(seen)
        assert participation_of(document) == Participation("an", left)
        assert document["departments"] == {"algemeen", "premies"}
        assert department_of({**document, "department": "algemeen"}) == DAY[-1].department


@pytest.mark.parametrize(("until", "holder"), [(1, None), (2, "an"), (3, None), (4, "bert"), (5, None)])
def test_who_has_it_at_each_state(until: int, holder: str | None) -> None:
    participation = participation_of(applied(DAY[:until]))
    assert participation is not None
    assert participation.holder == holder


def test_a_chat_of_before_has_no_participation() -> None:
    assert participation_of({"participants": ["an"]}) is None
    assert department_of({"participants": ["an"], "department": "algemeen"}) == "algemeen"
