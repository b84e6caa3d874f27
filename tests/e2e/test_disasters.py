"""The broker is lost with its disks under a running system: nothing with a receipt is, and all goes on by itself."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import agent, begin, citizen, say, until_green
from tests.e2e.faults import ready, stopped
from tests.e2e.lasting import lasting_agent, lasting_citizen, talking
from tests.real import Broker, System, running_broker, running_system


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


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path / "broker")
    yield one
    one.close()


@pytest.fixture
def system(place: Place, tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path / "system", RATE_LIMITS="off", RABBITMQ_URL=place.broker.url) as running:
        yield running


async def test_a_broker_that_lost_everything_costs_no_message(place: Place, system: System) -> None:
    """While transcripts stand still messages wait in the broker, confirmed: they go with its disks, and come again."""
    async with talking(system.base_url) as talk:
        async with stopped(system, "transcripts"):
            waiting = [await talk.citizen.say(f"in de wachtrij {n}") for n in range(10)]
            await asyncio.sleep(1)
            assert not any(m["id"] in waiting for m in talk.citizen.log.values()), "they should wait in the broker"
            await asyncio.to_thread(place.lose)
        began = time.monotonic()
        await talk.flows()
        print(f"\nmessages flow {time.monotonic() - began:.1f} s after an empty broker was there")
        await ready(system)
        await talk.check()


async def test_an_end_that_was_lost_with_it_is_told_again(place: Place, system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as first:
        await begin(first)
        one = lasting_citizen(first)
        running = asyncio.create_task(one.run())
        await one.status(dot="green")
        await one.shown(await one.say("eerst"))
        async with stopped(system, "transcripts"):
            await an.socket.send(type="close", chat_id=first.chat_id)
            await asyncio.sleep(1)
            await asyncio.to_thread(place.lose)
        await ready(system)
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


async def test_a_chat_whose_beginning_was_lost_with_it_is_served(place: Place, system: System) -> None:
    """Transcripts has it from the broker and cannot yet tell anybody that it is stored.

    What the system itself says in between, as who joined, may be missing: nobody waits for its receipt.
    """
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        await until_green(base)
        async with stopped(system, "transcripts"):
            assert (await visitor.start(name="Lien", question="Waar vind ik mijn attest?")).status == 201
            await asyncio.sleep(1)
            await asyncio.to_thread(place.kill)
        await asyncio.to_thread(place.begin_anew)
        await ready(system)
        # The console is closed while the chat cannot be shown: it comes back, sees the chat and accepts it.
        someone, console = lasting_citizen(visitor), lasting_agent(an, visitor.chat_id)
        running = [asyncio.create_task(one.run()) for one in (someone, console)]
        began = time.monotonic()
        await someone.status(dot="green")
        await someone.shown(await someone.say("Bent u daar?"))
        print(f"\nserved {time.monotonic() - began:.1f} s after everybody was ready again")
        shown = [m.get("event") or m["text"] for m in someone.messages()]
        assert [one for one in shown if one != "assigned"] == ["opened", "Waar vind ik mijn attest?", "Bent u daar?"]
        await someone.end()
        for task in running:
            task.cancel()
        visitor.token = ""
