"""`make dead-letters` on a real broker: what it shows, gives back, deletes, and what it leaves where it was."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, FieldValue
from aiormq.abc import FieldTable

from deploy.dead_letters.address import broker_url
from deploy.dead_letters.inspector import connected, opened
from deploy.local.settings import Refusal
from services.common.events.codec import encode
from services.common.events.messages import MessagePosted
from services.common.events.types import Party, Sender
from services.common.messaging.declarations import declare_topology
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT, Broker, unique

SECRET_WORDS = "mijn rijksregisternummer is 85.07.30-033.28"
PILE, SOURCE = "transcripts.dead-letters", "transcripts.messages"
CHAT = "4e3d2c1b-0000-4000-8000-000000000001"


def posted(number: int) -> MessagePosted:
    sender = Sender(party=Party.CITIZEN, id="citizen", name="An Peeters")
    id_ = f"4e3d2c1b-0000-4000-8000-{number:012}"
    return MessagePosted(event_id=id_, chat_id=CHAT, id=id_, sender=sender, text=SECRET_WORDS)


@dataclass
class Terminal:
    """An operator's terminal, and a view of the queues beside it."""

    url: str
    channel: AbstractChannel

    async def do(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command; nothing of what a person wrote is in any output unless asked for."""
        kept = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
        command = [sys.executable, "-m", "deploy.dead_letters", *arguments]
        env = {**kept, "RABBITMQ_URL": self.url, **environ}
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=2 * PATIENCE
        )
        assert "Traceback" not in done.stderr
        assert "--content" in arguments or ("rijksregister" not in done.stdout and "Peeters" not in done.stdout)
        return done

    async def bury(self, *bodies: bytes, **headers: FieldValue) -> None:
        """These come to the dead letters as a consumer rejects them, in this order."""
        source = await self.channel.get_queue(SOURCE)
        for body in bodies:
            message = aio_pika.Message(body, headers={"traceparent": "00-kept", **headers}, message_id=id_of(body))
            await self.channel.default_exchange.publish(message, SOURCE)
            async with asyncio.timeout(PATIENCE):
                while (got := await source.get(fail=False)) is None:
                    await asyncio.sleep(0.01)
            await got.reject(requeue=False)
        await self.until(PILE, len(bodies))

    async def until(self, name: str, number: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await self.channel.declare_queue(name, passive=True)).declaration_result.message_count != number:
                await asyncio.sleep(0.02)

    async def taken(self, name: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
        """Everything in a queue, in order, taken out."""
        queue, found = await self.channel.get_queue(name), []
        while message := await queue.get(no_ack=True, fail=False):
            found.append(message)
        return found


def id_of(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["event_id"])
    except (ValueError, KeyError):
        return None


@pytest.fixture
async def terminal(vhost_url: str) -> AsyncIterator[Terminal]:
    async with await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        await declare_topology(channel)
        yield Terminal(vhost_url, channel)


async def test_what_is_only_shown_stays_in_its_order_and_reveals_no_text_of_a_participant(terminal: Terminal) -> None:
    poison = [b"not json", b'{"type": "chat.renamed", "chat_id": "c-1", "words": "' + SECRET_WORDS.encode() + b'"}']
    bodies = [*poison, *(encode(posted(n)) for n in range(4))]
    await terminal.bury(*bodies)

    listed = await terminal.do("list")
    assert listed.returncode == 0
    assert "presence     no dead letters" in listed.stdout
    assert "transcripts  6 dead letters" in listed.stdout
    assert "4  message.posted     from transcripts.messages   rejected" in listed.stdout

    one, all_of_them = await asyncio.gather(  # two operators at once: each sees all
        terminal.do("show", "transcripts", "--id", posted(2).event_id), terminal.do("show", "transcripts")
    )
    assert one.stdout.count("\nqueue     transcripts.messages") == 1
    assert f"chat      {CHAT}" in one.stdout
    assert f'"text": "<{len(SECRET_WORDS)} characters>"' in one.stdout
    assert "this version can read it" in one.stdout
    assert all_of_them.stdout.count("\nreason    rejected: ") == 6
    assert "content   <8 bytes>" in all_of_them.stdout
    assert "cannot read it (union_tag_invalid)" in all_of_them.stdout
    assert SECRET_WORDS in (await terminal.do("show", "transcripts", "--content")).stdout

    few = await terminal.do("show", "transcripts", "--limit", "2")
    assert few.stdout.count("\nqueue ") == 2
    assert "these are the first 2 of 6" in few.stderr
    await terminal.until(PILE, 6)
    assert [m.body for m in await terminal.taken(PILE)] == bodies


async def test_a_replay_goes_to_the_one_queue_that_it_came_from_and_counts_anew(terminal: Terminal) -> None:
    bodies = [encode(posted(n)) for n in range(5)]
    await terminal.bury(*bodies, CC=["chat.state.an"])
    chosen = ("--id", posted(3).event_id, "--id", posted(1).event_id)
    done = await terminal.do("replay", "transcripts", *chosen)
    assert (done.returncode, done.stdout.count("replayed  ")) == (0, 2)
    back = await terminal.taken(SOURCE)
    assert [m.body for m in back] == [bodies[1], bodies[3]]
    # RabbitMQ 4.3 leaves the count out of a first delivery.
    assert [{"x-delivery-count": 0, **m.headers} for m in back] == [
        {"traceparent": "00-kept", "x-delivery-count": 0}
    ] * 2
    assert back[0].message_id == posted(1).event_id
    assert back[0].delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    await terminal.until(PILE, 3)

    again = await terminal.do("replay", "transcripts", *chosen)
    assert again.returncode == 1
    assert "nothing replayed" in again.stdout
    assert (await terminal.do("replay", "transcripts", "--type", "chat.renamed")).returncode == 1
    assert (await terminal.do("replay", "transcripts", "--all", "--limit", "1")).stdout.endswith("3 replayed\n")
    assert [m.body for m in await terminal.taken(SOURCE)] == [bodies[0], bodies[2], bodies[4]]
    assert await terminal.taken(PILE) == []


async def test_what_its_queue_does_not_take_stays(terminal: Terminal) -> None:
    full: FieldTable = {
        "x-queue-type": "quorum",
        "x-max-length": 1,
        "x-overflow": "reject-publish",
        "x-delivery-limit": 1,
    }
    full |= {"x-dead-letter-exchange": "eloket.dead", "x-dead-letter-routing-key": "routing"}
    full |= {"x-dead-letter-strategy": "at-least-once"}
    await terminal.channel.declare_queue("routing.small", durable=True, arguments=full)
    gone = await terminal.channel.declare_queue("routing.gone", durable=True, arguments=full)
    for name in ("routing.small", "routing.gone"):
        await terminal.channel.default_exchange.publish(aio_pika.Message(name.encode()), name)
        await (await (await terminal.channel.get_queue(name)).get()).reject(requeue=False)
    await terminal.until("routing.dead-letters", 2)
    await gone.delete(if_unused=False, if_empty=False)
    with contextlib.suppress(aio_pika.exceptions.DeliveryError):  # as full as it gets
        for _ in range(50):
            await terminal.channel.default_exchange.publish(aio_pika.Message(b"x"), "routing.small")
    done = await terminal.do("replay", "routing", "--all")
    assert done.returncode == 1
    assert "there is no queue routing.gone" in done.stdout
    assert "routing.small takes no more" in done.stdout
    await terminal.until("routing.dead-letters", 2)
    assert [m.body for m in await terminal.taken("routing.dead-letters")] == [b"routing.small", b"routing.gone"]


async def test_discarding_names_what_it_deletes_and_all_of_it_needs_a_second_word(terminal: Terminal) -> None:
    await terminal.bury(*(encode(posted(n)) for n in range(3)))
    assert (await terminal.do("discard", "transcripts")).returncode == 2
    unsure = await terminal.do("discard", "transcripts", "--all")
    assert unsure.returncode == 2
    assert "add --yes" in unsure.stderr
    one = await terminal.do("discard", "transcripts", "--id", posted(1).event_id)
    assert one.stdout.startswith(f"discarded {posted(1).event_id}  message.posted  transcripts.messages  rejected")
    await terminal.until(PILE, 2)
    assert (await terminal.do("discard", "transcripts", "--all", "--yes")).stdout.count("discarded ") == 2
    assert await terminal.taken(PILE) == []
    assert await terminal.taken(SOURCE) == []


async def test_it_needs_no_more_rights_than_it_says(terminal: Terminal, broker: Broker) -> None:
    await terminal.bury(encode(posted(1)))
    vhost, name = terminal.url.split("/")[-1].split("?")[0], unique("operator-")
    least = {"configure": r"^eloket\.operator\.", "write": r"^amq\.default$", "read": r"\.dead-letters$"}
    broker.api("PUT", f"/api/users/{name}", {"password": "p", "tags": ""})
    broker.api("PUT", f"/api/permissions/{vhost}/{name}", least)
    url = f"amqp://{name}:p@{terminal.url.split('@')[1]}"
    assert (await terminal.do("list", RABBITMQ_URL=url)).returncode == 0
    assert (await terminal.do("replay", "transcripts", "--all", RABBITMQ_URL=url)).returncode == 0
    assert len(await terminal.taken(SOURCE)) == 1
    broker.api("PUT", f"/api/permissions/{vhost}/{name}", {**least, "read": ""})
    await terminal.bury(encode(posted(1)))
    refused = await terminal.do("list", RABBITMQ_URL=url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("refused: the broker does not answer, or does not allow it")
    broker.api("DELETE", f"/api/users/{name}")


async def test_an_operator_who_is_cut_off_loses_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the confirm and the end of the letter: it is there twice, which every handler knows how to meet."""
    body = encode(posted(1))
    await terminal.bury(body)
    async with connected(terminal.url) as connection:
        with contextlib.suppress(CutOff):
            async with opened(connection, "transcripts") as pile:
                assert pile is not None
                monkeypatch.setattr(pile, "discard", cut_off)
                async for found in pile.letters(10):
                    await pile.replay(found)
    await terminal.until(PILE, 1)
    assert [m.body for name in (SOURCE, PILE) for m in await terminal.taken(name)] == [body, body]


class CutOff(Exception):
    pass


async def cut_off(_: object) -> None:
    raise CutOff


async def test_where_there_is_nothing_it_says_so(vhost_url: str, tmp_path: Path, terminal: Terminal) -> None:
    assert (await terminal.do("show", "presence")).stdout == "presence has no dead letters\n"
    nowhere = await terminal.do("list", RABBITMQ_URL="", DATA_DIR=str(tmp_path))
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith("refused: there is no broker of `make run` in ")
    away = await terminal.do("list", RABBITMQ_URL="amqp://a:b@127.0.0.1:1/")
    assert (away.returncode, away.stderr.count("\n")) == (1, 1)


def test_the_broker_is_the_given_one_or_that_of_make_run(tmp_path: Path) -> None:
    given: Callable[..., object] = lambda **environ: broker_url(environ, tmp_path)  # noqa: E731
    assert given(RABBITMQ_URL="amqps://a:b@c/") == "amqps://a:b@c/"
    assert isinstance(given(RABBITMQ_URL="http://c/"), Refusal)
    assert isinstance(given(), Refusal)
    (tmp_path / ".run" / "broker").mkdir(parents=True)
    (tmp_path / ".run" / "ports.json").write_text('{"broker": 5123}')
    (tmp_path / ".run" / "broker" / "password").write_text("secret")
    assert given() == "amqp://eloket:secret@127.0.0.1:5123/?heartbeat=5"
