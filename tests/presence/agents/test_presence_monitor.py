"""services/presence/agents/presence_monitor.py: gateways' lists over the real broker, by a clock of the test's own."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, replace

import pytest

from services.common.events.places import PlaceReleased
from services.common.events.presence import GatewayConnections, ListenerEcho
from services.common.events.types import AgentConnection, ReleaseReason
from services.common.failure_detector import ECHO_LATE
from services.common.messaging import topology
from services.common.mongo.client import Database
from services.presence.agents import presence_monitor
from services.presence.agents.presence_monitor import AgentPresence, PresenceMonitor
from services.presence.agents.store import AgentStore
from services.presence.agents.transitions import close_session, close_undecided, go_offline
from services.presence.context import Context
from services.presence.settings import PresenceSettings
from services.presence.slots.rules import Agent
from tests.presence.conftest import Clock, EventObserver, account, counting_agents, eventually, there
from tests.support.servers import PATIENCE

AN = account("an", capacity=2)
GRACE = 2.5


@pytest.fixture
async def context(context: Context, clock: Clock) -> Context:
    """A context whose time passes only when the test says so."""
    return replace(context, clock=clock)


class Gateway:
    """Publishes its list of agents as a gateway does."""

    def __init__(self, context: Context) -> None:
        self._context, self.incarnation, self._counter = context, str(uuid.uuid4()), 0

    async def sends_list(
        self,
        *agents: str,
        leaving: bool = False,
        sessions: list[str] | None = None,
        active: dict[str, float] | None = None,
    ) -> None:
        """Its list; `sessions`: of each of these agents. Without them as a gateway of before 2.0 sends it."""
        self._counter += 1
        await self._context.publisher.publish(
            GatewayConnections(
                incarnation=self.incarnation,
                counter=self._counter,
                agents=[AgentConnection(agent_id=a, silent_for=0, sessions=sessions) for a in agents],
                active=active,
                leaving=leaving,
            )
        )


@dataclass(frozen=True)
class Replica:
    """The listener and the monitor of one process, with its context."""

    context: Context
    clock: Clock
    presence: AgentPresence
    monitor: PresenceMonitor

    async def gets_everything(self) -> None:
        """Returns when everything that was published before was received.

        A list of a gateway that leaves says so; what comes before this listener has its queue is lost.
        """
        mark = str(uuid.uuid4())
        async with asyncio.timeout(PATIENCE):
            while not self.presence.at_work(mark):
                await Gateway(self.context).sends_list(leaving=True, active={mark: 0.0})
                await asyncio.sleep(0.01)

    def gets_its_own_echo(self) -> None:
        """An echo came back."""
        listener = self.presence.listener
        listener.handle(ListenerEcho(listener=listener.id, counter=0))

    async def looks(self) -> None:
        """Judge by everything that was published before."""
        await self.gets_everything()
        await self.monitor.look()


def pass_time(clock: Clock, replicas: Iterable[Replica], seconds: float) -> None:
    """Time passes, in which these replicas get their own echo again and again."""
    while seconds > 0:
        step = min(seconds, topology.HEARTBEAT_INTERVAL)
        clock.later(step)
        for one in replicas:
            one.gets_its_own_echo()
        seconds -= step


@contextlib.asynccontextmanager
async def replica(
    url: str, context: Context, clock: Clock, grace: float = GRACE, echo: bool = True, runs: bool = False
) -> AsyncIterator[Replica]:
    """A replica that listens. `echo`: it gets its own echo over the broker. `runs`: the monitor judges by itself."""
    presence = AgentPresence(url, context.publisher, grace, context.undecided, clock.monotonic)
    made = Replica(context, clock, presence, PresenceMonitor(context, presence, grace))
    listener = presence.listener
    work = [listener.run(), *([listener.echo()] if echo else []), *([made.monitor.run()] if runs else [])]
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await made.gets_everything()
        if echo:

            async def up() -> bool:
                return listener.receives

            await eventually(up, "the listener to hear itself")
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def agent_of(context: Context) -> Agent:
    found = await context.stores.agents.agent(AN.id)
    assert found is not None
    return found


async def is_online(context: Context) -> bool:
    return (await agent_of(context)).online


async def is_offline(context: Context) -> bool:
    return not await is_online(context)


async def goes_after_a_full_grace(context: Context, clock: Clock, one: Replica) -> None:
    """Check that the agent is online until the grace period is over, and no longer."""
    pass_time(clock, [one], GRACE - 0.1)
    await one.looks()
    assert await is_online(context)
    pass_time(clock, [one], 0.2)
    await one.looks()
    assert await is_offline(context)


async def log_in(context: Context) -> str:
    await context.stores.agents.put_accounts([AN], context.clock())
    return (await context.stores.sessions.begin(AN.id, context.clock(), 12))[1]


async def test_who_used_their_console_lately_is_at_work(module_vhost_url: str, context: Context, clock: Clock) -> None:
    async with replica(module_vhost_url, context, clock) as one:
        gateway, presence = Gateway(context), one.presence
        await gateway.sends_list(AN.id)
        await gateway.sends_list(AN.id, active={AN.id: topology.ACTIVE_LASTS + 1, "bert": 1.0})
        await one.gets_everything()
        assert (presence.at_work(AN.id), presence.at_work("bert")) == (False, True)
        await gateway.sends_list(AN.id)  # a list without it takes nothing back
        await gateway.sends_list(AN.id, active={AN.id: 0.0})
        await one.gets_everything()
        assert (presence.at_work(AN.id), presence.at_work("bert")) == (True, True)
        clock.later(topology.ACTIVE_LASTS - 0.5)
        assert (presence.at_work(AN.id), presence.at_work("bert")) == (True, False)


async def test_comes_with_the_first_list_and_goes_after_the_grace(
    module_vhost_url: str, context: Context, clock: Clock, observer: EventObserver
) -> None:
    await log_in(context)
    async with replica(module_vhost_url, context, clock) as one:
        gateway = Gateway(context)
        await gateway.sends_list(AN.id)
        await one.looks()
        assert await is_online(context)
        assert await context.stores.agents.reserve(AN.id, "c", 1, clock())
        await one.looks()
        pass_time(clock, [one], GRACE * 1.5)
        await one.looks()
        assert await is_online(context), "in the list of a gateway"
        await gateway.sends_list(AN.id)  # their last sign of life
        await gateway.sends_list()
        await one.looks()
        await goes_after_a_full_grace(context, clock, one)
        await observer.catch_up(context.publisher)
        assert [r.reason for r in observer.seen(PlaceReleased)] == [ReleaseReason.AGENT_GONE]
        await gateway.sends_list(AN.id)
        await one.looks()
        assert await is_online(context)


async def test_a_gateway_that_dies_takes_its_agents_away(
    module_vhost_url: str, context: Context, clock: Clock, observer: EventObserver
) -> None:
    """It says nothing any more, and so nothing of its agents either."""
    await log_in(context)
    async with replica(module_vhost_url, context, clock) as one:
        await Gateway(context).sends_list(AN.id)
        await one.looks()
        assert await context.stores.agents.reserve(AN.id, "c", 1, clock())
        await one.looks()
        pass_time(clock, [one], one.presence.agents.gateway_late - 0.1)
        await one.looks()
        assert await is_online(context)
        pass_time(clock, [one], 0.2)
        await one.looks()
        assert await is_offline(context)
        (released,) = await observer.wait_for(PlaceReleased)
        assert (released.chat_id, released.reason) == ("c", ReleaseReason.AGENT_GONE)


class Rounds:
    """Counts the rounds of a monitor: each begins with the undecided sessions."""

    def __init__(self) -> None:
        self.number = 0

    async def close_undecided(self, context: Context) -> None:
        self.number += 1
        await close_undecided(context)

    async def more(self) -> None:
        """Returns when a round has begun and ended."""
        before = self.number

        async def two_later() -> bool:
            return self.number >= before + 2

        await eventually(two_later, "two rounds")


async def test_all_agents_are_not_read_while_the_lists_agree_and_one_who_left_is_back_at_once(
    module_vhost_url: str, context: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    rounds, real = Rounds(), AgentStore.online_ids

    async def online_ids(store: AgentStore, among: Collection[str] | None = None) -> set[str]:
        reads.extend([1] if among is None else [])
        return await real(store, among)

    monkeypatch.setattr(presence_monitor, "LOOK", 0.01)
    monkeypatch.setattr(presence_monitor, "close_undecided", rounds.close_undecided)
    await log_in(context)
    async with replica(module_vhost_url, context, clock, runs=True) as one:
        gateway = Gateway(context)
        await gateway.sends_list(AN.id)

        async def known() -> bool:
            return one.presence.online == {AN.id}

        await eventually(known, "online")
        await rounds.more()
        monkeypatch.setattr(AgentStore, "online_ids", online_ids)
        for _ in range(4):
            await gateway.sends_list(AN.id)
            await one.gets_everything()
            await rounds.more()
        assert not reads
        agent = await agent_of(context)
        assert await go_offline(replace(context, left=one.presence.left), agent, ReleaseReason.LOGGED_OUT)
        await eventually(lambda: is_online(context), "back")
        assert not reads
        await eventually(known, "known to be back")
        await rounds.more()
        reads.clear()
        clock.later(presence_monitor.ANYWAY)

        async def looked() -> bool:
            return bool(reads)

        await eventually(looked, "a look without any cause")


async def test_who_logs_in_costs_as_much_however_many_others_are_online(
    module_vhost_url: str, settings: PresenceSettings, db: Database, context: Context, clock: Clock
) -> None:
    """Another replica may have seen them first; then this one only learns of it."""
    others = [account(f"other{n}") for n in range(120)]
    newcomers = [account(f"new{n}") for n in range(3)]
    await context.stores.agents.put_accounts([*others, *newcomers], clock())
    await db["agents"].update_many({"_id": {"$in": [o.id for o in others]}}, {"$set": {"online": True}})
    with counting_agents(settings, db) as (stores, returned):
        async with replica(module_vhost_url, replace(context, stores=stores), clock) as one:
            gateway, listed = Gateway(context), [other.id for other in others]
            await gateway.sends_list(*listed)
            await one.looks()
            assert len(one.presence.online) == 120
            first, second, seen = newcomers
            for newcomer in (first, second):
                await context.stores.sessions.begin(newcomer.id, clock(), 12)
                before, listed = returned.documents, [*listed, newcomer.id]
                await gateway.sends_list(*listed)
                await one.looks()
                assert newcomer.id in await context.stores.agents.online_ids([newcomer.id])
                assert returned.documents - before <= 4
            await db["agents"].update_one({"_id": seen.id}, {"$set": {"online": True}})
            before = returned.documents
            await gateway.sends_list(*listed, seen.id)
            await one.looks()
            assert returned.documents - before == 1
            assert one.presence.online == {*listed, seen.id}


async def test_who_came_a_moment_ago_has_a_full_grace(module_vhost_url: str, context: Context, clock: Clock) -> None:
    """Their last sign of life before that is old, and not all agents were read since they came."""
    await log_in(context)
    async with replica(module_vhost_url, context, clock) as one:
        pass_time(clock, [one], GRACE * 2)
        await one.looks()
        agent = await agent_of(context)
        assert await context.stores.agents.set_online(AN.id, agent.v, clock())  # by another replica
        gateway = Gateway(context)
        await gateway.sends_list(AN.id)
        await one.looks()
        assert one.presence.online == {AN.id}
        await gateway.sends_list()
        await one.looks()
        await goes_after_a_full_grace(context, clock, one)


async def test_a_list_with_a_new_agent_is_processed_at_once(
    module_vhost_url: str, context: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the next look, which here is far away."""
    monkeypatch.setattr(presence_monitor, "LOOK", 600.0)
    await log_in(context)
    async with replica(module_vhost_url, context, clock, runs=True):
        await Gateway(context).sends_list(AN.id)
        await eventually(lambda: is_online(context), "online")


