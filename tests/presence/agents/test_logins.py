"""services/presence/agents/logins.py: guessing is slow, and nobody is shut out by what others try."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.common.clock import utcnow
from services.common.events.agents import SessionEnded
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api import presence as presence_api
from services.common.internal_api.presence import Credentials
from services.common.mongo.client import Database
from services.presence.agents import attempt_store, logins
from services.presence.agents.attempt_store import AttemptStore, delay
from services.presence.agents.logins import Addresses, Busy, HashLimit, Logins
from services.presence.agents.passwords import AT_ONCE, Passwords
from services.presence.context import Context
from services.presence.stores import Stores
from tests.presence.conftest import HASH, SECRET, Clock, EventObserver, account, eventually, listening
from tests.presence.test_service import presence
from tests.support.metrics import sample

AN = account("an")
HOME, OFFICE = "192.0.2.1", "198.51.100.7"


# ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def served(turns: HashLimit, wishes: list[tuple[str, bool]]) -> list[str]:
    """In which order these get their turn, when all ask at once and each holds it for a moment."""
    order: list[str] = []

    async def one(key: str, first: bool) -> None:
        async with turns.take(key, first):
            order.append(key)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(key, first) for key, first in wishes))
    return order


async def test_addresses_alternate_and_known_browsers_go_first() -> None:
    flood: list[tuple[str, bool]] = [("flood", False)] * 30
    order = await served(HashLimit(2), [*flood, ("innocent", False), ("known", True)])
    assert order.index("known") <= 2
    assert order.index("innocent") <= 4
    assert len(order) == 32


async def test_the_queue_is_bounded_by_address_and_in_total() -> None:
    turns, release = HashLimit(at_once=1, of_one=3, most=4), asyncio.Event()

    async def hold(key: str) -> None:
        async with turns.take(key):
            await release.wait()

    tasks = [asyncio.create_task(hold(key)) for key in ("a", "a", "a", "b", "c")]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as own:
        async with turns.take("a"):
            pass
    assert own.value.own
    with pytest.raises(Busy) as full:
        async with turns.take("d"):
            pass
    assert not full.value.own
    release.set()
    await asyncio.gather(*tasks)
    async with turns.take("a"):
        pass


async def test_a_login_that_is_given_up_leaves_its_room_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = HashLimit(at_once=1)
    async with turns.take("a"):
        with monkeypatch.context() as hasty:
            hasty.setattr(logins, "PATIENCE", 0.05)
            with pytest.raises(TimeoutError):
                async with turns.take("b"):
                    pass
        waits = asyncio.create_task(served(turns, [("c", False)]))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
    assert await served(turns, [("d", False), ("e", False)]) == ["d", "e"]


# ── addresses and accounts ───────────────────────────────────────────────────────────────────────────────────────────


def test_wrong_passwords_of_an_address_are_counted_and_forgiven_in_time() -> None:
    addresses = Addresses()
    for n in range(logins.WRONG_BURST):
        assert addresses.wait(HOME, float(n) / 1000) == 0, n
        addresses.wrong(HOME, float(n) / 1000)
    wait = addresses.wait(HOME, 1.0)
    assert 1 < wait <= 1 / logins.WRONG_PER_SECOND
    assert addresses.wait(OFFICE, 1.0) == 0
    assert addresses.wait(HOME, 1.0 + wait) == 0


def test_the_delay_grows_to_a_quarter_of_an_hour() -> None:
    assert [delay(n) for n in (1, 9, 10, 11, 12, 30, 10_000)] == [0, 0, 5, 10, 20, 900, 900]


async def test_attempts_in_parallel_are_each_counted(stores: Stores) -> None:
    now = utcnow()
    waits = await asyncio.gather(*(stores.attempts.admit("key", now) for _ in range(25)))
    assert waits.count(0.0) == attempt_store.FREE
    assert all(
        attempt_store.FIRST_DELAY - 1 < w <= attempt_store.FIRST_DELAY for w in waits if w
    )  # milliseconds are kept


async def test_guessing_one_account_has_a_ceiling_whatever_the_addresses(stores: Stores) -> None:
    """A day of trying as soon as it is allowed."""
    begun = at = utcnow()
    tries = 0
    while at < begun + timedelta(days=1):
        wait = await stores.attempts.admit("key", at)
        tries += not wait
        at += timedelta(seconds=wait or 0.1)
    assert attempt_store.FREE < tries <= attempt_store.FREE + 8 + 24 * 4


# ── logging in ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def clock(context: Context, clock: Clock) -> Clock:
    await context.stores.agents.put_accounts([AN], clock())
    return clock


class Plain(Passwords):
    """The password of all accounts is `demo`, and no hash is computed: how those are is not the subject here."""

    async def verify(self, stored: str | None, password: str) -> bool:
        return stored is not None and password == "demo"


def door(context: Context, clock: Clock, passwords: Passwords | None = None) -> Logins:
    moved = Context(context.stores, context.publisher, context.wake, clock)
    return Logins(moved, passwords or Plain(), Keys(SECRET), 12, True, clock.monotonic)


async def outcome(door_: Logins, username: str, password: str, address: str = HOME, device: str = "") -> str:
    try:
        made = await door_.log_in(Credentials(username=username, password=password, address=address, device=device))
    except Problem as problem:
        if problem.status in (429, 503):
            return problem.code if int((problem.headers or {})["Retry-After"]) >= 1 else "no Retry-After"
        return problem.code
    return made.device


async def test_a_login_ends_the_session_that_the_browser_had_and_no_other(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    """ASVS 5.0, 7.2.4. The same agent stays online: their browser connects anew."""
    await context.stores.agents.put_accounts([AN, account("bert")], clock())
    nobody = replace(context, clock=clock, connected=lambda *_: False)  # no other session has a websocket
    one = Logins(nobody, Plain(), Keys(SECRET), 12, True, clock.monotonic)
    sessions = context.stores.sessions

    async def enter(username: str, former: str = "", password: str = "demo") -> str:
        wish = Credentials(username=username, password=password, address=HOME, former=former)
        return (await one.log_in(wish)).token

    first, elsewhere = await enter("an"), await enter("an")
    agent = await context.stores.agents.agent(AN.id)
    assert agent is not None
    assert await context.stores.agents.set_online(AN.id, agent.v, clock())
    with pytest.raises(Problem):
        await enter("an", first, "wrong")
    assert await sessions.find(first, clock()) is not None, "a failed login changes nothing"
    second = await enter("an", first)
    assert await sessions.find(first, clock()) is None
    assert await sessions.find(second, clock()) is not None
    assert await sessions.find(elsewhere, clock()) is not None, "that of another browser goes on"
    assert len(await observer.wait_for(SessionEnded)) == 1
    agent = await context.stores.agents.agent(AN.id)
    assert agent is not None
    assert agent.online
    await sessions.end(elsewhere, clock())
    await enter("bert", second)
    assert await sessions.find(second, clock()) is None
    assert len(await observer.wait_for(SessionEnded, 2)) == 2
    agent = await context.stores.agents.agent(AN.id)
    assert agent is not None
    assert not agent.online, "somebody else has logged in in their place"
    assert await enter("bert", "no session")


async def test_a_known_browser_is_not_delayed_by_what_others_try(context: Context, clock: Clock) -> None:
    """From behind the same address, and with the right account's name."""
    first, second = door(context, clock), door(context, clock)  # two replicas
    mine = await outcome(first, "an", "demo")
    assert mine.count(".") == 2
    tries = [await outcome((first, second)[n % 2], "an", f"wrong {n}") for n in range(12)]
    assert tries == ["bad_credentials"] * 10 + ["rate_limited"] * 2
    assert await outcome(first, "an", "demo", OFFICE) == "rate_limited", "from a browser that nobody knows"
    again = await outcome(first, "an", "demo", device=mine)
    assert again.count(".") == 2
    assert await outcome(second, "an", "demo", device=again) not in ("rate_limited", "bad_credentials")
    clock.later(attempt_store.FIRST_DELAY + 1)
    assert (await outcome(second, "an", "demo", OFFICE)).count(".") == 2


