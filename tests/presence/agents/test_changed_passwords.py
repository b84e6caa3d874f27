"""Passwords that people change (`people_store.py`), and sessions that nobody uses (`idle_sessions.py`)."""

from dataclasses import replace
from datetime import timedelta

import argon2
import pytest

from services.common.clock import utcnow
from services.common.events.agents import SessionEnded
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api.presence import Credentials, OfficerRole, PasswordChange
from services.common.mongo.client import Database
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from services.presence.agents.attempt_store import FREE
from services.presence.agents.idle_sessions import end_idle, look, note_use
from services.presence.agents.logins import Logins
from services.presence.agents.password_rules import PasswordRules
from services.presence.agents.passwords import Passwords, fingerprint
from services.presence.agents.people_store import with_chosen
from services.presence.agents.session_store import NOTED_EACH, Session
from services.presence.context import Context
from services.presence.stores import Stores
from tests.presence.conftest import HASH, SECRET, Clock, EventObserver, account, there

GOOD, BETTER, LEAKED = "vier groene fietsen", "zeven gele trams", "negen rode bussen"
HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HOUR = timedelta(hours=1)


def named(username: str = "an", password: str = "oud wachtwoord") -> Account:
    return account(username).model_copy(update={"password_hash": HASHER.hash(password)})


