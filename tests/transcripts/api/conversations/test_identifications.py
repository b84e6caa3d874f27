"""The request to identify as a gateway asks for it, and the erasure of who a citizen is, on the real database."""

from datetime import timedelta
from typing import Any

import pytest

from services.common.clock import utcnow
from services.common.events.types import About, AssuranceLevel, Identification, IdentificationStep, Party
from services.common.http.tokens import Actor
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.erasures import ERASE_MESSAGE
from services.transcripts.log.store import Store
from tests.transcripts.api.client import AN, CHAT, CITIZEN, SOFIE, Answer, ApiClient
from tests.transcripts.conftest import entry, new_id, seal_entry

REQUEST = new_id()
ASKED = {"by": "an operator", "reason": "a request"}


async def ask(api: ApiClient, path: str, body: dict[str, Any], actor: Actor | None) -> Answer:
    async with api.client.post(path, json=body, headers=api.headers(actor)) as answer:
        return answer.status, await answer.json(content_type=None)


async def sought(api: ApiClient, actor: Actor | None = CITIZEN) -> Answer:
    return await ask(api, transcripts_api.IDENTIFICATION_OPEN, {"chat_id": CHAT}, actor)


async def add(store: Store, seq: int, step: IdentificationStep, **more: Any) -> None:
    about = About(agent_id="an", agent="An", identification=Identification(id=REQUEST, step=step, **more))
    await store.insert([entry(CHAT, seq, Party.SYSTEM, "Lien De Smet, hoog", at=utcnow(), about=about)])


async def test_the_citizen_alone_is_told_of_the_open_request(api: ApiClient, store: Store) -> None:
    status, refused = await sought(api)
    assert (status, refused["code"]) == (404, "no_request")
    await add(store, 4, IdentificationStep.ASKED)
    status, found = await sought(api)
    assert status == 200
    told = transcripts_api.OpenIdentification.model_validate(found)
    assert (told.chat_id, told.id, told.agent, told.department, told.locale) == (CHAT, REQUEST, "An", "algemeen", "nl")
    assert timedelta(minutes=9) < told.until - utcnow() <= timedelta(minutes=10)
    for actor, wanted in ((AN, 403), (SOFIE, 403), (None, 401), (Actor(party="citizen", id=new_id()), 403)):
        assert (await sought(api, actor))[0] == wanted
    await add(store, 5, IdentificationStep.DECLINED)
    assert (await sought(api))[0] == 404


@pytest.mark.parametrize(("seq", "status"), [(1, 404), (4, 404), (5, 200)])
async def test_of_the_systems_entries_only_the_identity_can_be_erased(
    api: ApiClient, store: Store, seq: int, status: int
) -> None:
    await add(store, 4, IdentificationStep.ASKED)
    who = {"name": "Lien De Smet", "level": AssuranceLevel.HIGH, "issuer": "Toegangsbeheer"}
    await add(store, 5, IdentificationStep.IDENTIFIED, **who)
    end = seal_entry(CHAT, 6).model_copy(update={"at": utcnow() - timedelta(hours=1)})
    await store.insert([end])
    await store.close_chats([end])
    wanted = {"chat_id": CHAT, "seq": seq, **ASKED}
    assert (await api.command(ERASE_MESSAGE, wanted))[0] == status
    kept = "".join(one.model_dump_json() for one in await store.entries(CHAT))
    assert ("Lien De Smet" in kept.split('"seq":5')[-1]) is (status != 200)
