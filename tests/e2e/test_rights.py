"""Each service with the rights on the broker that deploy/components/rabbitmq gives it: enough for all, and no more."""

import asyncio
import base64
import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import aio_pika
import pytest
import yaml
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused

from deploy.local import rabbitmq as node
from deploy.local.settings import SERVICES
from services.common.events.codec import AnyEvent
from services.common.messaging import topology
from services.common.messaging.declarations import declare_topology
from tests.e2e.test_files import PNG
from tests.support.clients import agent, citizen, new_id, pair, say, until_available
from tests.support.faults import ready
from tests.support.lasting_clients import talking
from tests.support.servers import (
    OUR_VARIABLES,
    PATIENCE,
    ROOT,
    Broker,
    System,
    patient,
    running_system,
    unique,
    wait_for,
)

KEDA = ROOT / "deploy" / "components" / "keda" / "queues.yaml"
USERS = ROOT / "deploy" / "components" / "rabbitmq" / "users.yaml"
COMMAND = f"/bin/sh -c 'RABBITMQ_URL=$URL_{{name}} exec {sys.executable} -m services.{{name}}'"


@dataclass(frozen=True)
class Rights:
    """A virtual host with the topology and the users of the manifests, each with an address of their own."""

    broker: Broker
    vhost: str
    admin: str
    passwords: dict[str, str]

    def url(self, user: str) -> str:
        return self.admin.replace(f"{node.USER}:{self.broker.node.password}@", f"{user}:{self.passwords[user]}@")

    def connections(self) -> dict[str, str]:
        """The name and the user of each, some seconds after they were made (the management plugin collects them)."""
        found = self.broker.api("GET", f"/api/vhosts/{quote(self.vhost)}/connections")
        return {one["name"]: one["user"] for one in found if "user" in one}

    def links(self) -> dict[str, str]:
        """The connections of all four services, as soon as they are known."""
        wait_for(lambda: set(SERVICES) <= set(self.connections().values()), "all four's links")
        return {name: user for name, user in self.connections().items() if user in SERVICES}

    def cut(self, link: str) -> None:
        """Close a connection, unless it has ended by itself."""
        with contextlib.suppress(urllib.error.HTTPError):
            self.broker.api("DELETE", f"/api/connections/{quote(link)}")


def declared(kind: str = "Permission") -> dict[str, dict[str, str]]:
    """The permissions of each user, as the manifests have them."""
    found = [one for one in yaml.safe_load_all(USERS.read_text()) if one["kind"] == kind]
    assert {one["spec"]["vhost"] for one in found} == {"/"}
    return {one["metadata"]["name"]: one["spec"]["permissions"] for one in found}


@pytest.fixture(scope="module")
def rights(broker: Broker) -> Iterator[Rights]:
    vhost = unique("rights-")
    made = Rights(broker, vhost, patient(broker.make_vhost(vhost)), {user: secrets.token_hex(8) for user in declared()})
    asyncio.run(declare(made.admin))
    for user, permissions in declared().items():
        broker.api("PUT", f"/api/users/{user}", {"password": made.passwords[user], "tags": ""})
        broker.api("PUT", f"/api/permissions/{vhost}/{user}", permissions)
    for user, permissions in declared("TopicPermission").items():
        broker.api("PUT", f"/api/topic-permissions/{vhost}/{user}", permissions)
    yield made
    for user in made.passwords:
        broker.api("DELETE", f"/api/users/{user}")
    broker.remove_vhost(vhost)


async def declare(url: str) -> None:
    """As the operator of RabbitMQ does before any service starts."""
    async with await aio_pika.connect(url) as connection:
        await declare_topology(await connection.channel())


