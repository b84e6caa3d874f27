"""Several replicas of each service behind its one port: any of them may be killed.

Meanwhile a citizen and an agent, each on a gateway of their own, go on talking, and others press the button.
"""

import asyncio
import contextlib
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.clients import WAIT, agent, begin, citizen
from tests.support.faults import SERVICES, ready, stopped, strike
from tests.support.lasting_clients import Lasting, Talk, lasting_citizen, talking
from tests.support.servers import PATIENCE, Broker, System, brisk, running_system

pytestmark = pytest.mark.e2e
ONE_AFTER_THE_OTHER = [f"{service}-{number}" for number in (1, 2) for service in SERVICES]
QUESTIONS = 20  # for each replica that stands still; about two of them meet it
NOTHING_DEAD = {f"{service}.dead-letters": 0 for service in SERVICES[1:]}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    """A system with two replicas of each service, whose processes these tests may kill."""
    servers = shared_servers | {"RABBITMQ_URL": brisk(shared_servers["RABBITMQ_URL"])}
    with running_system(tmp_path_factory.mktemp("pairs"), REPLICAS="2", RATE_LIMITS="off", **servers) as running:
        yield running


def vhost(url: str) -> str:
    return url.rsplit("/", 1)[1].split("?")[0]


def connected(system: System, gateway: str, party: str) -> int:
    """How many websockets of citizens, or of agents, this gateway says that it has."""
    with urllib.request.urlopen(f"{system.url(gateway)}/metrics", timeout=PATIENCE) as answer:
        found = re.search(rf'^eloket_gateway_connections{{party="{party}"}} (\S+)', answer.read().decode(), re.M)
    return int(float(found[1])) if found else 0


def places(system: System, party: str) -> dict[str, int]:
    return {gateway: connected(system, gateway, party) for gateway in system.replicas("gateway")}


async def reconnect(side: Lasting) -> None:
    """The participant's connection is closed; returns when they have another one."""
    welcomes = sum(frame["type"] == "welcome" for _, frame in side.frames)
    assert await side.hang_up()
    await side.until(lambda: sum(f["type"] == "welcome" for _, f in side.frames) > welcomes, "a new welcome")


async def apart(system: System, talk: Talk) -> None:
    """Returns when the two are on different gateways: the citizen connects again until it is so."""
    async with asyncio.timeout(WAIT):
        while (theirs := await only_one(system, "citizen")) == await only_one(system, "agent"):
            await reconnect(talk.citizen)
    print(f"\nthe citizen is on {theirs}")


async def only_one(system: System, party: str) -> str:
    """The gateway of the only connection of this party, as soon as those that were closed are not counted any more."""
    while sorted((found := places(system, party)).values()) != [0, 1]:
        await asyncio.sleep(0.02)
    return max(found, key=lambda gateway: found[gateway])


@contextlib.asynccontextmanager
async def staying(base: str, username: str) -> AsyncIterator[None]:
    """An agent who is there all the time: connects again whatever fails."""
    async with agent(base, username) as helper:
        lasting = Lasting(helper.http, f"{base}/ws/agent", lambda _: {"type": "hello", "chats": {}}, chat_id="none")
        running = asyncio.create_task(lasting.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_each_replica_in_turn_is_killed_while_two_talk_across_gateways(
    pairs: System, broker: Broker, module_vhost_url: str
) -> None:
    base = pairs.base_url
    assert sorted(name for name in pairs.pids() if name.split("-")[0] in SERVICES) == sorted(ONE_AFTER_THE_OTHER)
    async with talking(base) as talk, contextlib.AsyncExitStack() as others:
        await apart(pairs, talk)
        await talk.flows()
        await others.enter_async_context(staying(base, "bert"))
        for name in ONE_AFTER_THE_OTHER:
            await ready(pairs, *pairs.replicas(name.split("-")[0]))
            began = time.monotonic()
            strike(pairs, name)
            await talk.flows()
            flows = time.monotonic() - began
            async with citizen(base) as visitor:
                await begin(visitor)
                pressed = time.monotonic() - began
                participant = lasting_citizen(visitor)  # a gateway that has just come may send them away at first
                running = asyncio.create_task(participant.run())
                await participant.status(dot="green")
                helped = time.monotonic() - began
                await participant.end()
                await running
                visitor.token = ""
            print(f"\n{name}: messages after {flows:.1f} s, pressed {pressed:.1f} s, helped {helped:.1f} s")
        await ready(pairs)
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"], "it keeps its agent"
    queues = broker.api("GET", f"/api/queues/{vhost(module_vhost_url)}?enable_queue_totals=true&disable_stats=true")
    assert {q["name"]: q["messages"] for q in queues if q["name"].endswith("dead-letters")} == NOTHING_DEAD


async def test_a_replica_that_stands_still_costs_those_who_ask_little(pairs: System) -> None:
    """Each try goes to either replica by chance, so one of many may find the one that stands still every time."""
    base = pairs.base_url
    answers: list[tuple[int, float]] = []
    async with agent(base) as an:
        for name in pairs.replicas("presence"):  # one of them has the connections that the gateways keep
            async with stopped(pairs, name):
                for _ in range(QUESTIONS):
                    began = time.monotonic()
                    answer = await an.http.get(f"{base}/api/agents", headers={"Origin": base})
                    answers.append((answer.status, time.monotonic() - began))
            await ready(pairs, name)
    print("\nanswers", " ".join(f"{status} {seconds:.1f} s" for status, seconds in answers))
    took = sorted(seconds for status, seconds in answers if status == 200)
    assert len(took) >= 0.8 * len(answers)
    assert took[QUESTIONS] < took[-1] / 2, "it goes on costing time"
    assert max(seconds for _, seconds in answers) > 1, "no question went to the one that stood still"
