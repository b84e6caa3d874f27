"""`sender.py`: what comes up while the broker confirms goes together, and nobody is forgotten."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessagesPosted
from services.common.events.types import Party, Sender
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.observability.tracing import begin_trace
from services.gateway.background_tasks import Tasks
from services.gateway.sending.sender import UNDER_WAY, BatchPublisher, MessageSender
from services.gateway.websocket.frames.client import Post
from tests.gateway.making import CHAT, citizen, id_of, sent
from tests.gateway.standing import Parts, World
from tests.support.conditions import until


class StoppedPublisher:
    """Confirms when it is asked to; a stand-in, since a real one cannot be made to wait between two messages."""

    def __init__(self) -> None:
        self.published: list[tuple[Event, object]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def publish(self, event: Event) -> None:
        await self.publish_all([(event, None)])

    async def publish_all(self, events: Sequence[tuple[Event, object]]) -> None:
        self.published += events
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]


def event(number: int) -> MessagePosted:
    return MessagePosted(chat_id=CHAT, id=id_of(number), sender=Sender(party=Party.CITIZEN, id="citizen"), text="dag")


@pytest.fixture
def link() -> StoppedPublisher:
    return StoppedPublisher()


@pytest.fixture
def together(link: StoppedPublisher) -> BatchPublisher:
    return BatchPublisher(cast(Publisher, link), Tasks(), pace=0)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def confirm_all(link: StoppedPublisher) -> None:
    """Confirm what was published, and what follows it, until nothing does: no task is left when the test ends."""
    while unanswered := [answer for answer in link.answers if not answer.done()]:
        for answer in unanswered:
            answer.set_result(None)
        await turns()


async def test_the_first_event_does_not_wait_and_a_batch_forms_while_the_broker_confirms(
    together: BatchPublisher, link: StoppedPublisher
) -> None:
    traces = []

    async def publish(number: int) -> None:
        traces.append(begin_trace())
        await together.publish(event(number))

    waiting = []
    for number in range(1, UNDER_WAY + 6):
        waiting.append(asyncio.create_task(publish(number)))
        await turns()
    assert [f.type for f, _ in link.published] == ["message.posted"] * UNDER_WAY
    link.answers[0].set_result(None)
    await turns()
    assert waiting[0].done()
    assert not waiting[1].done()
    several, _ = link.published[-1]
    assert isinstance(several, MessagesPosted)
    assert [p.id for p in several.posted] == [id_of(n) for n in range(UNDER_WAY + 1, UNDER_WAY + 6)]
    assert [t.split("-")[1] for t in several.traces] == traces[UNDER_WAY:]
    for answer in link.answers[1:]:
        answer.set_result(None)
    await asyncio.gather(*waiting)


async def test_events_of_one_turn_of_the_loop_go_together(together: BatchPublisher, link: StoppedPublisher) -> None:
    waiting = [asyncio.create_task(together.publish(event(n))) for n in range(1, 7)]
    await turns()
    ((several, _),) = link.published
    assert isinstance(several, MessagesPosted)
    assert [p.id for p in several.posted] == [id_of(n) for n in range(1, 7)]
    link.answers[0].set_result(None)
    await asyncio.gather(*waiting)
    again = asyncio.create_task(together.publish(event(7)))
    await turns()
    assert link.published[-1][0].type == "message.posted", "and alone it goes alone"
    link.answers[-1].set_result(None)
    await again


async def test_a_message_holds_a_bounded_number(together: BatchPublisher, link: StoppedPublisher) -> None:
    waiting = [asyncio.create_task(together.publish(event(n))) for n in range(1, 60)]
    await turns()
    await confirm_all(link)
    await asyncio.gather(*waiting)
    sizes = [len(f.posted) if isinstance(f, MessagesPosted) else 1 for f, _ in link.published]
    assert sum(sizes) == 59
    assert max(sizes) == topology.MOST_TOGETHER


async def test_one_that_follows_closely_waits_for_company(
    link: StoppedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, pace = asyncio.get_running_loop(), 3600.0
    paced = BatchPublisher(cast(Publisher, link), Tasks(), pace)
    waiting = []
    for number in range(1, 4):
        waiting.append(asyncio.create_task(paced.publish(event(number))))
        await turns()
    assert [f.type for f, _ in link.published] == ["message.posted"], "the first one leaves at once"
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + pace)
    await turns()
    several, _ = link.published[1]
    assert isinstance(several, MessagesPosted)
    assert [p.id for p in several.posted] == [id_of(2), id_of(3)]
    for answer in link.answers:
        answer.set_result(None)
    await asyncio.gather(*waiting)


async def test_a_full_one_waits_for_nothing(link: StoppedPublisher) -> None:
    paced = BatchPublisher(cast(Publisher, link), Tasks(), pace=3600)
    waiting = []
    for number in range(1, topology.MOST_TOGETHER + 2):
        waiting.append(asyncio.create_task(paced.publish(event(number))))
        await turns()
    sizes = [len(f.posted) if isinstance(f, MessagesPosted) else 1 for f, _ in link.published]
    assert sizes == [1, topology.MOST_TOGETHER]
    for answer in link.answers:
        answer.set_result(None)
    await asyncio.gather(*waiting)


async def test_a_full_one_is_not_put_off_by_those_that_still_come(link: StoppedPublisher) -> None:
    paced = BatchPublisher(cast(Publisher, link), Tasks(), pace=3600)
    waiting = []
    for number in range(1, 60):
        waiting.append(asyncio.create_task(paced.publish(event(number))))
        await asyncio.sleep(0)
    sizes = [len(f.posted) if isinstance(f, MessagesPosted) else 1 for f, _ in link.published]
    assert (len(sizes), sizes[-1]) == (UNDER_WAY, topology.MOST_TOGETHER)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await confirm_all(link)


async def test_without_a_confirm_each_of_them_fails_and_the_next_goes_on(
    together: BatchPublisher, link: StoppedPublisher
) -> None:
    waiting = [asyncio.create_task(together.publish(event(n))) for n in range(1, 5)]
    await turns()
    waiting[0].cancel()  # nobody waits for this one any more
    await turns()
    for answer in link.answers:
        if not answer.done():
            answer.set_exception(Unconfirmed("away"))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(o) for o in outcomes] == [asyncio.CancelledError, Unconfirmed, Unconfirmed, Unconfirmed]
    again = asyncio.create_task(together.publish(event(9)))
    await turns()
    link.answers[-1].set_result(None)
    await again


async def test_what_goes_together_is_stored_and_receipted_one_by_one(world: World, parts: Parts) -> None:
    message_sender = MessageSender(parts.chats, parts.publisher, parts.tasks, together=True)
    senders = []
    for number in range(6):
        chat = id_of(100 + number)
        world.others.open(chat)
        channel = await parts.chats.open(chat)
        channel.cursor.begin(1)
        senders.append((chat, citizen(chat_id=chat)))
        parts.chats.attach(senders[-1][1], channel, 1)
    for chat, session in senders:
        for number in (10, 11):
            message_sender.post(session, chat, Post(id_of(number), text="dag"))
    await until(lambda: all(c.shown[chat] == 3 for chat, c in senders), "all receipts")
    for _, session in senders:
        assert [f["id"] for f in sent(session) if f["type"] == "message"] == [id_of(10), id_of(11)]
    assert world.received(MessagesPosted), "some went together"