@pytest.fixture(scope="module")
def confined(rights: Rights, mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system, each service as its own user."""
    urls = {f"URL_{name}": rights.url(name) for name in SERVICES}
    servers = {"RABBITMQ_URL": rights.admin, "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{rights.vhost}-"}
    home: Path = tmp_path_factory.mktemp("confined")
    with running_system(home, COMMAND, RATE_LIMITS="off", TOPOLOGY="given", **servers, **urls) as running:
        yield running


async def test_with_its_own_rights_every_service_does_all_its_work(confined: System, rights: Rights) -> None:
    base = confined.base_url
    await asyncio.to_thread(rights.links)
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, question="Waar vind ik mijn attest?")
        asked = await say(theirs, "Hallo")
        await ours.expect("message", id=asked["id"])
        await ours.send(type="typing", chat_id=visitor.chat_id, active=True)
        await theirs.expect("typing", active=True)
        file = await (await visitor.upload("gevel.png", PNG)).json()
        await theirs.send(type="message", id=new_id(), attachment=file["id"])
        await ours.expect("message", attachment=lambda a: a is not None)
        note = new_id()
        await ours.send(type="note", chat_id=visitor.chat_id, id=note, text="Let op")
        await ours.expect("note", id=note)
        async with agent(base, "bert") as bert:
            await until_available(an, bert)
            await ours.send(type="transfer", chat_id=visitor.chat_id, to={"agent": bert.id})
            await bert.socket.expect("assigned", chat=lambda c: c["chat_id"] == visitor.chat_id)
            answer = await say(bert.socket, "Dag, met Bert", visitor.chat_id)
            await theirs.expect("message", id=answer["id"])
            await bert.socket.send(type="close", chat_id=visitor.chat_id)
            assert await theirs.closed() == 1000
    assert not re.search(r"link_lost|AccessRefused|ACCESS_REFUSED", confined.log())


async def test_links_are_made_again_with_the_same_rights(confined: System, rights: Rights) -> None:
    async with talking(confined.base_url) as talk:
        for name in await asyncio.to_thread(rights.links):
            rights.cut(name)
        await talk.flows()
        await talk.check()

    def lost() -> set[str]:
        return set(re.findall(r"link_lost +link=([a-z]+)", confined.log()))

    await asyncio.to_thread(wait_for, lambda: lost() == set(SERVICES), "every service to say that it lost its link")
    await ready(confined)
    assert not re.search(r"AccessRefused|ACCESS_REFUSED", confined.log())


@pytest.mark.parametrize("user", [*SERVICES, "operator"])
async def test_no_user_of_the_broker_may_do_more(rights: Rights, user: str) -> None:
    others = [f"{name}.chats" for name in ("presence", "routing") if name != user]
    others += [] if user == "transcripts" else ["transcripts.messages"]
    async with await aio_pika.connect(rights.url(user)) as connection:
        for queue in others:
            with pytest.raises(ChannelAccessRefused):
                await (await (await connection.channel()).get_queue(queue, ensure=False)).get(no_ack=False)
        for call in ("declare_queue", "declare_exchange"):
            with pytest.raises(ChannelAccessRefused):
                await getattr(await connection.channel(), call)("something")
        where, key = ("eloket", "chat.opened") if user == "operator" else ("", "routing.chats")
        channel = await connection.channel()
        exchange = await channel.get_exchange(where, ensure=False) if where else channel.default_exchange
        with pytest.raises(ChannelAccessRefused):
            await exchange.publish(aio_pika.Message(b"{}"), key)


async def test_the_operator_sees_to_dead_letters(rights: Rights) -> None:
    async with await aio_pika.connect(rights.admin) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(b"no event"), "transcripts.dead-letters")
    kept = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
    for arguments in (["list"], ["show", "transcripts"], ["discard", "transcripts", "--all", "--yes"]):
        command = [sys.executable, "-m", "deploy.dead_letters", *arguments]
        env = {**kept, "RABBITMQ_URL": rights.url("operator")}
        done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "1 discarded" in done.stdout


ATTACKS: dict[str, Callable[[AbstractChannel, str], Awaitable[object]]] = {
    "delete another's queue": lambda channel, _: channel.queue_delete("transcripts.silences"),
    "delete its own durable queue": lambda channel, user: channel.queue_delete(f"{user}.dead-letters"),
    "delete the exchange": lambda channel, _: channel.exchange_delete("eloket"),
    "purge the dead letters of another": lambda channel, user: purge(
        channel, "routing.dead-letters" if user == "presence" else "presence.dead-letters"
    ),
    "bind another's queue": lambda channel, _: bind(channel, "transcripts.messages", "chat.opened"),
    "hear everything": lambda channel, _: subscribe(channel, "#"),
    "hear all messages": lambda channel, _: subscribe(channel, "message.stored.*"),
    "hear every chat": lambda channel, _: subscribe(channel, "*.*.*"),
}
FORGED = {
    "gateway": ["chat.state.x", "session.ended.x", "message.stored.x", "place.claimed", "configuration.version"],
    "presence": ["message.posted", "chat.state.x", "close.requested"],
    "routing": ["message.stored.x", "place.claimed", "chat.opened", "configuration.version"],
    "transcripts": ["chat.state.x", "chat.opened", "agent.changed.x", "configuration.version"],
}


async def bind(channel: AbstractChannel, queue: str, key: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind("eloket", key)


async def purge(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).purge()


async def take_one(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).get(no_ack=True)


async def refused(attempt: Awaitable[object]) -> bool:
    try:
        await attempt
    except ChannelAccessRefused:
        return True
    return False


async def subscribe(channel: AbstractChannel, key: str) -> None:
    """Bind a queue of its own, which it may have, to what it may not consume."""
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind("eloket", key)


@pytest.mark.parametrize("user", SERVICES)
async def test_who_took_over_a_service_can_neither_delete_nor_listen_in_nor_speak_for_others(
    rights: Rights, user: str
) -> None:
    async with await aio_pika.connect(rights.url(user)) as connection:
        for attack, attempt in ATTACKS.items():
            assert await refused(attempt(await connection.channel(), user)), f"{user} could {attack}"
        for key in FORGED[user]:
            channel = await connection.channel()
            exchange = await channel.get_exchange("eloket", ensure=False)
            assert await refused(exchange.publish(aio_pika.Message(b"{}"), key)), f"{user} could publish {key}"


def test_every_event_has_a_service_that_may_publish_it() -> None:
    known = {kind.model_fields["type"].default for kind in get_args(get_args(AnyEvent)[0])}
    assert known == {type_ for types in topology.PUBLISHED.values() for type_ in types}


async def test_the_scaler_sees_how_long_queues_are_and_can_do_nothing_to_them(rights: Rights) -> None:
    """KEDA's user: the tag `monitoring`, and a permission to nothing, without which the API shows it no queue."""
    made = {one["kind"]: one["spec"] for one in yaml.safe_load_all(KEDA.read_text())}
    name, password = unique("keda-"), secrets.token_hex(8)
    user = {"password": password, "tags": ",".join(made["User"]["tags"])}
    rights.broker.api("PUT", f"/api/users/{name}", user)
    rights.broker.api("PUT", f"/api/permissions/{rights.vhost}/{name}", made["Permission"]["permissions"])
    queue = f"/api/queues/{quote(rights.vhost)}/transcripts.messages"

    def ask(method: str, path: str, body: object = None) -> int:
        token = base64.b64encode(f"{name}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(rights.broker.management + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    try:
        assert ask("GET", queue) == 200
        take = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
        assert ask("POST", f"{queue}/get", take) in (401, 403)
        assert ask("DELETE", f"{queue}/contents") in (401, 403)
        assert ask("DELETE", queue) in (401, 403)
        url = rights.admin.replace(f"{node.USER}:{rights.broker.node.password}@", f"{name}:{password}@")
        async with await aio_pika.connect(url) as connection:
            assert await refused(purge(await connection.channel(), "transcripts.messages"))
            assert await refused(take_one(await connection.channel(), "transcripts.messages"))
            assert await refused(subscribe(await connection.channel(), "chat.state.*"))
    finally:
        rights.broker.api("DELETE", f"/api/users/{name}")
