"""services/presence/heartbeats.py: gateways' lists over the real broker, with a short grace."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services import liveness, topology
from services.clock import utcnow
from services.contracts import AgentConnection, GatewayConnections, PlaceReleased, ReleaseReason
from services.database import Database
from services.presence import heartbeats, sessions, store
from services.presence.heartbeats import Judge, Listener
from services.presence.telling import Desk, close_session, depart

from .conftest import Ear, account, eventually, there

AN = account("an", capacity=2)
GRACE = 2.5


class Gateway:
    """Tells its list of agents as a gateway does."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self.incarnation, self._counter = desk, str(uuid.uuid4()), 0

    async def tells(
        self,
        *agents: str,
        leaving: bool = False,
        sessions: list[str] | None = None,
        active: dict[str, float] | None = None,
    ) -> None:
        """Its list; `sessions`: of each of these agents. Without them as a gateway of before 1.2 tells it."""
        self._counter += 1
        await self._desk.publisher.tell(
            GatewayConnections(
                incarnation=self.incarnation,
                counter=self._counter,
                agents=[AgentConnection(agent_id=a, silent_for=0, sessions=sessions) for a in agents],
                active=active,
                leaving=leaving,
            )
        )


@contextlib.asynccontextmanager
async def replica(url: str, desk: Desk, grace: float = GRACE, echo: bool = True) -> AsyncIterator[Listener]:
    """A listener and its judge, as one process has them."""
    listener = Listener(url, desk, grace)
    runs = [listener.run(), Judge(desk, listener, grace).run(), *([listener.echo()] if echo else [])]
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


async def is_online(desk: Desk) -> bool:
    found = await store.agent(desk.db, AN.id)
    return found is not None and found.online


async def is_offline(desk: Desk) -> bool:
    return not await is_online(desk)


async def log_in(desk: Desk) -> str:
    await store.put_accounts(desk.db, [AN], utcnow())
    return (await sessions.begin(desk.db, AN.id, utcnow(), 12))[1]


async def test_who_used_their_console_lately_is_at_work(module_vhost_url: str, desk: Desk) -> None:
    async with replica(module_vhost_url, desk) as listener:
        gateway = Gateway(desk)
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


async def test_comes_with_the_first_list_and_goes_after_the_grace(module_vhost_url: str, desk: Desk, ear: Ear) -> None:
    await log_in(desk)
    async with replica(module_vhost_url, desk):
        gateway = Gateway(desk)
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(desk), "online")
        assert await store.claim(desk.db, AN.id, "c", 1, utcnow())
        await asyncio.sleep(GRACE * 1.5)
        assert await is_online(desk)  # in the list of a gateway
        await gateway.tells(AN.id)  # his last sign of life
        left = time.monotonic()
        await gateway.tells()
        await eventually(lambda: is_offline(desk), "gone")
        assert time.monotonic() - left >= GRACE * 0.9
        assert [r.reason for r in await ear.hear(PlaceReleased)] == [ReleaseReason.AGENT_GONE]
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(desk), "back")


async def test_nobody_is_looked_for_while_all_is_as_heard_and_who_left_is_back_at_once(
    module_vhost_url: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, real = [], store.online_ids

    async def online_ids(db: Database) -> set[str]:
        reads.append(time.monotonic())
        return await real(db)

    monkeypatch.setattr(heartbeats, "ANYWAY", 600.0)
    await log_in(desk)
    async with replica(module_vhost_url, desk) as listener:
        gateway = Gateway(desk)
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(desk), "online")
        await asyncio.sleep(0.3)
        monkeypatch.setattr(store, "online_ids", online_ids)
        for _ in range(4):
            await gateway.tells(AN.id)
            await asyncio.sleep(0.4)
        assert not reads
        agent = await store.agent(desk.db, AN.id)
        assert agent is not None
        assert await depart(replace(desk, left=listener.online.discard), agent, ReleaseReason.LOGGED_OUT)
        await eventually(lambda: is_online(desk), "back", 30)


