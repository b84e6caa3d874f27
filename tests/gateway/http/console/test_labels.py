"""`labels.py` behind a real server: what reaches transcripts, and what is refused before."""

import pytest

from services.common.internal_api.transcripts import LABEL, Label
from tests.gateway.asking import Client
from tests.gateway.making import CHAT
from tests.gateway.standing import World

PATH = f"/api/agent/chats/{CHAT}/label"


async def test_a_label_reaches_transcripts(world: World, client: Client, supervisor: str) -> None:
    given = {"reason": "solved", "tags": ["form", "phone"], "else": 1}
    assert (await client.ask("PUT", PATH, given, Cookie=supervisor))[0] == 204
    ((_, body),) = [one for one in world.others.asked if one[0] == LABEL]
    assert Label.model_validate_json(body) == Label(chat_id=CHAT, reason="solved", tags=["form", "phone"])


@pytest.mark.parametrize(
    "given", [{"reason": "X y"}, {"reason": 1}, {"tags": ["a"] * 31}, {"tags": ["=1+1"]}, {"tags": None}]
)
async def test_what_is_no_label_is_refused(
    world: World,
    client: Client,
    supervisor: str,
    given: dict[str, object],
) -> None:
    status, answer, _ = await client.ask("PUT", PATH, given, Cookie=supervisor)
    assert (status, answer["code"]) == (422, "invalid")
    assert not [path for path, _ in world.others.asked if path == LABEL]


async def test_who_is_not_logged_in_may_not(client: Client) -> None:
    status, answer, _ = await client.ask("PUT", PATH, {"tags": []})
    assert (status, answer["code"]) == (401, "unauthenticated")