async def test_a_reload_within_the_grace_changes_nothing(module_vhost_url: str, context: Context, clock: Clock) -> None:
    await log_in(context)
    async with (
        replica(module_vhost_url, context, clock) as first,
        replica(module_vhost_url, context, clock) as second,
    ):
        both = (first, second)

        async def all_look() -> None:
            for one in both:
                await one.looks()

        here, there_ = Gateway(context), Gateway(context)
        await here.sends_list(AN.id)
        await all_look()
        await all_look()
        agent = await agent_of(context)
        assert agent.online
        await here.sends_list(leaving=True)
        await all_look()
        pass_time(clock, both, GRACE * 0.5)
        await all_look()
        await there_.sends_list(AN.id)
        await all_look()
        pass_time(clock, both, GRACE * 1.5)
        await all_look()
        now = await agent_of(context)
        assert (now.online, now.v) == (True, agent.v)


async def test_a_connection_without_a_session_sets_no_agent_online(
    module_vhost_url: str, context: Context, clock: Clock
) -> None:
    token = await log_in(context)
    async with replica(module_vhost_url, context, clock) as one:
        gateway = Gateway(context)
        await context.stores.sessions.end(token, clock())
        for _ in range(2):
            await gateway.sends_list(AN.id)
            await one.looks()
            assert await is_offline(context)


