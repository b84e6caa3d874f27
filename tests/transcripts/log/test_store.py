"""What is stored, on the real database."""

import pytest
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from services.common.events.messages import NotePosted
from services.common.events.types import Cause, Party
from services.common.mongo.client import Database
from services.transcripts.inactivity.rules import Last
from services.transcripts.log.sequencing import Tail
from services.transcripts.log.store import Store
from tests.transcripts.conftest import OPENED_AT, attachment, entry, new_id, opened_event, seal_entry


async def test_a_taken_number_and_a_known_id_are_returned_by_their_positions(store: Store) -> None:
    one, other = new_id(), new_id()
    assert await store.insert([entry(one, 1), entry(other, 1)]) == set()
    taken = await store.insert([entry(one, 1, id="another"), entry(other, 2)])
    assert taken == {0}
    assert await store.insert([entry(one, 2, id="id-1"), entry(other, 3)]) == {0}
    assert {c: t.seq for c, t in (await store.tails([one, other])).items()} == {one: 1, other: 3}


async def test_what_is_no_duplicate_is_no_answer_at_all(database: Database, store: Store) -> None:
    """Without a majority nothing is known of a round, whatever else it says; no other error is taken for a place."""
    chat_id = new_id()
    await store.insert([entry(chat_id, 1)])
    alone = database.with_options(write_concern=WriteConcern(5, wtimeout=50))  # there are not so many members
    with pytest.raises(PyMongoError):
        await Store(alone).insert([entry(chat_id, 1, id="another"), entry(new_id(), 1)])
    await database.command("collMod", "entries", validator={"$jsonSchema": {"required": ["text"]}})
    with pytest.raises(PyMongoError):
        await store.insert([entry(chat_id, 1, id="another"), entry(new_id(), 1, text=None, attachment=attachment())])


async def test_the_tail_knows_the_seal(store: Store) -> None:
    chat_id = new_id()
    assert await store.tails([chat_id]) == {chat_id: Tail()}
    await store.insert([entry(chat_id, 1)])
    await store.insert([seal_entry(chat_id, 2)])
    assert await store.tails([chat_id]) == {chat_id: Tail(2, True, OPENED_AT)}


async def test_a_tail_that_is_no_longer_there_is_not_relied_upon(database: Database, store: Store) -> None:
    """As after data of another day were put back: what is remembered of a chat is only where to look first."""
    chat_id = new_id()
    for seq in (1, 2, 3):
        await store.insert([entry(chat_id, seq)])
    assert (await store.tails([chat_id]))[chat_id].seq == 3
    await database["entries"].delete_many({"chat_id": chat_id, "seq": {"$gt": 1}})
    assert (await store.tails([chat_id]))[chat_id].seq == 1
    await database["entries"].delete_many({"chat_id": chat_id})
    assert await store.tails([chat_id]) == {chat_id: Tail()}


async def test_the_end_of_a_log_is_found_at_every_length(database: Database, store: Store) -> None:
    """The same by one who has followed it as by one who reads it for the first time."""
    chat_id = new_id()
    assert await store.last(chat_id) is None
    log = [
        (entry(chat_id, 1, Party.SYSTEM, event=Cause.OPENED), Party.SYSTEM, Cause.OPENED),
        (entry(chat_id, 2), Party.CITIZEN, Cause.OPENED),
        (entry(chat_id, 3, Party.SYSTEM, event=Cause.ASSIGNED), Party.CITIZEN, Cause.ASSIGNED),
        (entry(chat_id, 4, Party.AGENT), Party.AGENT, Cause.ASSIGNED),
        (seal_entry(chat_id, 5), Party.AGENT, Cause.CLOSED),
    ]
    for one, party, event in log:
        await store.insert([one])
        for reader in (store, Store(database)):
            assert await reader.last(chat_id) == Last(party, event, OPENED_AT)
            assert await reader.last(chat_id) == Last(party, event, OPENED_AT)


async def test_only_chats_that_go_on_are_returned(store: Store) -> None:
    chat_id, other = new_id(), new_id()
    for one in (entry(chat_id, 1), entry(chat_id, 2), entry(other, 1)):
        await store.insert([one])
    assert await store.grown({chat_id: 1, other: 1, new_id(): 0}) == {chat_id: 2}
    assert await store.grown({chat_id: 0, other: 0}) == {chat_id: 1, other: 1}


async def test_entries_come_in_order_after_a_seq_and_as_they_were_stored(store: Store) -> None:
    chat_id = new_id()
    written = [entry(chat_id, 1), entry(chat_id, 2, text=None, attachment=attachment()), seal_entry(chat_id, 3)]
    for one in reversed(written):
        await store.insert([one])
    assert await store.entries(chat_id) == written
    assert await store.entries(chat_id, after=1, limit=1) == written[1:2]
    assert await store.entries(chat_id, after=2**63 - 1, limit=1) == []
    assert await store.find(chat_id, ["id-1", "nobody"]) == {"id-1": written[0]}


async def test_the_last_entries_of_several_logs_come_the_last_one_first(store: Store) -> None:
    long, short, none = new_id(), new_id(), new_id()
    await store.insert([entry(long, seq) for seq in range(1, 8)], in_order=True)
    await store.insert([entry(short, 1)])
    found = await store.latest([long, short, none], 3)
    assert {chat_id: [e.seq for e in log] for chat_id, log in found.items()} == {long: [7, 6, 5], short: [1]}


async def test_the_end_of_a_chat_is_marked_once_for_each_job(store: Store, database: Database) -> None:
    chat_id = new_id()
    await store.open_chats([opened_event(chat_id)])
    seal = seal_entry(chat_id, 2)
    await store.close_chats([seal])
    fields = {"_id": False, "counted": True, "signed": True, "listed": True}
    unmarked = {"counted": False, "signed": False, "listed": False}
    assert await database["chats"].find_one({"_id": chat_id}, fields) == unmarked
    done = dict.fromkeys(unmarked, True)
    await database["chats"].update_one({"_id": chat_id}, {"$set": done})
    await store.close_chats([seal])  # again, after a crash
    assert await database["chats"].find_one({"_id": chat_id}, fields) == done


async def test_a_chat_is_opened_once_and_remembers_who_took_part(store: Store) -> None:
    chat_id = new_id()
    await store.open_chats([opened_event(chat_id)])
    await store.note_states([(chat_id, 3, "an"), (chat_id, 2, "bert"), (chat_id, 1, None)])
    await store.open_chats([opened_event(chat_id, locale="fr")])
    chat = await store.chat(chat_id)
    assert chat is not None
    assert (chat.locale, chat.v, chat.participants) == ("nl", 3, frozenset({"an", "bert"}))
    await store.close_chats([seal_entry(chat_id, 2)])
    closed = await store.chat(chat_id)
    assert closed is not None
    assert closed.closed_at == OPENED_AT
    assert await store.chat(new_id()) is None


async def test_the_first_note_of_an_id_stands(store: Store) -> None:
    chat_id, id_ = new_id(), new_id()
    first = NotePosted(chat_id=chat_id, id=id_, agent_id="an", agent_name="An", text="eerste")
    other = first.model_copy(update={"text": "tweede"})
    kept = await store.add_note(first, OPENED_AT)
    assert await store.add_note(other, OPENED_AT) == kept
    assert await store.notes(chat_id) == [kept]
