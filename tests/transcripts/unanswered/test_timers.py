"""Timers of citizens who wait for an answer, on the real broker and database: two replicas, one that dies, a batch."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.common.events.chats import AnswerOverdue
from services.common.events.types import Cause, Party
from services.common.mongo.client import Database
from services.transcripts.log.store import Store
from services.transcripts.unanswered.timers import AnswerTimers
from tests.support.conditions import until
from tests.transcripts.conftest import OPENED_AT, EventObserver, entry, new_id, opened_event, seal_entry, state
from tests.transcripts.replicas import Replicas, two_publishers

AFTER = {"algemeen": timedelta(seconds=300)}


class Post(Replicas[AnswerTimers]):
    """Two replicas, and their chats."""

    async def begin(self) -> str:
        """A chat that an agent has just got, in attempt 2, and whose citizen asks something after ten seconds."""
        chat_id = new_id()
        await self.store.open_chats([opened_event(chat_id)])
        answers = {chat_id: OPENED_AT + AFTER["algemeen"]}
        await self.store.note_states([(chat_id, 1, "an")], turns={chat_id: 2}, answers=answers)
        await self.store.insert([entry(chat_id, 1, Party.SYSTEM, event=Cause.ASSIGNED)])
        await self.add(chat_id, 2, 10, Party.CITIZEN)
        return chat_id

    async def add(self, chat_id: str, seq: int, after: float, party: Party) -> None:
        await self.store.insert([entry(chat_id, seq, party, at=OPENED_AT + timedelta(seconds=after))])

    async def due(self, after: float) -> bool:
        return bool(await self.store.due_answers(OPENED_AT + timedelta(seconds=after), 10))


def seen(observer: EventObserver, chat_id: str) -> list[AnswerOverdue]:
    return [e for e in observer.seen if isinstance(e, AnswerOverdue) and e.chat_id == chat_id]


@pytest.fixture
async def post(vhost_url: str, database: Database, store: Store) -> AsyncIterator[Post]:
    """Two replicas, each with a publisher of its own."""
    made = Post(store)
    async with two_publishers(vhost_url) as both:
        made.replicas = [AnswerTimers(Store(database), p, AFTER, lambda: made.now, made.well) for p in both]
        yield made


async def test_a_wait_that_lasts_too_long_is_published_until_somebody_answers(
    post: Post, observer: EventObserver
) -> None:
    chat = await post.begin()
    await post.look(301)
    await post.look(309)
    await observer.caught_up()
    assert seen(observer, chat) == []
    await post.look(310)
    await observer.caught_up()
    number = len(seen(observer, chat))
    assert 1 <= number <= 2, "one for each replica at most"
    first = seen(observer, chat)[0]
    assert (first.turn, first.since, first.answered) == (2, OPENED_AT + timedelta(seconds=10), 0)
    await post.look(324)
    await observer.caught_up()
    assert len(seen(observer, chat)) == number
    await post.look(325)
    await until(lambda: len(seen(observer, chat)) > number, "the repetition")
    await post.add(chat, 3, 326, Party.AGENT)
    await post.add(chat, 4, 330, Party.CITIZEN)
    await post.look(341)
    await post.look(629)
    await observer.caught_up()
    number = len(seen(observer, chat))
    await post.look(630)
    await until(lambda: len(seen(observer, chat)) > number, "the next wait")
    assert (seen(observer, chat)[-1].since, seen(observer, chat)[-1].answered) == (
        OPENED_AT + timedelta(seconds=330),
        3,
    )


async def test_a_replica_that_dies_after_the_publication_repeats_it(post: Post, observer: EventObserver) -> None:
    chat = await post.begin()
    (one, due_at) = (await post.store.due_answers(OPENED_AT + timedelta(seconds=310), 10))[0]
    post.now = OPENED_AT + timedelta(seconds=310)
    await post.replicas[0].publisher.publish(
        AnswerOverdue(chat_id=one.chat_id, turn=2, since=due_at)
    )  # and then it died
    await post.look(310)
    await until(lambda: len(seen(observer, chat)) > 1, "the repetition")


async def test_nothing_is_judged_while_messages_wait_to_be_stored(post: Post, observer: EventObserver) -> None:
    chat = await post.begin()
    post.is_well = False
    await post.look(900)
    await observer.caught_up()
    assert seen(observer, chat) == []
    assert await post.due(900)


async def test_a_chat_that_went_to_a_department_without_the_rule_is_looked_at_no_more(
    post: Post, observer: EventObserver
) -> None:
    chat = await post.begin()
    await post.store.note_participations([state(chat, 5, Cause.ASSIGNED, 3, "bert", department="premies")])
    await post.look(400)
    await observer.caught_up()
    assert seen(observer, chat) == []
    assert not await post.due(99_999)


async def test_a_chat_that_has_ended_is_looked_at_no_more(post: Post, observer: EventObserver) -> None:
    chat = await post.begin()
    seal = seal_entry(chat, 3)
    await post.store.insert([seal])
    await post.look(400)
    await observer.caught_up()
    assert seen(observer, chat) == []
    assert not await post.due(99_999)
