"""heartbeat_listener.py without a broker: what it records, and that it judges nobody while its own echo is missing."""

from collections.abc import Mapping

from services.common.events.presence import GatewayConnections, ListenerEcho
from services.common.events.types import AgentConnection
from services.common.failure_detector import ECHO_LATE
from services.common.messaging.heartbeat_listener import FORMER_LASTS, KNOWN, HeartbeatListener
from services.common.messaging.publisher import Publisher
from services.common.messaging.topology import HEARTBEAT_INTERVAL

GRACE = 10.0


def agents(event: GatewayConnections) -> Mapping[str, float]:
    return {agent.agent_id: agent.silent_for for agent in event.agents}


def chats(event: GatewayConnections) -> Mapping[str, float] | None:
    return None if event.chats is None else dict.fromkeys(event.chats, 0.0)


class Listened:
    """A listener that is connected to nothing; a test passes its events and its time."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.lists: list[GatewayConnections] = []
        self.listener = HeartbeatListener("", "test", Publisher("", "test"), lambda: self.now, self.lists.append)
        self.agents, self.chats = self.listener.detect(agents, GRACE), self.listener.detect(chats, GRACE)
        self.counter = 0

    def echo(self, listener: str | None = None, digests: bool | None = True) -> None:
        self.counter += 1
        echo = ListenerEcho(listener=listener or self.listener.id, counter=self.counter, digests=digests)
        self.listener.handle(echo)

    def list(
        self, *agent_ids: str, chats: list[str] | None = None, leaving: bool = False, digests: bool | None = True
    ) -> None:
        self.counter += 1
        listed = [AgentConnection(agent_id=agent_id, silent_for=0) for agent_id in agent_ids]
        self.listener.handle(
            GatewayConnections(
                incarnation="g1",
                counter=self.counter,
                agents=listed,
                chats=chats,
                leaving=leaving,
                digests=digests,
            )
        )

    def later(self, seconds: float, deaf: bool = False) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += min(HEARTBEAT_INTERVAL, end - self.now)
            if not deaf:
                self.echo()


def test_every_detector_records_the_lists_that_name_its_subjects() -> None:
    one = Listened()
    one.echo()
    one.list("an", chats=["c"])
    assert (one.agents.present(one.now), one.chats.present(one.now)) == ({"an"}, {"c"})
    one.list("bert")
    assert one.agents.present(one.now) == {"bert"}
    assert one.chats.present(one.now) == {"c"}, "a list without chats says nothing about chats"
    one.list(leaving=True, chats=[])
    assert one.agents.present(one.now) == one.chats.present(one.now) == set()
    assert len(one.lists) == 3


def test_it_receives_only_by_its_own_echo() -> None:
    one = Listened()
    assert not one.listener.receives
    one.list("an")
    one.echo("another listener")
    assert not one.listener.receives
    one.echo()
    assert one.listener.receives
    one.later(ECHO_LATE + 0.1, deaf=True)
    assert not one.listener.receives


def test_without_heartbeats_of_its_own_it_judges_no_process_and_the_time_does_not_count() -> None:
    one = Listened()
    one.echo()
    one.list("an", chats=["c"])
    one.later(100 * GRACE, deaf=True)
    assert one.agents.absent(["an"], one.now) == one.chats.absent(["c"], one.now) == []
    one.echo()
    assert one.agents.absent(["an"], one.now) == one.chats.absent(["c"], one.now) == []
    one.later(GRACE)
    assert one.agents.absent(["an"], one.now) == ["an"]
    assert one.chats.absent(["c"], one.now) == ["c"]


def test_all_read_digests_once_everyone_had_the_time_to_say_otherwise() -> None:
    one = Listened()
    assert not one.listener.all_read_digests()
    one.echo()
    assert not one.listener.all_read_digests(), "a former gateway publishes its list within two seconds"
    one.later(KNOWN)
    assert one.listener.all_read_digests()


def test_one_former_process_is_enough_and_it_is_forgotten_when_it_has_ended() -> None:
    one = Listened()
    one.echo()
    one.later(KNOWN)
    for gateway in (True, False):
        if gateway:
            one.list("an", digests=None)
        else:
            one.echo("of routing", digests=None)
        assert not one.listener.all_read_digests()
        one.later(FORMER_LASTS)
        assert not one.listener.all_read_digests()
        one.later(0.1)
        assert one.listener.all_read_digests()


def test_who_was_deaf_knows_nothing_of_those_who_came_meanwhile() -> None:
    one = Listened()
    one.echo()
    one.later(KNOWN)
    one.later(ECHO_LATE + 0.1, deaf=True)
    assert not one.listener.all_read_digests()
    one.echo()
    assert not one.listener.all_read_digests()
    one.later(KNOWN)
    assert one.listener.all_read_digests()
