"""`services/gateway/sending/sender.py`: one after the other, each until its receipt, and never out of order."""

import pytest

from services.common.events.chats import CloseRequested
from services.common.events.messages import MessagePosted, MessageRefused
from services.common.events.types import Party, RefusalCode
from services.gateway.participants.sessions import CitizenSession
from services.gateway.sending import send_queue
from services.gateway.sending import sender as sending_sender
from services.gateway.websocket.frames.client import End, Post
from tests.gateway.making import CHAT, citizen, entry, id_of, sent, stored
from tests.gateway.standing import Parts, World
from tests.support.conditions import until
from tests.support.servers import PATIENCE


@pytest.fixture
async def sender(world: World, parts: Parts) -> CitizenSession:
    """A citizen who follows their chat live."""
    world.others.open(CHAT)
    chat = await parts.chats.open(CHAT)
    chat.cursor.begin(1)
    session = citizen()
    parts.chats.attach(session, chat, 1)
    return session


def post(number: int) -> Post:
    return Post(id_of(number), text=f"bericht {number}")


async def refuse(world: World, number: int, code: RefusalCode) -> None:
    await world.publisher.publish(MessageRefused(chat_id=CHAT, id=id_of(number), sender_id="citizen", code=code))


def errors(session: CitizenSession) -> list[tuple[str, str]]:
    return [(f["code"], f["id"]) for f in sent(session) if f["type"] == "error"]


async def test_messages_are_stored_in_the_order_in_which_they_were_said(
    world: World, parts: Parts, sender: CitizenSession
) -> None:
    for number in range(10, 42):
        parts.message_sender.post(sender, CHAT, post(number))
    await until(lambda: sender.shown[CHAT] == 33, "all receipts")
    assert [f["id"] for f in sent(sender)] == [id_of(n) for n in range(10, 42)]
    assert [p.id for p in world.received(MessagePosted)] == [id_of(n) for n in range(10, 42)]
    assert not parts.chats.receipts