async def test_a_device_cookie_is_bound_to_its_account_and_has_attempts_of_its_own(
    context: Context, clock: Clock
) -> None:
    await context.stores.agents.put_accounts([AN, account("bert")], utcnow())
    one = door(context, clock)
    berts = await outcome(one, "bert", "demo")
    tries = [await outcome(one, "an", f"wrong {n}", device=berts) for n in range(11)]
    assert tries[-1] == "rate_limited"
    for forged in ("x", f"{berts}x", "a.b.c", "~~~~", "é"):
        assert await outcome(one, "an", "demo", device=forged) == "rate_limited"
    both = await outcome(door(context, clock), "bert", "demo", OFFICE, berts)
    stolen = [await outcome(one, "bert", f"wrong {n}", OFFICE, both) for n in range(11)]
    assert stolen == ["bad_credentials"] * 10 + ["rate_limited"]


async def test_what_known_browsers_mistype_does_not_count_for_their_address(context: Context, clock: Clock) -> None:
    people = [account("an"), *(account(f"a{n}") for n in range(5))]
    await context.stores.agents.put_accounts(people, utcnow())
    one = door(context, clock)
    known = [(p.username, await outcome(one, p.username, "demo")) for p in people[1:]]
    for name, mine in known:
        assert [await outcome(one, name, "wrong", device=mine) for _ in range(5)] == ["bad_credentials"] * 5
    assert (await outcome(one, "an", "demo")).count(".") == 2


