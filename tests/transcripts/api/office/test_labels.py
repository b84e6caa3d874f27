"""The route of labels, over HTTP and the real database: who may give one, and that no transcript has it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.common.events.types import Cause
from services.common.http.tokens import Actor
from services.common.internal_api.transcripts import LABEL
from services.common.mongo.client import Database
from services.transcripts.app import create_app
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.transcripts.api.client import AN, BERT, CHAT, CITIZEN, LIEN, SOFIE, Answer, ApiClient, fill, opened
from tests.transcripts.conftest import state

NAMES = '{nl = "Woord", fr = "Mot", de = "Wort", en = "Word"}'
LISTS = f"""closing_reasons = [{{id = "solved", names = {NAMES}}}]
tags = [{{id = "verkeer", names = {NAMES}}}]
"""


@pytest.fixture
async def labelling(
    tmp_path: Path, make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> AsyncIterator[ApiClient]:
    """The service, whose department algemeen has one closing reason and one tag, and a chat of an."""
    text = make_settings().departments_file.read_text("utf-8")
    line = 'id = "algemeen"\n'
    assert text.count(line) == 1
    file = tmp_path / "departments.toml"
    file.write_text(text.replace(line, line + LISTS), "utf-8")
    await fill(store)
    states = [state(CHAT, 3, Cause.ASSIGNED, agent="an")]
    await store.note_participations(states)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, departments_file=file))) as api:
        yield api


async def ask(api: ApiClient, actor: Actor | None, **body: Any) -> Answer:
    async with api.client.post(LABEL, json={"chat_id": CHAT, **body}, headers=api.headers(actor)) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_the_agent_of_the_chat_gives_it_a_label_that_no_transcript_has(
    labelling: ApiClient, database: Database
) -> None:
    assert (await ask(labelling, AN, reason="solved", tags=["verkeer"]))[0] == 204
    chat = await database["chats"].find_one({"_id": CHAT})
    assert chat is not None
    assert (chat["label"]["reason"], chat["label"]["tags"]) == ("solved", ["verkeer"])
    for format in ("txt", "html", "json"):
        status, _, content = await labelling.get(f"/chats/{CHAT}/transcript?format={format}", AN)
        assert status == 200
        assert b"solved" not in content, format
        assert b"verkeer" not in content, format
    assert (await ask(labelling, AN, tags=[]))[0] == 204, "it may be taken back"


@pytest.mark.parametrize("actor", [CITIZEN, BERT, SOFIE, LIEN])
async def test_nobody_else_may(labelling: ApiClient, database: Database, actor: Actor) -> None:
    status, answer = await ask(labelling, actor, reason="solved")
    assert (status, answer["code"]) == (403, "forbidden")
    assert await database["chats"].count_documents({"label": {"$exists": True}}) == 0


@pytest.mark.parametrize("body", [{"reason": "gone"}, {"tags": ["verkeer", "gone"]}])
async def test_a_word_that_is_not_in_the_list_is_refused(labelling: ApiClient, body: dict[str, Any]) -> None:
    status, answer = await ask(labelling, AN, **body)
    assert (status, answer["code"]) == (422, "unknown_label")


async def test_an_unknown_chat_has_none(labelling: ApiClient) -> None:
    status, answer = await ask(labelling, AN, chat_id="0b8f4d6e-3c1a-4f5e-9b7d-000000000000", reason="solved")
    assert (status, answer["code"]) == (404, "no_such_chat")
