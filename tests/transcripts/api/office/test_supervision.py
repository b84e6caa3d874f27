"""The route with which gateways ask who waits for an answer, and the acts of supervisors in the access log."""

from services.common.events.types import Cause, Party
from services.common.internal_api.supervision import UNANSWERED
from services.common.internal_api.transcripts import ACCESS_NOTE
from services.common.mongo.client import Database
from services.transcripts.log.store import Store
from tests.transcripts.api.client import ApiClient
from tests.transcripts.conftest import OPENED_AT, entry, new_id


async def test_those_who_wait_are_named_with_since_when_and_no_others(api: ApiClient, store: Store) -> None:
    waits, answered, unknown = new_id(), new_id(), new_id()
    for chat_id in (waits, answered):
        connected = entry(chat_id, 1, Party.SYSTEM, "Verbonden", event=Cause.ASSIGNED)
        await store.insert([connected, entry(chat_id, 2)], in_order=True)
    await store.insert([entry(answered, 3, Party.AGENT)])
    status, told = await api.ask(UNANSWERED, {"chat_ids": [waits, answered, unknown]})
    assert status == 200
    assert list(told["since"]) == [waits]
    assert told["since"][waits].startswith(OPENED_AT.isoformat()[:19])
    assert (await api.ask(UNANSWERED, {"chat_ids": [waits] * 201}))[0] == 422


async def test_acts_of_supervisors_are_in_the_access_log(api: ApiClient, database: Database) -> None:
    reader = {"agent_id": "sofie", "supervisor": True, "source": "192.0.2.1"}
    noted = {"act": "chat_reassigned", "reader": reader, "chat_id": "c", "departments": ["algemeen"], "item": "bert"}
    assert (await api.ask(ACCESS_NOTE, noted))[0] == 204
    logged = await database["access_log"].find({"act": "chat_reassigned"}).to_list(None)
    assert [(e["who"], e["role"], e["chat_id"], e["item"], e["department"]) for e in logged] == [
        ("sofie", "supervisor", "c", "bert", "algemeen")
    ]