async def test_a_shared_browser_knows_its_latest_four_accounts(context: Context, clock: Clock) -> None:
    people = [account(f"a{n}") for n in range(5)]
    await context.stores.agents.put_accounts(people, utcnow())
    one, cookie = door(context, clock), ""
    for person in people:
        cookie = await outcome(one, person.username, "demo", device=cookie)
    assert cookie.count("~") == 3
    assert len(cookie) <= 2_048
    with capture_logs() as lines:
        for person in people:
            await outcome(one, person.username, "demo", device=cookie)
    known = [line["known_browser"] for line in lines if line["event"] == "agent_logged_in"]
    assert known == [False, True, True, True, True]


async def test_spraying_names_from_one_address_is_limited(context: Context, clock: Clock) -> None:
    one = door(context, clock)
    tries = [await outcome(one, f"name{n}", "Welkom01", "2001:db8::/64") for n in range(logins.WRONG_BURST + 5)]
    assert tries == ["bad_credentials"] * logins.WRONG_BURST + ["rate_limited"] * 5
    assert (await outcome(one, "an", "demo", OFFICE)).count(".") == 2


async def test_a_name_that_does_not_exist_is_answered_like_one_that_does(context: Context, clock: Clock) -> None:
    one = door(context, clock)
    answers = {}
    for name in ("an", "nobody"):
        answers[name] = [await outcome(one, name, f"wrong {n}", f"192.0.2.{n}") for n in range(12)]
    assert answers["an"] == answers["nobody"]


async def test_a_failure_is_logged_without_name_or_address(context: Context, clock: Clock) -> None:
    one = door(context, clock)
    with capture_logs() as lines:
        for n in range(12):
            await outcome(one, "an", f"geheim{n}", HOME)
        await outcome(one, "nobody", "geheim", HOME)
    failed = [line for line in lines if line["event"] == "login_failed"]
    limited = [line for line in lines if line["event"] == "login_limited"]
    assert (len(failed), len(limited)) == (11, 2)
    assert {m["by"] for m in limited} == {"account"}
    assert len({m["name"] for m in failed}) == 2
    assert len({m["address"] for m in failed}) == 1
    published = json.dumps(lines, default=str)
    for marked in ("geheim", HOME, "nobody", '"an"'):
        assert marked not in published


async def test_at_most_five_sessions(context: Context, clock: Clock, observer: EventObserver) -> None:
    one = door(context, clock)
    made = []
    for _ in range(7):
        clock.later(1)
        made.append(await one.log_in(Credentials(username="an", password="demo", address=HOME)))
    await observer.catch_up(context.publisher)
    assert [e.session_id for e in observer.seen(SessionEnded)] == [m.session.id for m in made[:2]]


async def test_a_password_that_changes_while_it_is_looked_at_opens_nothing(
    context: Context, db: Database, stores: Stores, clock: Clock
) -> None:
    passwords = Passwords()

    class Slow(Passwords):
        async def verify(self, stored: str | None, password: str) -> bool:
            right = await passwords.verify(stored, password)
            changed = AN.model_copy(update={"password_hash": await passwords.hash("another")})
            await context.stores.agents.put_accounts([changed], utcnow())
            return right

    assert await outcome(door(context, clock, Slow()), "an", "demo") == "bad_credentials"
    assert await db["sessions"].count_documents({"ended_at": None}) == 0