async def test_a_fresh_listener_gives_everyone_a_full_grace(
    module_vhost_url: str, context: Context, clock: Clock
) -> None:
    """Presence was away, or is new: nobody is in its lists yet."""
    await there(context.stores, AN)
    async with replica(module_vhost_url, context, clock) as one:
        await one.looks()
        await goes_after_a_full_grace(context, clock, one)


async def test_an_agent_set_online_by_another_replica_is_not_offline_for_this_one(
    module_vhost_url: str, context: Context, clock: Clock
) -> None:
    async with replica(module_vhost_url, context, clock) as one:
        await one.looks()
        pass_time(clock, [one], GRACE * 1.2)  # they were in no list for longer than the grace period
        await there(context.stores, AN)
        await one.looks()
        await goes_after_a_full_grace(context, clock, one)


async def test_a_listener_without_its_own_echo_judges_no_agent(
    module_vhost_url: str, context: Context, clock: Clock
) -> None:
    await there(context.stores, AN)
    async with replica(module_vhost_url, context, clock, echo=False) as one:
        await one.looks()
        clock.later(GRACE * 2)
        await one.looks()
        assert await is_online(context)
        assert not one.presence.listener.receives
        one.gets_its_own_echo()
        assert one.presence.listener.receives
        await one.looks()
        clock.later(ECHO_LATE + GRACE)  # deaf again
        assert not one.presence.listener.receives
        await one.looks()
        assert await is_online(context)


