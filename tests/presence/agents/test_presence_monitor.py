"""services/presence/agents/presence_monitor.py: gateways' lists over the real broker, with a short grace."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.common import failure_detector
from services.common.clock import utcnow
from services.common.events.places import PlaceReleased
from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, ReleaseReason
from services.common.messaging import topology
from services.common.mongo.client import Database
from services.presence.agents import presence_monitor, session_store, store
from services.presence.agents.presence_monitor import Listener, PresenceMonitor
from services.presence.publisher import Context, close_session, depart
from tests.presence.conftest import Ear, account, eventually, there

AN = account("an", capacity=2)
GRACE = 2.5


class Gateway:
    """Tells its list of agents as a gateway does."""

    def __init__(self, context: Context) -> None:
        self._desk, self.incarnation, self._counter = context, str(uuid.uuid4()), 0

    async def tells(
        self,
        *agents: str,
        leaving: bool = False,
        sessions: list[str] | None = None,
        active: dict[str, float] | None = None,
    ) -> None:
        """Its list; `sessions`: of each of these agents. Without them as a gateway of before 1.2 tells it."""
        self._counter += 1
        await self._desk.publisher.publish(
            GatewayConnections(
                incarnation=self.incarnation,
                counter=self._counter,
                agents=[AgentConnection(agent_id=a, silent_for=0, sessions=sessions) for a in agents],
                active=active,
                leaving=leaving,
            )
        )


@contextlib.asynccontextmanager
async def replica(url: str, context: Context, grace: float = GRACE, echo: bool = True) -> AsyncIterator[Listener]:
    """A listener and its judge, as one process has them."""
    listener = Listener(url, context, grace)
    runs = [listener.run(), PresenceMonitor(context, listener, grace).run(), *([listener.echo()] if echo else [])]
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        if echo:

            async def up() -> bool:
                return listener.up

            await eventually(up, "the listener to hear itself")
        yield listener
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def is_online(context: Context) -> bool:
    found = await store.agent(context.db, AN.id)
    return found is not None and found.online


async def is_offline(context: Context) -> bool:
    return not await is_online(context)


async def log_in(context: Context) -> str:
    await store.put_accounts(context.db, [AN], utcnow())
    return (await session_store.begin(context.db, AN.id, utcnow(), 12))[1]


async def test_who_used_their_console_lately_is_at_work(module_vhost_url: str, context: Context) -> None:
    async with replica(module_vhost_url, context) as listener:
        gateway = Gateway(context)
        await gateway.tells(AN.id)
        assert not listener.at_work(AN.id)
        await gateway.tells(AN.id, active={AN.id: topology.ACTIVE_LASTS + 1, "bert": 1.0})

        async def heard() -> bool:
            return listener.at_work("bert")

        await eventually(heard, "the list to be heard")
        assert not listener.at_work(AN.id)
        await gateway.tells(AN.id)  # a list without it takes nothing back
        await gateway.tells(AN.id, active={AN.id: 0.0})

        async def both() -> bool:
            return listener.at_work(AN.id) and listener.at_work("bert")

        await eventually(both, "both at work")


async def test_comes_with_the_first_list_and_goes_after_the_grace(
    module_vhost_url: str, context: Context, ear: Ear
) -> None:
    await log_in(context)
    async with replica(module_vhost_url, context):
        gateway = Gateway(context)
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(context), "online")
        assert await store.claim(context.db, AN.id, "c", 1, utcnow())
        await asyncio.sleep(GRACE * 1.5)
        assert await is_online(context)  # in the list of a gateway
        await gateway.tells(AN.id)  # his last sign of life
        left = time.monotonic()
        await gateway.tells()
        await eventually(lambda: is_offline(context), "gone")
        assert time.monotonic() - left >= GRACE * 0.9
        assert [r.reason for r in await ear.hear(PlaceReleased)] == [ReleaseReason.AGENT_GONE]
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(context), "back")


async def test_nobody_is_looked_for_while_all_is_as_heard_and_who_left_is_back_at_once(
    module_vhost_url: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, real = [], store.online_ids

    async def online_ids(db: Database) -> set[str]:
        reads.append(time.monotonic())
        return await real(db)

    monkeypatch.setattr(presence_monitor, "ANYWAY", 600.0)
    await log_in(context)
    async with replica(module_vhost_url, context) as listener:
        gateway = Gateway(context)
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(context), "online")
        await asyncio.sleep(0.3)
        monkeypatch.setattr(store, "online_ids", online_ids)
        for _ in range(4):
            await gateway.tells(AN.id)
            await asyncio.sleep(0.4)
        assert not reads
        agent = await store.agent(context.db, AN.id)
        assert agent is not None
        assert await depart(replace(context, left=listener.online.discard), agent, ReleaseReason.LOGGED_OUT)
        await eventually(lambda: is_online(context), "back", 30)


async def test_a_list_with_someone_new_is_looked_at_at_once(
    module_vhost_url: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the next look, which here is far away."""
    monkeypatch.setattr(presence_monitor, "LOOK", 600.0)
    await log_in(context)
    async with replica(module_vhost_url, context):
        await Gateway(context).tells(AN.id)
        await eventually(lambda: is_online(context), "online")


