"""The questions that citizens leave, over HTTP and the real database."""

import pytest

from services.common.internal_api import transcripts as transcripts_api
from tests.transcripts.api.client import DONE, LEFT, ApiClient
from tests.transcripts.conftest import new_id


async def test_a_question_is_left_read_and_dealt_with(api: ApiClient) -> None:
    assert (await api.ask(transcripts_api.QUESTION_LEAVE, LEFT))[0] == 204
    assert (await api.ask(transcripts_api.QUESTION_LEAVE, {**LEFT, "text": "Iets anders"}))[0] == 204
    status, answer = await api.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]})
    assert (status, answer) == (200, {"questions": [{**LEFT, "claimed": None}]})
    assert (await api.ask(transcripts_api.QUESTION_DONE, DONE))[0] == 204
    assert (await api.ask(transcripts_api.QUESTION_DONE, DONE))[0] == 204
    assert (await api.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]}))[1] == {"questions": []}


async def test_no_question_without_its_chat_and_nothing_of_another_department(api: ApiClient) -> None:
    status, answer = await api.ask(transcripts_api.QUESTION_LEAVE, {**LEFT, "chat_id": new_id()})
    assert (status, answer["code"]) == (404, "no_such_chat")
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    for wrong in ({"departments": ["wonen"]}, {"chat_id": new_id()}):
        status, answer = await api.ask(transcripts_api.QUESTION_DONE, {**DONE, **wrong})
        assert (status, answer["code"]) == (404, "no_such_question")


async def test_what_was_left_is_in_no_log(api: ApiClient, capfd: pytest.CaptureFixture[str]) -> None:
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    await api.ask(transcripts_api.QUESTION_DONE, DONE)
    said = "".join(capfd.readouterr())
    assert "question_left" in said
    assert not any(LEFT[secret] in said for secret in ("contact", "text", "name"))
