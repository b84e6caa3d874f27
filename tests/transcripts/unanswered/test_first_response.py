"""`first_response.py` on the real database: the first word of an agent counts once, whichever replica stored it."""

import asyncio
from datetime import timedelta

from services.common.events.types import Entry, Party
from services.common.mongo.client import Database
from services.transcripts.log.store import Store
from services.transcripts.unanswered.first_response import FirstResponses
from tests.support.conditions import until
from tests.support.metrics import sample
from tests.transcripts.conftest import OPENED_AT, new_id, opened_event


def counted(department: str = "algemeen") -> tuple[float, float]:
    """How many chats were answered, and the seconds that it took together."""
    labels = {"department": department}
    name = "eloket_transcripts_first_answer_seconds"
    count, total = (sample(f"{name}_{what}", labels) for what in ("count", "sum"))
    return count or 0.0, total or 0.0


def said(chat_id: str, seconds: float, party: Party = Party.AGENT) -> Entry:
    at = OPENED_AT + timedelta(seconds=seconds)
    return Entry(chat_id=chat_id, seq=3, id=new_id(), party=party, sender_id="an", text="Dag", at=at)


async def test_the_first_word_of_an_agent_counts_once_in_any_number_of_replicas(store: Store) -> None:
    chat_id = new_id()
    await store.open_chats([opened_event(chat_id)])
    (count, seconds) = counted()
    replicas = [FirstResponses(store, ["algemeen"]) for _ in range(2)]
    running = [asyncio.create_task(answers.run()) for answers in replicas]
    for answers in replicas:
        answers.note(said(chat_id, 5, Party.CITIZEN))
        answers.note(said(chat_id, 5, Party.SYSTEM))
    replicas[0].note(said(chat_id, 42))
    await until(lambda: counted()[0] == count + 1, "the first answer")
    for answers in replicas:
        answers.note(said(chat_id, 60))
    last = new_id()
    await store.open_chats([opened_event(last)])
    replicas[1].note(said(last, 10))
    await until(lambda: counted()[0] >= count + 2, "the answer in another chat")
    assert counted() == (count + 2, seconds + 52)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_an_unknown_department_and_a_chat_of_before_do_no_harm(store: Store, database: Database) -> None:
    gone, before = new_id(), new_id()
    await store.open_chats([opened_event(gone), opened_event(before)])
    await database["chats"].update_one({"_id": before}, {"$unset": {"unanswered": ""}})  # as a former version stored it
    answers, (count, _) = FirstResponses(store, ["premies"]), counted("other")
    for chat_id in (gone, before, new_id()):
        await answers.measure(chat_id, OPENED_AT + timedelta(seconds=1))
    assert counted("other")[0] == count + 1