async def test_a_listener_without_its_own_echo_brings_no_agent_back(
    module_vhost_url: str, context: Context, clock: Clock
) -> None:
    """Its last list is old: another replica may have judged since."""
    await log_in(context)
    async with replica(module_vhost_url, context, clock, echo=False) as one:
        one.gets_its_own_echo()
        await Gateway(context).sends_list(AN.id)
        await one.looks()
        agent = await agent_of(context)
        assert agent.online
        clock.later(ECHO_LATE + 0.1)
        assert await go_offline(context, agent, ReleaseReason.AGENT_GONE)
        await one.looks()
        assert await is_offline(context)
        one.gets_its_own_echo()
        await Gateway(context).sends_list(AN.id)
        await one.looks()
        assert await is_online(context), "once it hears again"


# ── logging out where there are several sessions ─────────────────────────────────────────────────────────────────────


async def end(context: Context, token: str) -> None:
    session = await context.stores.sessions.end(token, context.clock())
    assert session is not None
    await close_session(context, session)


def context_of(presence: list[AgentPresence], context: Context) -> Context:
    """A context for one process, whose presence stands in the list as soon as it is made."""
    return replace(
        context,
        undecided={},
        connected=lambda *asked: presence[0].connected(*asked),
        left=lambda agent_id: presence[0].left(agent_id),
    )


@contextlib.asynccontextmanager
async def replicas(url: str, context: Context, clock: Clock, number: int) -> AsyncIterator[list[Replica]]:
    """So many processes of presence that judge by themselves, each with a context of its own."""
    async with contextlib.AsyncExitStack() as stack:
        made: list[Replica] = []
        for _ in range(number):
            presence: list[AgentPresence] = []
            own = context_of(presence, context)
            one = await stack.enter_async_context(replica(url, own, clock, grace=30, runs=True))
            presence.append(one.presence)
            made.append(one)
        yield made


def listen_for_long(clock: Clock, made: Iterable[Replica]) -> None:
    """So much time passes that these replicas have a list of every gateway."""
    pass_time(clock, made, presence_monitor.KNOWN + 0.1)


async def two_sessions(context: Context) -> tuple[str, str, str]:
    """The id and the token of one, and the id of another."""
    await context.stores.agents.put_accounts([AN], context.clock())
    one, token = await context.stores.sessions.begin(AN.id, context.clock(), 12)
    return one.id, token, (await context.stores.sessions.begin(AN.id, context.clock(), 12))[0].id


