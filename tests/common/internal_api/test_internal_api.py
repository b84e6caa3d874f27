"""`services/common/internal_api/`: the shapes of questions between services, and what they refuse."""

import inspect
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.common.events.types import Cause, ChatStatus, Record
from services.common.internal_api import (
    configuration,
    erasures,
    integration,
    outbox,
    past_chats,
    presence,
    queries,
    reports,
    routing,
    sessions,
    supervision,
    transcripts,
)
from services.common.internal_api.presence import Credentials
from services.common.internal_api.queries import ChatsQuery
from services.common.internal_api.routing import ChatView
from services.common.internal_api.transcripts import ChatHistory, HistoryQuery, HistoryWanted
from tests.support.event_samples import CHAT

MODULES = (
    *(presence, routing, transcripts, queries, reports, erasures, integration, outbox, past_chats, supervision),
    configuration,
    sessions,
)
PATHS = {
    name: text
    for one in MODULES
    for name, text in vars(one).items()
    if name.isupper() and isinstance(text, str) and name != "EVERY"  # a scope's word for all departments
}
SHAPES = [
    shape
    for one in MODULES
    for _, shape in inspect.getmembers(one, inspect.isclass)
    if issubclass(shape, BaseModel) and shape.__module__ == one.__name__
]


def test_paths_are_distinct_and_inside() -> None:
    assert len(PATHS) == 87
    assert len(set(PATHS.values())) == len(PATHS)
    assert all(path.startswith("/internal/") for path in PATHS.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_an_unchanging_record_that_ignores_what_it_does_not_know(shape: type[BaseModel]) -> None:
    assert issubclass(shape, Record)
    assert shape.model_config["frozen"]
    assert shape.model_config["extra"] == "ignore"


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (ChatsQuery, {"chat_ids": ["x"] * (queries.MAX_CHATS + 1)}),
        (HistoryQuery, {"chats": [{"chat_id": "x"}] * (queries.MAX_CHATS + 1)}),
        (HistoryWanted, {"chat_id": "x", "after": -1}),
        (HistoryWanted, {"chat_id": "x", "at_least": 2**63}),
        (HistoryWanted, {"chat_id": "\ud800"}),
        (Credentials, {"username": "x" * 101, "password": "p"}),
        (Credentials, {"username": "an", "password": "x" * 501}),
        (Credentials, {"username": "an", "password": "\udfff"}),
    ],
)
def test_questions_are_bounded(shape: type[BaseModel], body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        shape.model_validate(body)


def test_a_full_question_is_accepted() -> None:
    assert len(ChatsQuery(chat_ids=["x"] * queries.MAX_CHATS).chat_ids) == queries.MAX_CHATS


def test_answers_survive_the_wire() -> None:
    now = datetime(2026, 11, 23, 8, tzinfo=UTC)
    view = ChatView(
        chat_id=CHAT, v=1, state=ChatStatus.WAITING, turn=1, cause=Cause.OPENED, department="algemeen", opened_at=now
    )
    assert ChatView.model_validate_json(view.model_dump_json()) == view
    history = ChatHistory(chat_id=CHAT, last_seq=0, entries=[])
    assert ChatHistory.model_validate_json(history.model_dump_json()) == history


def test_defaults_are_not_shared_between_records() -> None:
    one, two = (ChatHistory(chat_id=CHAT, last_seq=0, entries=[]) for _ in range(2))
    assert one.notes == two.notes == []
    assert one.notes is not two.notes