class Leaked:
    """Knows one password of a breach, and which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def has(self, password: str) -> bool:
        self.asked.append(password)
        return password == LEAKED


def door(context: Context, clock: Clock) -> Logins:
    moved = replace(context, clock=clock)
    rules = PasswordRules(("stadhuis",), Leaked())
    return Logins(moved, Passwords(), Keys(SECRET), 12, True, clock.monotonic, rules=rules)


async def logged_in(logins: Logins, password: str, username: str = "an", address: str = "192.0.2.1") -> str | None:
    """The token of a new session; None when the credentials are refused."""
    try:
        return (await logins.log_in(Credentials(username=username, password=password, address=address))).token
    except Problem as problem:
        if problem.code != "bad_credentials":
            raise
        return None


async def changed(logins: Logins, session: Session, old: str, new: str) -> str:
    """`done`, or the code of the refusal."""
    try:
        await logins.change_password(session, PasswordChange(token="", old=old, new=new, address="192.0.2.1"))
    except Problem as problem:
        return problem.code
    return "done"


async def test_the_new_password_counts_and_the_other_sessions_end(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    sessions = context.stores.sessions
    await context.stores.agents.put_accounts([named(), named("bert")], utcnow())
    logins = door(context, clock)
    mine, other = [await logged_in(logins, "oud wachtwoord") for _ in range(2)]
    berts = await logged_in(logins, "oud wachtwoord", "bert")
    session, others = [await sessions.find(token or "", clock()) for token in (mine, other)]
    assert session is not None
    assert others is not None
    assert await changed(logins, session, "oud wachtwoord", GOOD) == "done"
    assert await sessions.find(mine or "", clock()) is not None, "this one goes on"
    assert await sessions.find(other or "", clock()) is None
    assert await sessions.find(berts or "", clock()) is not None
    assert [ended.session_id for ended in await observer.wait_for(SessionEnded)] == [others.id]
    assert await logged_in(logins, "oud wachtwoord") is None
    assert await logged_in(logins, GOOD) is not None
    assert await changed(logins, session, GOOD, BETTER) == "done", "and once more"
    assert await logged_in(logins, GOOD) is None


async def test_a_restart_keeps_the_new_password_and_a_new_hash_in_the_file_replaces_it(
    context: Context, clock: Clock
) -> None:
    stores, first = context.stores, named()
    await stores.agents.put_accounts([first], utcnow())
    logins = door(context, clock)
    token = await logged_in(logins, "oud wachtwoord")
    session = await stores.sessions.find(token or "", clock())
    assert session is not None
    assert await changed(logins, session, "oud wachtwoord", GOOD) == "done"

    async def restart(file: Account) -> int:
        """What `_prepare_database` does; returns how many sessions it ended."""
        await stores.agents.put_accounts([file], utcnow())
        hashes = {file.id: file.password_hash} | await stores.agents.changed_passwords()
        return len(await stores.sessions.end_changed({id_: fingerprint(h) for id_, h in hashes.items()}, clock()))

    assert await restart(first) == 0
    assert await logged_in(logins, GOOD) is not None
    assert await restart(named(password="van de beheerder")) == 2
    assert await stores.sessions.find(token or "", clock()) is None
    assert await logged_in(logins, GOOD) is None
    assert await logged_in(logins, "van de beheerder") is not None


REFUSED = {
    "a wrong old one": ("fout wachtwoord", GOOD, "bad_credentials"),
    "a short one": ("oud wachtwoord", "kort", "password_too_short"),
    "one with the name": ("oud wachtwoord", "ikbenan-janssens", "password_easy"),
    "one that repeats itself": ("oud wachtwoord", "abcdeabcdeabcde", "password_easy"),
    "one with a word of the town": ("oud wachtwoord", "naast het Stadhuis", "password_easy"),
    "one that many have": ("oud wachtwoord", "qwertyuiop123", "password_common"),
    "one of a breach": ("oud wachtwoord", LEAKED, "password_breached"),
    "one of a breach with a wrong old one": ("fout wachtwoord", LEAKED, "bad_credentials"),
    "the same one": ("vier groene fietsen", GOOD, "password_unchanged"),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_change_is_refused(context: Context, clock: Clock, why: str) -> None:
    old, new, code = REFUSED[why]
    file = named().model_copy(update={"name": "An Janssens"})
    await context.stores.agents.put_accounts([file], utcnow())
    logins = door(context, clock)
    token = await logged_in(logins, "oud wachtwoord")
    session = await context.stores.sessions.find(token or "", clock())
    assert session is not None
    assert await changed(logins, session, old, new) == code
    assert await logged_in(logins, "oud wachtwoord") is not None


async def test_guesses_of_the_old_password_are_limited_like_logins(context: Context, clock: Clock) -> None:
    await context.stores.agents.put_accounts([named()], utcnow())
    logins = door(context, clock)
    session = await context.stores.sessions.find(await logged_in(logins, "oud wachtwoord") or "", clock())
    assert session is not None
    codes = [await changed(logins, session, f"fout {n}", GOOD) for n in range(12)]
    assert codes[:10] == ["bad_credentials"] * 10
    assert set(codes[10:]) == {"rate_limited"}


async def test_of_two_changes_at_once_one_counts(context: Context) -> None:
    agents, one = context.stores.agents, named()
    await agents.put_accounts([one], utcnow())
    assert await agents.change_password(one.id, one.password_hash, "first")
    assert not await agents.change_password(one.id, one.password_hash, "second")
    assert await agents.password_of("an") == (one.id, "first")


async def test_who_logs_in_at_the_issuer_has_no_password_to_change(context: Context, clock: Clock) -> None:
    session, _ = await context.stores.sessions.begin("of the issuer", clock(), 1)
    assert await changed(door(context, clock), session, "x", GOOD) == "no_password"


# ── sessions that nobody uses ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_that_nobody_uses_ends_and_a_use_keeps_it(stores: Stores) -> None:
    began = utcnow()
    _, token = await stores.sessions.begin("a", began, 12)
    assert await stores.sessions.find(token, began + HOUR / 2, HOUR) is not None
    assert await stores.sessions.find(token, began + HOUR * 1.4, HOUR) is not None, "an hour since the last use"
    assert await stores.sessions.find(token, began + HOUR * 2.5, HOUR) is None
    assert await stores.sessions.find(token, began + HOUR * 2.5) is not None, "without a limit"


async def test_a_use_is_stored_at_most_once_a_minute(stores: Stores, db: Database) -> None:
    began = utcnow()
    session, token = await stores.sessions.begin("a", began, 12)
    await stores.sessions.find(token, began + NOTED_EACH / 2, HOUR)
    kept = await db["sessions"].find_one({"_id": session.id})
    assert kept is not None
    assert abs(kept["used_at"] - began) < timedelta(milliseconds=1)
    await stores.sessions.find(token, began + NOTED_EACH, HOUR)
    kept = await db["sessions"].find_one({"_id": session.id})
    assert kept is not None
    assert abs(kept["used_at"] - began - NOTED_EACH) < timedelta(milliseconds=1)


async def test_a_use_keeps_a_session_with_a_short_limit_too(stores: Stores) -> None:
    begun, idle = utcnow(), timedelta(seconds=30)
    _, token = await stores.sessions.begin("an", begun, 12)
    for seconds in (20, 40, 60, 80):
        assert await stores.sessions.find(token, begun + timedelta(seconds=seconds), idle) is not None, seconds
    assert await stores.sessions.find(token, begun + timedelta(seconds=110), idle) is None


async def test_an_open_console_is_used_while_its_agent_is_available(
    context: Context, observer: EventObserver, clock: Clock
) -> None:
    an, bert = account("an"), account("bert")
    await there(context.stores, an, bert)
    now = utcnow()
    open_, _ = await context.stores.sessions.begin(an.id, now - HOUR * 2, 12)
    closed, _ = await context.stores.sessions.begin(bert.id, now - HOUR * 2, 12)
    await look(context, HOUR, lambda: {open_.id})
    assert set(await context.stores.sessions.live([an.id, bert.id], utcnow())) == {an.id}
    ended = await observer.wait_for(SessionEnded)
    assert [one.session_id for one in ended] == [closed.id]


async def test_a_pause_that_nobody_ends_leads_to_a_logout(context: Context) -> None:
    an = account("an")
    await context.stores.agents.put_accounts([an], utcnow())  # not online
    session, _ = await context.stores.sessions.begin(an.id, utcnow() - HOUR * 2, 12)
    await note_use(replace(context, at_work=lambda agent_id: True), [session.id])
    await end_idle(context, HOUR)
    assert await context.stores.sessions.live([an.id], utcnow()), "they work in the console"
    await context.stores.sessions.end_all(an.id, utcnow())
    session, _ = await context.stores.sessions.begin(an.id, utcnow() - HOUR * 2, 12)
    await look(context, HOUR, lambda: {session.id})
    assert not await context.stores.sessions.live([an.id], utcnow())


async def test_a_session_of_an_earlier_release_has_no_limit(context: Context, db: Database) -> None:
    session, token = await context.stores.sessions.begin("a", utcnow() - HOUR * 2, 12)
    sessions = context.stores.sessions
    await db["sessions"].update_one({"_id": session.id}, {"$unset": {"used_at": ""}})
    await look(context, HOUR, lambda: {session.id})
    assert await sessions.find(token, utcnow(), HOUR) is not None


async def attempt(logins: Logins, new: str, password: str = "oud wachtwoord", username: str = "an") -> str:
    """`in`, or the code of the refusal."""
    try:
        await logins.log_in(Credentials(username=username, password=password, address="192.0.2.1", new=new))
    except Problem as problem:
        return problem.code
    return "in"


@pytest.mark.parametrize("role", [None, "administrator"])
async def test_a_password_for_one_login_lets_nobody_in_without_a_new_one(
    context: Context, clock: Clock, role: OfficerRole | None
) -> None:
    one = Account(
        username="an",
        name="An",
        password_hash=HASHER.hash("oud wachtwoord"),
        role=role,
        departments=() if role else ("algemeen",),
        must_change_password=True,
    )
    await context.stores.agents.put_accounts([one], utcnow())
    await context.stores.officers.put_accounts([one])
    logins = door(context, clock)
    assert await attempt(logins, "") == "password_change_required"
    assert await attempt(logins, GOOD, "fout wachtwoord") == "bad_credentials"
    assert await attempt(logins, "kort") == "password_too_short"
    assert await attempt(logins, "oud wachtwoord") == "password_easy"
    assert await attempt(logins, "qwertyuiop123") == "password_common"
    assert await attempt(logins, LEAKED) == "password_breached"
    assert await context.stores.sessions.live([one.id], clock()) == {}
    assert await attempt(logins, GOOD) == "in"
    assert await attempt(logins, "") == "bad_credentials", "the former one counts no more"
    assert await attempt(logins, "", GOOD) == "in"
    await context.stores.agents.put_accounts([one], utcnow())
    await context.stores.officers.put_accounts([one])
    assert await attempt(logins, BETTER, GOOD) == "in", "a new one that nobody asked for changes nothing"
    assert await attempt(logins, "", GOOD) == "in"


async def with_second_factor(context: Context, clock: Clock) -> tuple[Logins, str]:
    """Logins of an agent with a second factor and a password for one login, and the code that is right now."""
    secret = totp.new_secret()
    one = named().model_copy(update={"must_change_password": True, "totp_secret": secret})
    await context.stores.agents.put_accounts([one], utcnow())
    logins = door(context, clock)
    logins.follow_accounts({"an": secret}, None)
    return logins, totp.code_at(secret, totp.step_of(clock()))


async def test_a_code_is_not_used_up_before_the_new_password_is_good(context: Context, clock: Clock) -> None:
    logins, code = await with_second_factor(context, clock)

    async def tried(new: str, code: str) -> str:
        wish = Credentials(username="an", password="oud wachtwoord", address="192.0.2.1", code=code, new=new)
        try:
            await logins.log_in(wish)
        except Problem as problem:
            return problem.code
        return "in"

    assert await tried("", "") == "password_change_required"
    assert await tried("kort", code) == "password_too_short"
    assert await tried(GOOD, "") == "totp_required"
    assert await tried(GOOD, code) == "in"


async def test_a_new_password_that_is_not_good_enough_takes_back_no_wrong_code(context: Context, clock: Clock) -> None:
    logins, right = await with_second_factor(context, clock)
    wrong = f"{(int(right) + 1) % 10**totp.DIGITS:06}"

    async def tried(new: str, code: str, number: int) -> str:
        address = f"192.0.2.{number}"
        try:
            await logins.log_in(
                Credentials(username="an", password="oud wachtwoord", address=address, code=code, new=new)
            )
        except Problem as problem:
            return problem.code
        return "in"

    for number in range(FREE):
        assert await tried("kort", "", number) == "password_too_short", "no attempt of these counts"
        assert await tried(GOOD, wrong, number) == "bad_credentials"
    assert await tried(GOOD, right, 100) == "rate_limited"


def test_a_chosen_password_counts_while_the_account_has_the_one_that_it_replaces() -> None:
    one = account("an").model_copy(update={"must_change_password": True})
    assert with_chosen(one, None) is one
    assert with_chosen(one, ("chosen", "of another")) is one
    chosen = with_chosen(one, ("chosen", fingerprint(HASH)))
    assert (chosen.password_hash, chosen.must_change_password) == ("chosen", False)