async def test_a_session_without_a_websocket_keeps_no_agent_online(
    module_vhost_url: str, context: Context, clock: Clock, observer: EventObserver
) -> None:
    """Of two replicas one is asked; the list that still names the closing websocket brings the agent back in none."""
    async with replicas(module_vhost_url, context, clock, 2) as made:
        listen_for_long(clock, made)
        session, token, _ = await two_sessions(context)
        gateway = Gateway(context)
        await gateway.sends_list(AN.id, sessions=[session])
        await eventually(lambda: is_online(context), "online")
        for one in made:
            await one.gets_everything()
        assert await context.stores.agents.reserve(AN.id, "c", 1, clock())
        await end(made[0].context, token)
        assert await is_offline(context)
        await observer.catch_up(context.publisher)
        assert [r.reason for r in observer.seen(PlaceReleased)] == [ReleaseReason.LOGGED_OUT]
        for _ in range(2):
            await gateway.sends_list(AN.id, sessions=[session])
            for one in made:
                await one.looks()
                assert await is_offline(context)


async def test_a_websocket_of_another_session_at_another_gateway_keeps_the_agent_in(
    module_vhost_url: str, context: Context, db: Database, clock: Clock
) -> None:
    async with replicas(module_vhost_url, context, clock, 2) as made:
        listen_for_long(clock, made)
        session, token, other = await two_sessions(context)
        here, there_ = Gateway(context), Gateway(context)
        await here.sends_list(AN.id, sessions=[session])
        await there_.sends_list(AN.id, sessions=[other])
        await eventually(lambda: is_online(context), "online")
        for one in made:
            await one.gets_everything()
        v = (await agent_of(context)).v
        await end(made[0].context, token)
        assert made[0].context.undecided, "a list of before the logout proves nothing"
        clock.later(presence_monitor.SHOWN_AFTER + 0.1)
        await here.sends_list()
        await there_.sends_list(AN.id, sessions=[other])

        async def decided() -> bool:
            known = await db["sessions"].count_documents({})
            return not made[0].context.undecided and known == 1

        await eventually(decided, "the decision, after which the session is forgotten")
        now = await agent_of(context)
        assert (now.online, now.v) == (True, v)


async def test_a_list_that_is_older_than_the_logout_keeps_the_agent_in_until_the_next_one_alone(
    module_vhost_url: str, context: Context, clock: Clock
) -> None:
    async with replicas(module_vhost_url, context, clock, 1) as made:
        listen_for_long(clock, made)
        session, token, other = await two_sessions(context)
        gateway = Gateway(context)
        await gateway.sends_list(AN.id, sessions=[session, other])
        await eventually(lambda: is_online(context), "online")
        await end(made[0].context, token)
        assert await is_online(context)
        await gateway.sends_list()  # both websockets have closed
        await eventually(lambda: is_offline(context), "offline at the next list, not after the grace")


async def test_a_replica_that_has_just_started_decides_nothing(
    module_vhost_url: str, context: Context, clock: Clock
) -> None:
    async with replicas(module_vhost_url, context, clock, 1) as made:
        session, token, _ = await two_sessions(context)
        await Gateway(context).sends_list(AN.id, sessions=[session])
        await eventually(lambda: is_online(context), "online")
        (one,) = made
        assert one.presence.connected(AN.id, ["another"], 0.0) is None
        await end(one.context, token)
        assert await is_online(context)
        listen_for_long(clock, made)
        await eventually(lambda: is_offline(context), "offline once it has listened for long enough")


async def test_an_agent_of_a_former_gateway_stays_by_any_session(
    module_vhost_url: str, context: Context, db: Database, clock: Clock
) -> None:
    """It names no sessions: who is connected there may have any of them open."""
    async with replicas(module_vhost_url, context, clock, 1) as made:
        listen_for_long(clock, made)
        _, token, _ = await two_sessions(context)
        gateway = Gateway(context)
        await gateway.sends_list(AN.id)
        await eventually(lambda: is_online(context), "online")
        await end(made[0].context, token)
        clock.later(presence_monitor.SHOWN_AFTER + 0.1)
        await gateway.sends_list(AN.id)

        async def decided() -> bool:
            return await db["sessions"].count_documents({}) == 1

        await eventually(decided, "the decision, after which the session is forgotten")
        assert await is_online(context)
