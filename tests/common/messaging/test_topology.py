"""`topology.py` on a real broker: where each event lands, what becomes of the rest, and how queues are made."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue

from services.common.events.chats import ChatState
from services.common.events.codec import decode
from services.common.events.messages import MessagePosted, MessagesStored
from services.common.messaging import topology
from services.common.messaging.declarations import declare_topology
from services.common.messaging.publisher import Unconfirmed
from tests.support.event_samples import AN, BERT, CHAT, EVENTS
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE, Broker

# Every queue in which the golden sample of an event lands; what is left out lands in none.
LANDS = {
    "chat.opened": {"routing.chats", "transcripts.messages", "transcripts.outbox"},
    "citizen.arrived": {"routing.chats"},
    "close.requested": {"routing.chats"},
    "chat.accepted": {"routing.chats"},
    "chat.state": {"presence.chats", "transcripts.messages", "transcripts.outbox"},
    "queue.changed": {"presence.queues", "gateway"},
    "place.wanted": {"presence.wanted"},
    "place.claimed": {"routing.places"},
    "place.released": {"routing.places"},
    "places.changed": {"routing.places"},
    "accept.overdue": {"presence.states"},
    "state.requested": {"presence.states"},
    "button.changed": {"gateway", "transcripts.outbox"},
    "wrapup.done": {"presence.wrapups"},
    "wrapup.ended": {"transcripts.statistics"},
    "pause.ended": {"transcripts.statistics"},
    "answer.overdue": {"routing.answers"},
    "gateway.connections": {"listener"},
    "listener.echo": {"listener"},
    "message.posted": {"transcripts.messages"},
    "messages.posted": {"transcripts.messages"},
    "note.posted": {"transcripts.notes"},
    "citizen.stayed": {"transcripts.silences"},
    "transfer.refused": {"routing.chats"},
    "identification.asked": {"transcripts.identifications"},
    "identification.declined": {"transcripts.identifications"},
    "identification.ended": {"transcripts.identifications"},
    "configuration.version": {"configuration"},
    "configuration.wanted": {"configuration"},
}
TRANSIENT_KEYS = (*topology.GATEWAY_KEYS, *topology.LISTENER_KEYS, *topology.CONFIGURATION_KEYS.values())
CONFIGURATION = tuple(sorted(set(topology.CONFIGURATION_KEYS.values())))
FOLLOWED = ("chat.state", "message.stored", "message.refused", "note.stored", "typing.shown", "read.shown")


@contextlib.asynccontextmanager
async def channel_at(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        yield channel


async def own_queue(channel: AbstractChannel, keys: tuple[str, ...], arguments: Mapping[str, object]) -> AbstractQueue:
    """A transient queue such as a gateway or a listener has."""
    queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=dict(arguments))  # type: ignore[arg-type]
    for key in keys:
        await queue.bind(topology.EXCHANGE, key)
    return queue


async def taken(queue: AbstractQueue) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Everything that is in the queue now."""
    messages = []
    while message := await queue.get(no_ack=True, fail=False):
        messages.append(message)
    return messages


async def test_each_event_lands_in_the_queues_of_its_consumers_and_in_no_other(vhost_url: str) -> None:
    async with publishing(vhost_url) as publisher, channel_at(vhost_url) as channel:
        queues = {q.name: await channel.get_queue(q.name) for q in topology.QUEUES}
        queues["gateway"] = await own_queue(channel, topology.GATEWAY_KEYS, topology.GATEWAY_QUEUE_ARGUMENTS)
        queues["listener"] = await own_queue(channel, topology.LISTENER_KEYS, topology.LISTENER_QUEUE_ARGUMENTS)
        arguments = topology.CONFIGURATION_QUEUE_ARGUMENTS
        queues["configuration"] = await own_queue(channel, CONFIGURATION, arguments)
        landed: dict[str, set[str]] = {}
        for type_, event in EVENTS.items():
            await publisher.publish(event)
            for name, queue in queues.items():
                for message in await taken(queue):
                    assert decode(message.body) == event
                    landed.setdefault(type_, set()).add(name)
    assert landed == LANDS


def test_every_key_that_a_queue_is_bound_to_is_some_events() -> None:
    types = {".".join(key.split(".")[:2]) for queue in topology.QUEUES for key in queue.keys}
    types |= {".".join(key.split(".")[:2]) for key in TRANSIENT_KEYS}
    assert types <= EVENTS.keys()
    assert types == LANDS.keys()


@pytest.mark.parametrize("type_", sorted(EVENTS.keys() - set(topology.UNHEARD)))
def test_what_is_not_unheard_has_a_durable_queue(type_: str) -> None:
    assert any(not name.startswith(("gateway", "listener")) for name in LANDS[type_])


async def test_a_message_says_what_it_is(vhost_url: str) -> None:
    async with publishing(vhost_url) as publisher, channel_at(vhost_url) as channel:
        queue = await own_queue(channel, ("#",), {})
        for type_, event in EVENTS.items():
            await publisher.publish(event)
            (message,) = await taken(queue)
            assert message.type == type_
            assert message.message_id == event.event_id
            assert message.content_type == "application/json"
            assert str(message.headers["traceparent"]).startswith("00-")
            transient = type_ in topology.TRANSIENT
            assert message.delivery_mode == (1 if transient else 2)
            assert "CC" not in message.headers or type_ in ("chat.state", "messages.stored")