async def test_nothing_is_kept_of_a_queue_that_was_worked_off(
    world: World, parts: Parts, sender: CitizenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.message_sender.post(sender, CHAT, post(10))
    parts.message_sender.post(sender, CHAT, post(11))
    await until(lambda: sender.shown[CHAT] == 3, "both receipts")
    await until(lambda: not sender.send_queues, "the line to be forgotten")
    parts.message_sender.post(sender, CHAT, post(12))
    await until(lambda: sender.shown[CHAT] == 4, "a receipt in a new line")
    world.storing = False
    for number in range(20, 20 + send_queue.CAPACITY + 1):
        parts.message_sender.post(sender, CHAT, post(number))
    world.storing = True
    await world.store((await world.receive(MessagePosted, 4))[3])
    await until(lambda: sender.shown[CHAT] == 4 + send_queue.CAPACITY, "all but the refused one")
    assert sender.send_queues[CHAT].broken, "what it refuses it has to know"


async def test_only_the_first_is_under_way_and_a_full_queue_refuses(
    world: World, parts: Parts, sender: CitizenSession
) -> None:
    world.storing = False
    for number in range(10, 10 + send_queue.CAPACITY + 2):
        parts.message_sender.post(sender, CHAT, post(number))
    assert errors(sender) == [("unavailable", id_of(42)), ("unavailable", id_of(43))]
    await world.receive(MessagePosted)
    await world.received_all_of(parts.publisher)
    assert len(world.received(MessagePosted)) == 1
    world.storing = True
    await world.store(world.received(MessagePosted)[0])
    await until(lambda: sender.shown[CHAT] == 33, "all receipts")
    sent(sender)
    for number in (43, 42, 43):
        parts.message_sender.post(sender, CHAT, post(number))
    await until(lambda: sender.shown[CHAT] == 35, "both")
    frames = sent(sender)
    assert [(f["code"], f["id"]) for f in frames if f["type"] == "error"] == [("unavailable", id_of(43))]
    assert [f["id"] for f in frames if f["type"] == "message"] == [id_of(42), id_of(43)]


async def test_a_refusal_lets_the_next_go_on(world: World, parts: Parts, sender: CitizenSession) -> None:
    world.storing = False
    parts.message_sender.post(sender, CHAT, post(10))
    parts.message_sender.post(sender, CHAT, post(11))
    await world.receive(MessagePosted)
    world.storing = True
    await refuse(world, 10, RefusalCode.UNKNOWN_ATTACHMENT)
    await until(lambda: sender.shown[CHAT] == 2, "the second")
    frames = sent(sender)
    assert [(f["type"], f["id"]) for f in frames] == [("error", id_of(10)), ("message", id_of(11))]
    assert frames[0]["code"] == "unknown_attachment"


async def test_unavailable_refuses_all_that_follows_in_order(
    world: World, parts: Parts, sender: CitizenSession
) -> None:
    world.storing = False
    for number in (10, 11, 12):
        parts.message_sender.post(sender, CHAT, post(number))
    await world.receive(MessagePosted)
    await refuse(world, 10, RefusalCode.UNAVAILABLE)
    await until(lambda: sender.connection.waiting == 3, "three refusals")
    assert errors(sender) == [("unavailable", id_of(n)) for n in (10, 11, 12)]
    world.storing = True
    for number in (11, 10, 11, 12):
        parts.message_sender.post(sender, CHAT, post(number))
    await until(lambda: sender.shown[CHAT] == 4, "all three")
    assert [e.id for e in world.others.logs[CHAT][1:]] == [id_of(n) for n in (10, 11, 12)]
    assert not parts.chats.receipts


async def test_without_a_broker_everything_is_refused_after_its_patience(
    world: World, parts: Parts, sender: CitizenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "CONFIRM_PATIENCE", 0.3)
    parts.publisher.broken = True
    for number in (10, 11):
        parts.message_sender.post(sender, CHAT, post(number))
    await until(lambda: sender.connection.waiting == 2, "the refusals")
    assert errors(sender) == [("unavailable", id_of(10)), ("unavailable", id_of(11))]
    assert world.received(MessagePosted) == []
    assert not parts.chats.receipts


async def test_a_refused_message_that_is_stored_after_all_lets_the_next_one_in(
    world: World, parts: Parts, sender: CitizenSession
) -> None:
    """The broker had it and the confirm was late: the sender sees it in the log, and goes on with what follows."""
    world.storing = False
    for number in (10, 11, 12):
        parts.message_sender.post(sender, CHAT, post(number))
    posted = await world.receive(MessagePosted)
    await refuse(world, 10, RefusalCode.UNAVAILABLE)
    await until(lambda: sender.connection.waiting == 3, "three refusals")
    world.storing = True
    await world.store(posted[0])
    await until(lambda: sender.shown[CHAT] == 2, "the first, stored after all")
    for number in (12, 11, 12):
        parts.message_sender.post(sender, CHAT, post(number))
    await until(lambda: sender.shown[CHAT] == 4, "the others")
    assert [e.id for e in world.others.logs[CHAT][1:]] == [id_of(n) for n in (10, 11, 12)]
    assert not sender.send_queues


async def test_a_message_without_a_receipt_is_published_again(
    world: World, parts: Parts, sender: CitizenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "FIRST_CONFIRMED", 0.1)
    world.storing = False
    parts.message_sender.post(sender, CHAT, post(10))
    posted = await world.receive(MessagePosted, 3)
    assert {(p.id, p.event_id) for p in posted} == {(id_of(10), posted[0].event_id)}
    await world.store(posted[0])
    await until(lambda: sender.shown[CHAT] == 2, "the receipt")


async def test_only_the_first_is_repeated_while_transcripts_is_away(
    world: World, parts: Parts, sender: CitizenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "FIRST_CONFIRMED", 0.01)
    monkeypatch.setattr(send_queue, "MOST_CONFIRMED", 0.05)
    world.storing = False
    numbers = range(10, 10 + send_queue.CAPACITY)
    for number in numbers:
        parts.message_sender.post(sender, CHAT, post(number))
    posted = await world.receive(MessagePosted, 10)
    assert {p.id for p in posted} == {id_of(10)}, "only the first of the line is under way"
    monkeypatch.setattr(send_queue, "FIRST_CONFIRMED", PATIENCE)
    world.storing = True
    await until(lambda: sender.shown[CHAT] == 33, "all receipts")
    others = [p.id for p in world.received(MessagePosted) if p.id != id_of(10)]
    assert others == [id_of(number) for number in numbers[1:]]


async def test_a_repeated_id_is_answered_to_its_sender_alone(
    world: World, parts: Parts, sender: CitizenSession
) -> None:
    other = citizen()
    parts.chats.attach(other, parts.chats.by_id[CHAT], 1)
    parts.message_sender.post(sender, CHAT, post(10))
    await until(lambda: sender.shown[CHAT] == 2, "the receipt")
    assert [f["seq"] for f in sent(sender)] == [f["seq"] for f in sent(other)] == [2]
    parts.message_sender.post(sender, CHAT, Post(id_of(10), text="anders"))
    await until(lambda: sender.connection.waiting, "the answer")
    assert [(f["seq"], f["text"]) for f in sent(sender)] == [(2, "bericht 10")]
    assert sent(other) == []


async def test_the_end_waits_behind_what_was_said(world: World, parts: Parts, sender: CitizenSession) -> None:
    world.storing = False
    parts.message_sender.post(sender, CHAT, post(10))
    parts.message_sender.post(sender, CHAT, End())
    parts.message_sender.post(sender, CHAT, End())
    await world.receive(MessagePosted)
    await world.received_all_of(parts.publisher)
    assert world.received(CloseRequested) == []
    await world.store(world.received(MessagePosted)[0])
    await world.receive(CloseRequested)


async def test_what_was_taken_is_published_though_the_browser_has_disconnected(
    world: World, parts: Parts, sender: CitizenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_sender, "AFTER_DISCONNECT", PATIENCE)
    for number in (10, 11):
        parts.message_sender.post(sender, CHAT, post(number))
    sender.connection.end()
    await until(lambda: sender.shown[CHAT] == 3, "both receipts")
    world.storing = False
    monkeypatch.setattr(sending_sender, "AFTER_DISCONNECT", 0.1)
    monkeypatch.setattr(send_queue, "FIRST_CONFIRMED", 0.05)
    parts.message_sender.post(sender, CHAT, post(12))
    await until(lambda: id_of(12) in {p.id for p in world.received(MessagePosted)}, "the third")
    await until(lambda: not parts.chats.receipts and parts.tasks.idle, "an end of trying")


async def test_a_receipt_that_came_before_the_hole_was_filled_is_not_lost(
    world: World, parts: Parts, sender: CitizenSession
) -> None:
    """The sender's own entry is ahead of one that was lost: they have it when the gap was read."""
    world.storing = False
    parts.message_sender.post(sender, CHAT, post(10))
    await world.receive(MessagePosted)
    await world.append(entry(2, party=Party.AGENT, sender_id="agent-an"), publish=False)
    await world.store(world.received(MessagePosted)[0])
    await until(lambda: sender.shown[CHAT] == 3, "both")
    assert [f["seq"] for f in sent(sender)] == [2, 3]
    await world.publisher.publish(stored(world.others.logs[CHAT][2]))


async def test_a_receipt_frees_its_room_in_the_queue_at_once(
    world: World, parts: Parts, sender: CitizenSession
) -> None:
    world.storing = False
    for number in range(10, 10 + send_queue.CAPACITY):
        parts.message_sender.post(sender, CHAT, post(number))
    await world.receive(MessagePosted)
    parts.router.handle(stored(entry(2, id=id_of(10))))
    parts.message_sender.post(
        sender, CHAT, post(99)
    )  # the sender has seen the receipt, and nothing else has run meanwhile
    assert errors(sender) == []