async def test_a_reload_within_the_grace_changes_nothing(module_vhost_url: str, context: Context, ear: Ear) -> None:
    await log_in(context)
    async with replica(module_vhost_url, context), replica(module_vhost_url, context):
        one, two = Gateway(context), Gateway(context)
        await one.tells(AN.id)
        await eventually(lambda: is_online(context), "online")
        v = (await store.colleagues(context.db, None, [AN.id]))[0].v
        await one.tells(leaving=True)
        await asyncio.sleep(GRACE * 0.5)
        await two.tells(AN.id)
        await asyncio.sleep(GRACE * 1.5)
        (now,) = await store.colleagues(context.db, None, [AN.id])
        assert (now.online, now.v) == (True, v)


async def test_a_connection_without_a_session_puts_nobody_online(module_vhost_url: str, context: Context) -> None:
    token = await log_in(context)
    async with replica(module_vhost_url, context):
        gateway = Gateway(context)
        await session_store.end(context.db, token, utcnow())
        for _ in range(10):
            await gateway.tells(AN.id)
            await asyncio.sleep(0.1)
        assert await is_offline(context)


async def test_a_fresh_listener_gives_everyone_a_full_grace(module_vhost_url: str, context: Context) -> None:
    """Presence was away, or is new: nobody is in its lists yet."""
    await there(context.db, AN)
    began = time.monotonic()
    async with replica(module_vhost_url, context):
        await eventually(lambda: is_offline(context), "gone")
        assert time.monotonic() - began >= GRACE


async def test_who_came_by_another_replica_is_not_gone_for_this_one(module_vhost_url: str, context: Context) -> None:
    async with replica(module_vhost_url, context):
        await asyncio.sleep(GRACE * 1.2)  # it has never heard of him for longer than the grace
        await there(context.db, AN)
        came = time.monotonic()
        await eventually(lambda: is_offline(context), "gone")
        assert time.monotonic() - came >= GRACE * 0.9


async def test_a_deaf_listener_judges_nobody(
    module_vhost_url: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_detector, "ECHO_LATE", 0.3)
    await there(context.db, AN)
    async with replica(module_vhost_url, context, echo=False) as listener:
        await asyncio.sleep(GRACE * 2)
        assert await is_online(context)
        assert not listener.up
        listener.liveness.echo(time.monotonic())
        await asyncio.sleep(GRACE * 2)  # deaf again after 0.3 s
        assert await is_online(context)


async def test_a_deaf_listener_brings_nobody_back(
    module_vhost_url: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last list is old: another replica may have judged since."""
    await log_in(context)
    async with replica(module_vhost_url, context, echo=False) as listener:
        await listener._link.up.wait()
        listener.liveness.echo(time.monotonic())
        await Gateway(context).tells(AN.id)
        await eventually(lambda: is_online(context), "online")
        monkeypatch.setattr(failure_detector, "ECHO_LATE", 0.0)
        await asyncio.sleep(0.2)  # a look that was under way
        agent = await store.agent(context.db, AN.id)
        assert agent is not None
        await depart(context, agent, ReleaseReason.AGENT_GONE)
        await asyncio.sleep(1.2)
        assert await is_offline(context)


# ── logging out where there are several sessions ─────────────────────────────────────────────────────────────────────


async def end(context: Context, token: str) -> None:
    session = await session_store.end(context.db, token, utcnow())
    assert session is not None
    await close_session(context, session)


@contextlib.asynccontextmanager
async def replicas(url: str, context: Context, number: int) -> AsyncIterator[list[tuple[Context, Listener]]]:
    """So many processes of presence, each with a context of its own, that have listened for long enough."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            listener: list[Listener] = []
            own = replace(
                context,
                undecided={},
                connected=lambda *asked, listener=listener: listener[0].connected(*asked),
                left=lambda agent_id, listener=listener: listener[0].online.discard(agent_id),
            )
            listener.append(await stack.enter_async_context(replica(url, own, grace=30)))
            made.append((own, listener[0]))
        yield made


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_monitor, "KNOWN", 0.0)