class Gate(Plain):
    """Looks at a password when the test lets it; `looked`: the passwords, in the order in which that began."""

    def __init__(self) -> None:
        super().__init__()
        self.looked: list[str] = []
        self.open = asyncio.Semaphore(0)

    async def verify(self, stored: str | None, password: str) -> bool:
        self.looked.append(password)
        await self.open.acquire()
        return await super().verify(stored, password)


async def test_a_flood_from_one_address_does_not_shut_out_an_agent_of_another(
    context: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 at once: of them 40 are let in, and an innocent agent waits for one hash of the flood, not for all."""
    gate, waits, real = Gate(), asyncio.Event(), AttemptStore.wait_of
    one = door(context, clock, gate)
    before = refused_by_address()
    flood = [asyncio.create_task(outcome(one, f"name{n}", "x")) for n in range(150)]

    async def flooded() -> bool:
        return sum(task.done() for task in flood) == 150 - logins.OF_ONE_ADDRESS and len(gate.looked) == AT_ONCE

    await eventually(flooded, "all but those who wait to be refused")
    assert {task.result() for task in flood if task.done()} == {"rate_limited"}

    async def wait_of(store: AttemptStore, key: str, now: datetime) -> float:
        wait = await real(store, key, now)
        waits.set()  # and without giving way to other tasks it is in the queue
        return wait

    monkeypatch.setattr(AttemptStore, "wait_of", wait_of)
    innocent = asyncio.create_task(outcome(one, "an", "demo", OFFICE))
    await waits.wait()
    for _ in range(2):
        gate.open.release()

    async def two_more() -> bool:
        return len(gate.looked) == AT_ONCE + 2

    await eventually(two_more, "the next two")
    assert "demo" in gate.looked
    for _ in range(150):
        gate.open.release()
    assert (await innocent).count(".") == 2
    answers = await asyncio.gather(*flood)
    assert answers.count("bad_credentials") == logins.OF_ONE_ADDRESS
    assert answers.count("rate_limited") == 150 - logins.OF_ONE_ADDRESS
    assert refused_by_address() - before == 150 - logins.OF_ONE_ADDRESS


def refused_by_address() -> float:
    return sample("eloket_logins_limited_total", {"by": "address"}) or 0.0


# ── the service ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sessions_end_with_a_changed_password_and_stay_over_a_restart(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.toml"
    text = f'[[accounts]]\nusername = "karel"\nname = "Karel"\ndepartments = ["premies"]\npassword_hash = "{HASH}"\n'
    file.write_text(text)
    variables = {"MONGODB_PREFIX": mongodb_prefix, "ACCOUNTS_FILE": str(file)}
    async with presence(vhost_url, mongodb_url, **variables) as service:
        karel, an = [{"token": (await service.log_in(name))[1]["token"]} for name in ("karel", "an")]
    file.write_text(text.replace(HASH, await Passwords().hash("a new one")))
    async with listening(vhost_url) as observer, presence(vhost_url, mongodb_url, **variables) as service:
        assert (await service.ask(presence_api.SESSION_LOOKUP, karel))[0] == 401
        assert (await service.ask(presence_api.SESSION_LOOKUP, an))[0] == 200, "the demo password is the same"
        await observer.wait_for(SessionEnded)
        assert (await service.log_in("karel"))[0] == 401
        assert (await service.log_in("karel", "a new one"))[0] == 200


async def test_logging_out_everywhere(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    async with (
        listening(vhost_url) as observer,
        presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix) as service,
    ):
        made = [(await service.log_in(name))[1] for name in ("an", "an", "an", "bert")]
        tokens = [session["token"] for session in made]
        end = {"token": tokens[0], "everywhere": True}
        assert (await service.ask(presence_api.SESSION_END, end))[0] == 204
        assert [(await service.ask(presence_api.SESSION_LOOKUP, {"token": t}))[0] for t in tokens] == [
            401,
            401,
            401,
            200,
        ]

        async def all_published() -> bool:  # each may be published twice
            return {e.session_id for e in observer.seen(SessionEnded)} == {s["session_id"] for s in made[:3]}

        await eventually(all_published, "the end of every session of this agent, and of no other")