async def test_an_event_without_a_queue_is_unconfirmed_unless_it_needs_no_consumer(vhost_url: str) -> None:
    unconfirmed: set[str] = set()
    async with publishing(vhost_url) as publisher, channel_at(vhost_url) as channel:
        for queue in topology.QUEUES:
            await channel.queue_delete(queue.name)
        for type_, event in EVENTS.items():
            try:
                await publisher.publish(event)
            except Unconfirmed:
                unconfirmed.add(type_)
    assert unconfirmed == EVENTS.keys() - set(topology.UNHEARD)


async def test_a_gateway_follows_a_chat_and_an_agent_with_one_binding_each(vhost_url: str) -> None:
    async with publishing(vhost_url) as publisher, channel_at(vhost_url) as channel:
        chat = await own_queue(channel, (topology.binding_of(CHAT),), topology.GATEWAY_QUEUE_ARGUMENTS)
        agent = await own_queue(channel, (topology.binding_of(AN),), topology.GATEWAY_QUEUE_ARGUMENTS)
        for event in EVENTS.values():
            await publisher.publish(event)
        of_citizen = ["citizen.presence", "citizen.silent", "citizen.stayed"]
        assert [m.type for m in await taken(chat)] == [*FOLLOWED, *of_citizen, "messages.stored"]
        assert [m.type for m in await taken(agent)] == ["chat.state", "agent.changed", "session.ended"]


async def test_a_chats_state_reaches_each_queue_once_however_many_of_its_keys_it_is_bound_to(vhost_url: str) -> None:
    state = EVENTS["chat.state"]
    assert isinstance(state, ChatState)
    async with publishing(vhost_url) as publisher, channel_at(vhost_url) as channel:
        keys = [topology.binding_of(id_) for id_ in (CHAT, AN, BERT)]
        everything = await own_queue(channel, tuple(keys), topology.GATEWAY_QUEUE_ARGUMENTS)
        each = [await own_queue(channel, (key,), topology.GATEWAY_QUEUE_ARGUMENTS) for key in keys]
        presence = await channel.get_queue(topology.PRESENCE_CHATS.name)
        await publisher.publish(state)
        for queue in (everything, *each, presence):
            assert [decode(m.body) for m in await taken(queue)] == [state]


def test_a_batch_has_each_other_chat_once_among_its_further_keys() -> None:
    batch = EVENTS["messages.stored"]
    assert isinstance(batch, MessagesStored)
    first = batch.entries[0]
    entries = [first.model_copy(update={"chat_id": chat}) for chat in (CHAT, "b", CHAT, "b", "c")]
    keys = topology.copies(batch.model_copy(update={"chat_id": CHAT, "entries": entries}))
    assert keys == ["messages.stored.b", "messages.stored.c"]


async def test_a_refused_message_goes_to_the_dead_letters_of_its_service(vhost_url: str) -> None:
    async with publishing(vhost_url), channel_at(vhost_url) as channel:
        for queue in topology.QUEUES:
            await channel.default_exchange.publish(aio_pika.Message(queue.name.encode()), queue.name)
            source = await channel.get_queue(queue.name)
            message = await source.get(timeout=PATIENCE)
            assert message
            await message.reject(requeue=False)
            letters = await channel.get_queue(queue.dead_letters)
            async with asyncio.timeout(PATIENCE):
                while not (letter := await letters.get(no_ack=True, fail=False)):
                    await asyncio.sleep(0.02)
            assert letter.body == queue.name.encode()
            assert letter.headers["x-first-death-queue"] == queue.name
            assert letter.headers["x-first-death-reason"] == "rejected"


async def test_queues_are_made_as_they_are_written_down(vhost_url: str, broker: Broker) -> None:
    async with publishing(vhost_url):
        vhost = vhost_url.rsplit("/", 1)[1].split("?")[0]
        rows = await asyncio.to_thread(broker.api, "GET", f"/api/queues/{vhost}")
        made = {q["name"]: q for q in rows}
    assert made.keys() == {q.name for q in topology.QUEUES} | {q.dead_letters for q in topology.QUEUES}
    for queue in topology.QUEUES:
        arguments = made[queue.name]["arguments"]
        assert made[queue.name]["durable"]
        assert arguments == queue.declaration
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-delivery-limit"] == topology.DELIVERY_LIMIT == 20
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert made[queue.dead_letters]["arguments"] == {"x-queue-type": "quorum"}
    full = [q.name for q in topology.QUEUES if "x-max-length" in q.declaration]
    assert full == ["transcripts.messages"], "only the queue of messages refuses when full"


async def test_a_full_queue_of_messages_refuses_the_next_one(vhost_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = topology.Queue("transcripts.messages", topology.TRANSCRIPTS_MESSAGES.keys, {"x-max-length": 2})
    queues = tuple(small if q.name == small.name else q for q in topology.QUEUES)
    monkeypatch.setattr(topology, "QUEUES", queues)
    posted = EVENTS["message.posted"]
    assert isinstance(posted, MessagePosted)
    async with publishing(vhost_url) as publisher:

        async def publish_many() -> None:
            for _ in range(20):  # a quorum queue lets a few more in before it refuses
                await publisher.publish(posted)

        with pytest.raises(Unconfirmed):
            await publish_many()


async def test_any_number_may_declare_the_topology_at_once(vhost_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(channel_at(vhost_url)) for _ in range(4)]
        exchanges = await asyncio.gather(*(declare_topology(channel) for channel in channels))
        assert {exchange.name for exchange in exchanges} == {topology.EXCHANGE}
