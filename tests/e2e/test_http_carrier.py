"""Citizens whose network lets no websocket through: nothing is lost, doubled or reordered, whatever is killed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.e2e.browser.networks import Network, network
from tests.support.clients import Citizen, agent, begin, citizen
from tests.support.faults import broker_speaks, ready, replaced, strike
from tests.support.http_frames import LastingOverHttp
from tests.support.lasting_clients import Talk
from tests.support.servers import System

NETWORKS: dict[str, dict[str, object]] = {
    "refuses upgrades": {"upgrades": "refuse"},
    "buffers": {"upgrades": "refuse", "buffers": True},
    "cuts after 3 s": {"upgrades": "refuse", "cuts": 3.0},
}


@contextlib.asynccontextmanager
async def talking_over_http(base: str, between: Network) -> AsyncIterator[Talk]:
    """A talk under way, of a citizen behind this network and an agent with a websocket.

    The press and the transcript go past the network: they are not repeated when it cuts them.
    """
    async with agent(base) as helper, citizen(base) as visitor:
        await begin(visitor)
        behind = Citizen(between.base, visitor.http)
        behind.chat_id, behind.token = visitor.chat_id, visitor.token
        talk = Talk(visitor, helper)
        talk.citizen = LastingOverHttp(behind, poll=between.buffers)
        running = [asyncio.create_task(side.run()) for side in (talk.citizen, talk.agent)]
        try:
            await talk.citizen.status(dot="green")
            await talk.agent.until(lambda: talk.agent.log, "the chat")
            talk.begin()
            await talk.agent.until(lambda: len(talk.agent.log) > 10, "a conversation under way")
            await helper.socket.close()
            yield talk
            await talk.quiet()
            await talk.citizen.end()
        finally:
            for task in (*running, *talk.tasks):
                task.cancel()
            await asyncio.gather(*running, *talk.tasks, return_exceptions=True)


@pytest.mark.parametrize("kind", NETWORKS)
async def test_a_gateway_killed_amid_a_conversation_without_websockets_loses_nothing(frail: System, kind: str) -> None:
    async with network(frail.base_url) as between:
        for name, value in NETWORKS[kind].items():
            setattr(between, name, value)
        async with talking_over_http(frail.base_url, between) as talk:
            for _ in range(2):
                old = strike(frail, "gateway")
                await replaced(frail, old)
                await broker_speaks(frail)
                await talk.flows()
                await ready(frail)
            if between.cuts:
                await asyncio.sleep(2 * between.cuts)  # a stream and a request are cut
            kept = await talk.check()
            events = [m.get("event") for m in kept if m["from"] == "system"]
            assert events == ["opened", "assigned"], "it keeps its agent"
            assert "GET /ws/citizen" not in between.requests
            print(f"\n{kind}: {len(kept)} messages, {len(between.requests)} requests, closes {talk.citizen.closes}")