async def two_sessions(context: Context) -> tuple[str, str, str]:
    """The id and the token of one, and the id of another."""
    await store.put_accounts(context.db, [AN], utcnow())
    one, token = await session_store.begin(context.db, AN.id, utcnow(), 12)
    return one.id, token, (await session_store.begin(context.db, AN.id, utcnow(), 12))[0].id


@pytest.mark.usefixtures("knowing")
async def test_a_session_without_a_websocket_keeps_nobody_in(module_vhost_url: str, context: Context, ear: Ear) -> None:
    """Of two replicas one is asked; the list that still names the closing websocket brings the agent back in none."""
    async with replicas(module_vhost_url, context, 2) as made:
        one, token, _ = await two_sessions(context)
        gateway = Gateway(context)
        await gateway.tells(AN.id, sessions=[one])
        await eventually(lambda: is_online(context), "online", 5)
        assert await store.claim(context.db, AN.id, "c", 1, utcnow())
        await end(made[0][0], token)
        assert await is_offline(context)
        assert [r.reason for r in await ear.hear(PlaceReleased)] == [ReleaseReason.LOGGED_OUT]
        for _ in range(4):
            await gateway.tells(AN.id, sessions=[one])
            await asyncio.sleep(0.3)
            assert await is_offline(context)


@pytest.mark.usefixtures("knowing")
async def test_a_websocket_of_another_session_at_another_gateway_keeps_the_agent_in(
    module_vhost_url: str, context: Context
) -> None:
    async with replicas(module_vhost_url, context, 2) as made:
        one, token, other = await two_sessions(context)
        here, there_ = Gateway(context), Gateway(context)
        await here.tells(AN.id, sessions=[one])
        await there_.tells(AN.id, sessions=[other])
        await eventually(lambda: is_online(context), "online", 5)

        async def all_know() -> bool:
            return all({one, other} <= listener.sessions.present(time.monotonic()) for _, listener in made)

        await eventually(all_know, "both lists")
        v = (await store.colleagues(context.db, None, [AN.id]))[0].v
        await end(made[0][0], token)
        assert made[0][0].undecided, "a list of before the logout proves nothing"
        await asyncio.sleep(presence_monitor.SETTLED)
        await here.tells()
        await there_.tells(AN.id, sessions=[other])

        async def decided() -> bool:
            return not made[0][0].undecided and await context.db["sessions"].count_documents({}) == 1

        await eventually(decided, "the decision, after which the session is forgotten")
        (now,) = await store.colleagues(context.db, None, [AN.id])
        assert (now.online, now.v) == (True, v)


@pytest.mark.usefixtures("knowing")
async def test_a_list_that_is_older_than_the_logout_keeps_the_agent_in_until_the_next_one_alone(
    module_vhost_url: str, context: Context
) -> None:
    async with replicas(module_vhost_url, context, 1) as made:
        one, token, other = await two_sessions(context)
        gateway = Gateway(context)
        await gateway.tells(AN.id, sessions=[one, other])
        await eventually(lambda: is_online(context), "online", 5)
        await end(made[0][0], token)
        assert await is_online(context)
        await gateway.tells()  # both websockets have closed
        await eventually(lambda: is_offline(context), "offline at the next list", 5)  # the grace is 30 s


async def test_a_replica_that_has_just_started_decides_nothing(module_vhost_url: str, context: Context) -> None:
    async with replicas(module_vhost_url, context, 1) as made:
        one, token, _ = await two_sessions(context)
        await Gateway(context).tells(AN.id, sessions=[one])
        await eventually(lambda: is_online(context), "online", 5)
        own, listener = made[0]
        assert listener.connected(AN.id, ["another"], 0.0) is None
        await end(own, token)
        assert await is_online(context)
        await eventually(lambda: is_offline(context), "offline once it has listened for long enough", 8)


@pytest.mark.usefixtures("knowing")
async def test_an_agent_of_a_former_gateway_stays_by_any_session(module_vhost_url: str, context: Context) -> None:
    """It names no sessions: who is connected there may have any of them open."""
    async with replicas(module_vhost_url, context, 1) as made:
        _, token, _ = await two_sessions(context)
        gateway = Gateway(context)
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(context), "online", 5)
        await end(made[0][0], token)
        await asyncio.sleep(presence_monitor.SETTLED)
        await gateway.tells(AN.id)
        await asyncio.sleep(0.5)
        assert await is_online(context)
