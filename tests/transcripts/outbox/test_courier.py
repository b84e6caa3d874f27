"""Mirrors services/transcripts/outbox/courier.py, on the real database and real receivers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import pytest

from services.common.config.integrations import Webhook
from services.common.mongo.client import Database
from services.common.mongo.leases import Leases
from services.transcripts.log.writer import now_ms
from services.transcripts.outbox import courier as courier_module
from services.transcripts.outbox import rules
from services.transcripts.outbox.courier import Courier, Turn
from services.transcripts.outbox.rules import OPENS_AFTER, Notice, Outcome, Verdict
from services.transcripts.outbox.store import Delivery, Outbox
from tests.support.conditions import until
from tests.support.metrics import sample
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import OPENED_AT, new_id
from tests.transcripts.outbox.conftest import MakeSender, Sending, webhook
from tests.transcripts.outbox.receiver import Receiver, receiving


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_module, "CHECK_EVERY", 0.05)
    monkeypatch.setattr(courier_module, "MEASURE_EVERY", 0.05)
    monkeypatch.setattr(rules, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(rules, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(rules, "FIRST_REST", 0.05)
    monkeypatch.setattr(rules, "LONGEST_REST", 0.05)


def notices(number: int) -> list[Notice]:
    made = []
    for _ in range(number):
        chat = new_id()
        made.append(Notice(new_id(), "chat.closed", "algemeen", OPENED_AT, {"chat_id": chat}, chat))
    return made


async def add(outbox: Outbox, number: int, *targets: str) -> set[str]:
    made = notices(number)
    await outbox.add([(target, n) for n in made for target in targets or ("zaken",)], now_ms())
    return {n.id for n in made}


@contextlib.asynccontextmanager
async def delivering(
    outbox: Outbox, sender: Sending, *targets: Webhook, limit: float = PATIENCE
) -> AsyncIterator[list[Courier]]:
    async def prepared() -> None:
        return None

    couriers = [Courier(one.id, outbox, sender.to(one), limit, now_ms) for one in targets]
    tasks = [asyncio.create_task(one.run(prepared)) for one in couriers]
    try:
        yield couriers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def value(gauge: str) -> float | None:
    """What a gauge of the target says."""
    return sample(f"eloket_transcripts_outbox_{gauge}", {"target": "zaken"})


async def when(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.02)


def states(database: Database, **wanted: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        found = {s: await database["outbox"].count_documents({"state": s}) for s in ("due", "done", "dead")}
        return found == {"due": 0, "done": 0, "dead": 0, **wanted}

    return holds


async def test_everything_is_delivered_by_replicas_together_and_nothing_twice(
    outbox: Outbox, database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    ids = await add(outbox, 60)
    target = webhook(receiver.url)
    async with delivering(outbox, make_sender(), target, target, target):
        await when(states(database, done=60))
    assert dict(receiver.ids) == dict.fromkeys(ids, 1)


async def test_what_fails_is_tried_again_with_the_same_id(
    outbox: Outbox, database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    (id_,) = await add(outbox, 1)
    receiver.statuses = [500, 503, 307]
    async with delivering(outbox, make_sender(), webhook(receiver.url)):
        await when(states(database, done=1))
    assert dict(receiver.ids) == {id_: 4}
    stored = await database["outbox"].find_one({})
    assert stored
    assert stored["attempts"] == 4
    assert "cause" not in stored


async def test_what_was_tried_for_long_enough_is_a_dead_letter_and_may_be_replayed(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    outbox = Outbox(database, timedelta(0))
    (id_,) = await add(outbox, 1)
    receiver.statuses = [404]
    async with delivering(outbox, make_sender(), webhook(receiver.url)):
        await when(states(database, dead=1))
        (letter,) = await outbox.dead("zaken", None, 10)
        assert (letter["cause"], letter["attempts"]) == ("status_404", 1)
        assert await outbox.replay("zaken", id_, now_ms()) == 1
        await when(states(database, done=1))
    assert dict(receiver.ids) == {id_: 2}


async def test_a_receiver_that_is_gone_makes_dead_letters_at_once(
    outbox: Outbox, database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    await add(outbox, 1)
    receiver.statuses = [410]
    async with delivering(outbox, make_sender(), webhook(receiver.url)):
        await when(states(database, dead=1))
        await until(lambda: value("dead") == 1, "the metric")
    assert len(receiver.got) == 1


async def test_a_slow_target_does_not_delay_another(
    outbox: Outbox, database: Database, make_sender: MakeSender
) -> None:
    ids = await add(outbox, 30, "slow", "fast")
    async with receiving() as slow, receiving() as fast:
        slow.hold = asyncio.Event()
        targets = webhook(slow.url, "slow"), webhook(fast.url, "fast")
        async with delivering(outbox, make_sender(), *targets):
            await until(lambda: fast.ids.keys() == ids, "all of the fast one")
            assert len(slow.got) <= courier_module.AT_ONCE
            slow.hold.set()
            await when(states(database, done=60))


async def test_a_target_that_fails_is_left_alone_until_one_attempt_succeeds(
    outbox: Outbox, database: Database, receiver: Receiver, make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FIRST_REST", 3_600.0)
    monkeypatch.setattr(rules, "LONGEST_REST", 3_600.0)
    monkeypatch.setattr(courier_module, "DRAIN_LIMIT", PATIENCE)
    await add(outbox, 40)
    receiver.statuses = [500] * 1_000
    sender, target = make_sender(), webhook(receiver.url)
    async with delivering(outbox, sender, target) as (courier,):
        await until(lambda: value("circuit_open") == 1, "the circuit")
        await courier.drain()  # what was begun before it opened has ended
        assert OPENS_AFTER <= len(receiver.got) <= OPENS_AFTER + courier_module.AT_ONCE
    receiver.statuses = []
    monkeypatch.setattr(rules, "FIRST_REST", 0.05)
    monkeypatch.setattr(rules, "LONGEST_REST", 0.05)
    receiver.statuses = [500] * (OPENS_AFTER + 2)
    async with delivering(outbox, sender, target):
        await when(states(database, done=40))
        await until(lambda: value("circuit_open") == 0, "the circuit")


async def test_a_drain_lets_an_attempt_end_and_begins_no_other(
    outbox: Outbox, database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    await add(outbox, 1)
    receiver.hold = asyncio.Event()
    async with delivering(outbox, make_sender(), webhook(receiver.url)) as (courier,):
        await until(lambda: receiver.got, "the attempt")
        draining = asyncio.create_task(courier.drain())
        await asyncio.sleep(0)
        receiver.hold.set()
        await draining
        assert await database["outbox"].count_documents({"state": "done"}) == 1
        await add(outbox, 1)
        courier.wake()
        assert len(receiver.got) == 1


async def test_a_drain_waits_for_what_is_just_being_claimed(
    outbox: Outbox, database: Database, receiver: Receiver, make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "DRAIN_LIMIT", PATIENCE)
    claiming, go_on, claim = asyncio.Event(), asyncio.Event(), outbox.claim

    async def slowly(id_: str, now: datetime, lease: timedelta) -> Delivery | None:
        claimed = await claim(id_, now, lease)
        claiming.set()
        await go_on.wait()
        return claimed

    monkeypatch.setattr(outbox, "claim", slowly)
    await add(outbox, 2)
    async with delivering(outbox, make_sender(), webhook(receiver.url)) as (courier,):
        await claiming.wait()
        draining = asyncio.create_task(courier.drain())
        await asyncio.sleep(0)
        go_on.set()
        await draining
        assert await states(database, done=1, due=1)()
    assert await states(database, done=1, due=1)()


async def test_what_a_replica_had_when_it_ended_is_delivered_by_another(
    outbox: Outbox, database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    ids = await add(outbox, 3)
    receiver.hold = asyncio.Event()
    target, sender = webhook(receiver.url), make_sender()
    async with delivering(outbox, sender, target, limit=0.3):
        await until(lambda: len(receiver.got) == 3, "the attempts")
    receiver.hold.set()
    async with delivering(outbox, sender, target):
        await when(states(database, done=3))
    assert dict(receiver.ids) == dict.fromkeys(ids, 2), "at least once, and the id says so"


# ── deliveries that go together ──────────────────────────────────────────────────────────────────────────────────────


class Collector:
    """A sender that takes several deliveries at a time."""

    def __init__(self) -> None:
        self.got: list[list[str]] = []
        self.outcomes: list[Outcome] = []

    async def send(self, deliveries: Sequence[Delivery]) -> Outcome:
        self.got.append(sorted(one.notice for one in deliveries))
        return self.outcomes.pop(0) if self.outcomes else Outcome(Verdict.DELIVERED)


@contextlib.asynccontextmanager
async def collecting(
    outbox: Outbox, database: Database, sender: Collector, replicas: int, clock: Callable[[], datetime] = now_ms
) -> AsyncIterator[None]:
    async def prepared() -> None:
        return None

    def turn_of(leases: Leases) -> Turn:
        async def turn(seconds: float) -> bool:
            return await leases.take("mail_zaken", seconds, clock())

        return turn

    turns = [turn_of(Leases(database)) for _ in range(replicas)]
    couriers = [Courier("zaken", outbox, sender, PATIENCE, clock, 10, turn) for turn in turns]
    tasks = [asyncio.create_task(one.run(prepared)) for one in couriers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_goes_together_from_one_replica_when_the_first_is_due(
    outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "TURN", PATIENCE)
    looks, passed, due = 0, timedelta(0), Outbox.due

    async def counted(self: Outbox, target: str, now: datetime, limit: int) -> list[str]:
        nonlocal looks
        found = await due(self, target, now, limit)
        looks += 1
        return found

    monkeypatch.setattr(Outbox, "due", counted)
    first, later = notices(2), notices(3)
    await outbox.add([("zaken", n) for n in first], now_ms(), {"zaken": timedelta(hours=1)})
    await outbox.add([("zaken", n) for n in later], now_ms(), {"zaken": timedelta(hours=2)})
    sender = Collector()
    async with collecting(outbox, database, sender, 3, lambda: now_ms() + passed):
        await until(lambda: looks >= 9, "looks of each replica")
        assert sender.got == [], "none is due"
        passed = timedelta(minutes=65)
        await when(states(database, done=5))
    assert sender.got == [sorted(n.id for n in first + later)]


async def test_of_many_a_bounded_number_goes_together(
    outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "TURN", 0.05)
    ids = await add(outbox, 25)
    sender = Collector()
    async with collecting(outbox, database, sender, 1):
        await when(states(database, done=25))
    assert [len(some) for some in sender.got] == [10, 10, 5]
    assert {id_ for some in sender.got for id_ in some} == ids


async def test_what_failed_together_is_tried_again_with_what_came_since(
    outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "TURN", 0.05)
    first = await add(outbox, 2)
    sender = Collector()
    sender.outcomes = [Outcome(Verdict.FAILED, "smtp_451")]
    async with collecting(outbox, database, sender, 2):
        await until(lambda: len(sender.got) == 1, "the first attempt")
        later = await add(outbox, 1)
        await when(states(database, done=3))
    assert sender.got[0] == sorted(first)
    assert sorted(id_ for some in sender.got[1:] for id_ in some) == sorted(first | later), "each of them once"