async def test_a_list_with_someone_new_is_looked_at_at_once(
    module_vhost_url: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the next look, which here is far away."""
    monkeypatch.setattr(heartbeats, "LOOK", 600.0)
    await log_in(desk)
    async with replica(module_vhost_url, desk):
        await Gateway(desk).tells(AN.id)
        await eventually(lambda: is_online(desk), "online")


async def test_a_reload_within_the_grace_changes_nothing(module_vhost_url: str, desk: Desk, ear: Ear) -> None:
    await log_in(desk)
    async with replica(module_vhost_url, desk), replica(module_vhost_url, desk):
        one, two = Gateway(desk), Gateway(desk)
        await one.tells(AN.id)
        await eventually(lambda: is_online(desk), "online")
        v = (await store.colleagues(desk.db, None, [AN.id]))[0].v
        await one.tells(leaving=True)
        await asyncio.sleep(GRACE * 0.5)
        await two.tells(AN.id)
        await asyncio.sleep(GRACE * 1.5)
        (now,) = await store.colleagues(desk.db, None, [AN.id])
        assert (now.online, now.v) == (True, v)


async def test_a_connection_without_a_session_puts_nobody_online(module_vhost_url: str, desk: Desk) -> None:
    token = await log_in(desk)
    async with replica(module_vhost_url, desk):
        gateway = Gateway(desk)
        await sessions.end(desk.db, token, utcnow())
        for _ in range(10):
            await gateway.tells(AN.id)
            await asyncio.sleep(0.1)
        assert await is_offline(desk)


async def test_a_fresh_listener_gives_everyone_a_full_grace(module_vhost_url: str, desk: Desk) -> None:
    """Presence was away, or is new: nobody is in its lists yet."""
    await there(desk.db, AN)
    began = time.monotonic()
    async with replica(module_vhost_url, desk):
        await eventually(lambda: is_offline(desk), "gone")
        assert time.monotonic() - began >= GRACE


async def test_who_came_by_another_replica_is_not_gone_for_this_one(module_vhost_url: str, desk: Desk) -> None:
    async with replica(module_vhost_url, desk):
        await asyncio.sleep(GRACE * 1.2)  # it has never heard of him for longer than the grace
        await there(desk.db, AN)
        came = time.monotonic()
        await eventually(lambda: is_offline(desk), "gone")
        assert time.monotonic() - came >= GRACE * 0.9


async def test_a_deaf_listener_judges_nobody(
    module_vhost_url: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "ECHO_LATE", 0.3)
    await there(desk.db, AN)
    async with replica(module_vhost_url, desk, echo=False) as listener:
        await asyncio.sleep(GRACE * 2)
        assert await is_online(desk)
        assert not listener.up
        listener.liveness.echo(time.monotonic())
        await asyncio.sleep(GRACE * 2)  # deaf again after 0.3 s
        assert await is_online(desk)


async def test_a_deaf_listener_brings_nobody_back(
    module_vhost_url: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last list is old: another replica may have judged since."""
    await log_in(desk)
    async with replica(module_vhost_url, desk, echo=False) as listener:
        await listener._link.up.wait()
        listener.liveness.echo(time.monotonic())
        await Gateway(desk).tells(AN.id)
        await eventually(lambda: is_online(desk), "online")
        monkeypatch.setattr(liveness, "ECHO_LATE", 0.0)
        await asyncio.sleep(0.2)  # a look that was under way
        agent = await store.agent(desk.db, AN.id)
        assert agent is not None
        await depart(desk, agent, ReleaseReason.AGENT_GONE)
        await asyncio.sleep(1.2)
        assert await is_offline(desk)


# ── logging out where there are several sessions ─────────────────────────────────────────────────────────────────────


async def end(desk: Desk, token: str) -> None:
    session = await sessions.end(desk.db, token, utcnow())
    assert session is not None
    await close_session(desk, session)


@contextlib.asynccontextmanager
async def replicas(url: str, desk: Desk, number: int) -> AsyncIterator[list[tuple[Desk, Listener]]]:
    """So many processes of presence, each with a desk of its own, that have listened for long enough."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            listener: list[Listener] = []
            own = replace(
                desk,
                undecided={},
                connected=lambda *asked, listener=listener: listener[0].connected(*asked),
                left=lambda agent_id, listener=listener: listener[0].online.discard(agent_id),
            )
            listener.append(await stack.enter_async_context(replica(url, own, grace=30)))
            made.append((own, listener[0]))
        yield made


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "KNOWN", 0.0)


async def two_sessions(desk: Desk) -> tuple[str, str, str]:
    """The id and the token of one, and the id of another."""
    await store.put_accounts(desk.db, [AN], utcnow())
    one, token = await sessions.begin(desk.db, AN.id, utcnow(), 12)
    return one.id, token, (await sessions.begin(desk.db, AN.id, utcnow(), 12))[0].id


@pytest.mark.usefixtures("knowing")
async def test_a_session_without_a_websocket_keeps_nobody_in(module_vhost_url: str, desk: Desk, ear: Ear) -> None:
    """Of two replicas one is asked; the list that still names the closing websocket brings the agent back in none."""
    async with replicas(module_vhost_url, desk, 2) as made:
        one, token, _ = await two_sessions(desk)
        gateway = Gateway(desk)
        await gateway.tells(AN.id, sessions=[one])
        await eventually(lambda: is_online(desk), "online", 5)
        assert await store.claim(desk.db, AN.id, "c", 1, utcnow())
        await end(made[0][0], token)
        assert await is_offline(desk)
        assert [r.reason for r in await ear.hear(PlaceReleased)] == [ReleaseReason.LOGGED_OUT]
        for _ in range(4):
            await gateway.tells(AN.id, sessions=[one])
            await asyncio.sleep(0.3)
            assert await is_offline(desk)


@pytest.mark.usefixtures("knowing")
async def test_a_websocket_of_another_session_at_another_gateway_keeps_the_agent_in(
    module_vhost_url: str, desk: Desk
) -> None:
    async with replicas(module_vhost_url, desk, 2) as made:
        one, token, other = await two_sessions(desk)
        here, there_ = Gateway(desk), Gateway(desk)
        await here.tells(AN.id, sessions=[one])
        await there_.tells(AN.id, sessions=[other])
        await eventually(lambda: is_online(desk), "online", 5)

        async def all_know() -> bool:
            return all({one, other} <= listener.sessions.present(time.monotonic()) for _, listener in made)

        await eventually(all_know, "both lists")
        v = (await store.colleagues(desk.db, None, [AN.id]))[0].v
        await end(made[0][0], token)
        assert made[0][0].undecided, "a list of before the logout proves nothing"
        await asyncio.sleep(heartbeats.SETTLED)
        await here.tells()
        await there_.tells(AN.id, sessions=[other])

        async def decided() -> bool:
            return not made[0][0].undecided

        await eventually(decided, "the decision")
        (now,) = await store.colleagues(desk.db, None, [AN.id])
        assert (now.online, now.v) == (True, v)
        assert await desk.db["sessions"].count_documents({}) == 1


@pytest.mark.usefixtures("knowing")
async def test_a_list_that_is_older_than_the_logout_keeps_the_agent_in_until_the_next_one_alone(
    module_vhost_url: str, desk: Desk
) -> None:
    async with replicas(module_vhost_url, desk, 1) as made:
        one, token, other = await two_sessions(desk)
        gateway = Gateway(desk)
        await gateway.tells(AN.id, sessions=[one, other])
        await eventually(lambda: is_online(desk), "online", 5)
        await end(made[0][0], token)
        assert await is_online(desk)
        await gateway.tells()  # both websockets have closed
        await eventually(lambda: is_offline(desk), "offline at the next list", 5)  # the grace is 30 s


async def test_a_replica_that_has_just_started_decides_nothing(module_vhost_url: str, desk: Desk) -> None:
    async with replicas(module_vhost_url, desk, 1) as made:
        one, token, _ = await two_sessions(desk)
        await Gateway(desk).tells(AN.id, sessions=[one])
        await eventually(lambda: is_online(desk), "online", 5)
        own, listener = made[0]
        assert listener.connected(AN.id, ["another"], 0.0) is None
        await end(own, token)
        assert await is_online(desk)
        await eventually(lambda: is_offline(desk), "offline once it has listened for long enough", 8)


@pytest.mark.usefixtures("knowing")
async def test_an_agent_of_a_former_gateway_stays_by_any_session(module_vhost_url: str, desk: Desk) -> None:
    """It names no sessions: who is connected there may have any of them open."""
    async with replicas(module_vhost_url, desk, 1) as made:
        _, token, _ = await two_sessions(desk)
        gateway = Gateway(desk)
        await gateway.tells(AN.id)
        await eventually(lambda: is_online(desk), "online", 5)
        await end(made[0][0], token)
        await asyncio.sleep(heartbeats.SETTLED)
        await gateway.tells(AN.id)
        await asyncio.sleep(0.5)
        assert await is_online(desk)
