"""citizen_presence.py: whose citizen is there, by a clock of the test's own and over the real broker."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.events.event import Event
from services.common.events.presence import GatewayConnections, ListenerEcho
from services.common.messaging.publisher import Publisher
from services.common.messaging.topology import HEARTBEAT_INTERVAL
from services.routing.chats.citizen_presence import GATEWAY_LATE, CitizenPresence
from tests.routing.scene import Scene, listed, opening
from tests.support.conditions import until
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Listener:
    """A listener whose time and broadcasts a test makes; nothing is connected."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.citizens = CitizenPresence("", Publisher("", "routing"), 300, clock=self.clock)
        self.counter = 0
        self.echo()

    def echo(self) -> None:
        """Its own echo comes back."""
        self.counter += 1
        self.citizens.listener.handle(ListenerEcho(listener=self.citizens.listener.id, counter=self.counter))

    def lists(self, *chats: str, incarnation: str = "g1", leaving: bool = False) -> None:
        self.counter += 1
        self.citizens.listener.handle(listed(self.counter, *chats, incarnation=incarnation, leaving=leaving))

    def after(self, seconds: float, *chats: str, silent: bool = False, deaf: bool = False) -> None:
        """Time passes in steps of two seconds, with an echo and (unless silent) a list at each."""
        for _ in range(int(seconds / HEARTBEAT_INTERVAL)):
            self.clock.now += HEARTBEAT_INTERVAL
            if not deaf:
                self.echo()
            if not silent and not deaf:
                self.lists(*chats)


def test_a_listed_chat_is_never_absent() -> None:
    listener = Listener()
    listener.citizens.absent(["c"])
    listener.after(1_000, "c")
    assert listener.citizens.present() == {"c"}
    assert listener.citizens.absent(["c"]) == []


def test_a_chat_is_absent_when_no_list_had_it_for_the_whole_grace_period() -> None:
    listener = Listener()
    listener.after(10, "c", "d")
    listener.citizens.absent(["c", "d"])
    listener.after(298, "d")
    assert listener.citizens.absent(["c", "d"]) == []
    listener.after(4, "d")
    assert listener.citizens.absent(["c", "d"]) == ["c"]


def test_a_chat_that_is_met_late_has_a_full_grace_from_there() -> None:
    listener = Listener()
    listener.after(2_000)
    assert listener.citizens.absent(["new"]) == []
    listener.after(296)
    assert listener.citizens.absent(["new"]) == []
    listener.after(6)
    assert listener.citizens.absent(["new"]) == ["new"]


def test_absence_without_the_own_echo_does_not_count() -> None:
    listener = Listener()
    listener.after(10, "c")
    listener.citizens.absent(["c"])
    listener.after(3_000, deaf=True)
    assert not listener.citizens.listener.receives
    assert listener.citizens.absent(["c"]) == []
    listener.after(100)
    assert listener.citizens.listener.receives
    assert listener.citizens.absent(["c"]) == []
    listener.after(210)
    assert listener.citizens.absent(["c"]) == ["c"]


def test_lists_six_seconds_apart_are_enough() -> None:
    listener = Listener()
    for _ in range(5):
        listener.lists("c")
        listener.after(6, silent=True)
        assert listener.citizens.present() == {"c"}
    listener.after(GATEWAY_LATE, silent=True)
    assert listener.citizens.present() == set()


def test_a_list_of_agents_alone_says_nothing_about_chats() -> None:
    listener = Listener()
    listener.lists("c")
    listener.citizens.listener.handle(GatewayConnections(incarnation="g1", counter=99, agents=[], chats=None))
    assert listener.citizens.present() == {"c"}


def test_a_gateway_that_leaves_has_no_chats_any_more() -> None:
    listener = Listener()
    listener.lists("c")
    listener.citizens.listener.handle(GatewayConnections(incarnation="g1", counter=99, agents=[], leaving=True))
    assert listener.citizens.present() == set()


@pytest.fixture
async def listening_scene(scene: Scene) -> AsyncIterator[Scene]:
    tasks = [asyncio.create_task(scene.citizens.listener.run()), asyncio.create_task(scene.citizens.listener.echo())]
    try:
        yield scene
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_over_the_broker_it_gets_its_own_echo_and_the_lists_of_the_gateways(
    listening_scene: Scene, vhost_url: str
) -> None:
    citizens = listening_scene.citizens
    await until(lambda: citizens.listener.receives, "its own echo")
    async with publishing(vhost_url) as gateway:
        event: Event = listed(1, "c1", "c2")
        await gateway.publish(event)
        await until(lambda: citizens.present() == {"c1", "c2"}, "the list")


async def test_it_knows_how_many_events_wait(listening_scene: Scene) -> None:
    citizens = listening_scene.citizens
    assert await citizens.backlog() in (-1, 0)
    await until(lambda: citizens.listener.receives, "its own echo")
    for _ in range(3):
        await listening_scene.publisher.publish(opening())
    async with asyncio.timeout(PATIENCE):
        while await citizens.backlog() != 3:
            await asyncio.sleep(0.01)
