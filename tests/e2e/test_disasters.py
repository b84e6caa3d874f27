"""The broker is lost with its disks under a running system: nothing with a receipt is, and all goes on by itself."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import agent, begin, citizen, say, until_green
from tests.support.faults import ready, stopped
from tests.support.lasting_clients import lasting_agent, lasting_citizen, talking
from tests.support.servers import Broker, System, running_broker, running_system, wait_for


class Place:
    """Where a broker lives whose disks may be lost: its address and password stay."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._running = running_broker(home)
        self.broker: Broker = self._running.__enter__()

    def lose(self) -> None:
        """The broker is killed and comes back at the same address with nothing in it."""
        self.kill()
        self.begin_anew()

    def kill(self) -> None:
        """The broker is killed, and its disks are gone."""
        self._running.__exit__(None, None, None)
        shutil.rmtree(self.home / "broker" / "mnesia")

    def begin_anew(self) -> None:
        """The broker comes back at the same address with nothing in it."""
        self._running = running_broker(self.home)
        self.broker = self._running.__enter__()

    def close(self) -> None:
        self._running.__exit__(None, None, None)

    async def holds(self, number: int) -> None:
        """Returns when so many messages, or for 0 none, are in the queue of transcripts or in their hands."""
        await asyncio.to_thread(
            wait_for, lambda: self._held() >= number if number else not self._held(), f"{number} messages in the broker"
        )

    def _held(self) -> int:
        queues = self.broker.api("GET", "/api/queues/%2F?enable_queue_totals=true&disable_stats=true")
        return int(next(q["messages"] for q in queues if q["name"] == "transcripts.messages"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path / "broker")
    yield one
    one.close()


@pytest.fixture
def own_system(place: Place, tmp_path: Path) -> Iterator[System]:
    """A system on this broker. The shared one, `system`, need not run beside it."""
    with running_system(tmp_path / "system", RATE_LIMITS="off", RABBITMQ_URL=place.broker.url) as running:
        yield running


async def test_a_broker_that_lost_everything_costs_no_message(place: Place, own_system: System) -> None:
    """While transcripts stand still messages wait in the broker, confirmed: they go with its disks, and come again."""
    async with talking(own_system.base_url) as talk:
        await talk.quiet()
        await place.holds(0)
        async with stopped(own_system, "transcripts"):
            sides = (talk.citizen, talk.agent)
            waiting = [await side.say(f"in de wachtrij {n}") for n in range(10) for side in sides]
            await place.holds(1)  # what was said first; the rest is published after it
            assert not any(m["id"] in waiting for m in talk.citizen.log.values()), "they should wait in the broker"
            await asyncio.to_thread(place.lose)
        began = time.monotonic()
        await talk.flows()
        print(f"\nmessages flow {time.monotonic() - began:.1f} s after an empty broker was there")
        await ready(own_system)
        await talk.check()


async def test_an_end_that_was_lost_with_it_is_published_again(place: Place, own_system: System) -> None:
    base = own_system.base_url
    async with agent(base) as an, citizen(base) as first:
        await begin(first)
        one = lasting_citizen(first)
        running = asyncio.create_task(one.run())
        await one.status(dot="green")
        await one.shown(await one.say("eerst"))
        await place.holds(0)
        async with stopped(own_system, "transcripts"):
            await an.socket.send(type="close", chat_id=first.chat_id)
            await place.holds(1)  # that the chat is closed
            await asyncio.to_thread(place.lose)
        await ready(own_system)
        await one.until(lambda: one.over, "the end of the chat")
        await one.until(lambda: one.messages()[-1].get("event") == "closed", "the seal")
        running.cancel()
        first.token = ""
        await until_green(base)
        async with citizen(base) as second:
            await begin(second)
            theirs = await second.join()
            await theirs.expect("status", dot="green")
            await say(theirs, "na de ramp")


async def test_a_chat_whose_beginning_was_lost_with_it_is_served(place: Place, own_system: System) -> None:
    """Transcripts has it from the broker and cannot yet publish that it is stored.

    What the system itself says in between, as who joined, may be missing: nobody waits for its receipt.
    """
    base = own_system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        await until_green(base)
        await place.holds(0)
        async with stopped(own_system, "transcripts"):
            assert (await visitor.start(name="Lien", question="Waar vind ik mijn attest?")).status == 201
            await place.holds(1)  # that the chat is opened
            await asyncio.to_thread(place.kill)
        await asyncio.to_thread(place.begin_anew)
        await ready(own_system)
        # The console is closed while the chat cannot be shown: it comes back, sees the chat and accepts it.
        participant, console = lasting_citizen(visitor), lasting_agent(an, visitor.chat_id)
        running = [asyncio.create_task(one.run()) for one in (participant, console)]
        began = time.monotonic()
        await participant.status(dot="green")
        await participant.shown(await participant.say("Bent u daar?"))
        print(f"\nserved {time.monotonic() - began:.1f} s after everybody was ready again")
        shown = [m.get("event") or m["text"] for m in participant.messages()]
        # An agent who is away for longer than the grace meanwhile has lost the chat, and got it again.
        said = [one for one in shown if one not in ("assigned", "agent_left")]
        assert said == ["opened", "Waar vind ik mijn attest?", "Bent u daar?"]
        await participant.end()
        for task in running:
            task.cancel()
        visitor.token = ""
