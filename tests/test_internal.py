"""`services/internal.py`: the shapes of questions between services, and what they refuse."""

import inspect
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services import internal
from services.contracts import Cause, ChatStatus, Record
from services.internal import ChatHistory, ChatsQuery, ChatView, Credentials, HistoryQuery, HistoryWanted
from tests.samples import CHAT

PATHS = {name: value for name, value in vars(internal).items() if name.isupper() and isinstance(value, str)}
SHAPES = [
    shape
    for _, shape in inspect.getmembers(internal, inspect.isclass)
    if issubclass(shape, BaseModel) and shape.__module__ == internal.__name__
]


def test_paths_are_distinct_and_inside() -> None:
    assert len(PATHS) == 18
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
        (ChatsQuery, {"chat_ids": ["x"] * (internal.MAX_CHATS + 1)}),
        (HistoryQuery, {"chats": [{"chat_id": "x"}] * (internal.MAX_CHATS + 1)}),
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
    assert len(ChatsQuery(chat_ids=["x"] * internal.MAX_CHATS).chat_ids) == internal.MAX_CHATS


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
