"""Logins, and limits of attempts that slow down guessing without locking an agent out.

Three limits apply one after the other (OWASP Authentication Cheat Sheet, OWASP "Device Cookies"):

1. Of an address: a burst of wrong passwords and a refill. Only wrong passwords count, so that an office behind one
   address can log in together. Held in memory, so it counts separately in each replica of presence.
2. Of the hashes: at most `AT_ONCE` at a time, the addresses in turn, with a bounded queue. An attempt from another
   address waits for one hash of each address before it, not for a whole flood. In memory, because it bounds the work of
   this process.
3. Of an account: after some wrong passwords each further attempt has to wait, twice as long each time, whatever the
   addresses. In the database, so that it holds over all replicas. A browser that has logged this account in before
   sends a signed device cookie and has attempts of its own; attempts of others do not delay it.

Where an account has a secret for one-time passwords (TOTP), the limits count wrong codes like wrong passwords. The
secrets are in the accounts, of the file or of the database. The documents of agents and officers have fingerprints of
them. When another replica has read changed accounts first, the fingerprint of a changed secret differs from that of
this replica, which then refuses the login with 503.

An account that does not exist is treated like one that does, in answers and in time. Logs have no name and no address,
only keyed digests.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from prometheus_client import Counter

from services.common.events.types import AgentState
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api.presence import Credentials, PasswordChange
from services.presence.agents import totp
from services.presence.agents.password_rules import PasswordRules
from services.presence.agents.passwords import AT_ONCE, Passwords, fingerprint
from services.presence.agents.roles import Officer
from services.presence.agents.session_store import Origin, Session
from services.presence.agents.transitions import close_session_soon, end_former_session
from services.presence.context import Context
from services.presence.publisher import publish_agent_soon
from services.presence.slots.rules import Agent

log = structlog.get_logger()

WRONG_BURST, WRONG_PER_SECOND = 20, 20 / 60  # wrong passwords of one address
OF_ONE_ADDRESS = 40  # attempts of one address that wait or are being checked
QUEUE = 80  # attempts of all addresses that wait; the last one waits less than a gateway's timeout (5 s)
PATIENCE = 4.0  # seconds in the queue
MOST_ADDRESSES = 50_000
MOST_SESSIONS = 5
DEVICES = 4  # accounts of one browser
_SEPARATOR = "~"
CODE_MISSING = ("", "code")  # the password is right, and a one-time password is needed
CHANGE_MISSING = ("", "change")  # the password is right, and has to be replaced in this login

LOGINS = Counter("eloket_logins_total", "Attempts to log in", ["outcome"])
LIMITED = Counter("eloket_logins_limited_total", "Attempts to log in that were refused unseen", ["by"])
for _by in (
    "address",
    "account",
    "device",
    "queue",
):  # exported from the start: the first is an increase
    LIMITED.labels(_by)


class Busy(Exception):
    """Too many attempts wait for a hash. `own`: too many of this address."""

    def __init__(self, own: bool) -> None:
        self.own = own


class HashLimit:
    """Limits the hashes to `at_once` at a time.

    Waiting keys take turns; attempts that are `first` precede all others.
    """

    def __init__(self, at_once: int = AT_ONCE, of_one: int = OF_ONE_ADDRESS, most: int = QUEUE) -> None:
        self._free, self._of_one, self._most = at_once, of_one, most
        self._lanes: tuple[OrderedDict[str, deque[asyncio.Future[None]]], ...] = (OrderedDict(), OrderedDict())
        self._in_hand: dict[str, int] = {}

    def has_room(self, key: str) -> bool:
        """Return whether one more attempt of this key may wait."""
        return self._in_hand.get(key, 0) < self._of_one

    @contextlib.asynccontextmanager
    async def take(self, key: str, first: bool = False) -> AsyncIterator[None]:
        """Wait for a slot and hold it.

        Raises:
            Busy: Too many attempts wait already.
            TimeoutError: No slot was free within `PATIENCE` seconds.
        """
        if not self.has_room(key):
            raise Busy(own=True)
        self._in_hand[key] = self._in_hand.get(key, 0) + 1
        try:
            if self._free:
                self._free -= 1
            else:
                await self._wait(key, self._lanes[0 if first else 1])
            try:
                yield
            finally:
                self._pass_on()
        finally:
            self._in_hand[key] -= 1
            if not self._in_hand[key]:
                del self._in_hand[key]

    async def _wait(self, key: str, lane: OrderedDict[str, deque[asyncio.Future[None]]]) -> None:
        if sum(map(len, lane.values())) >= self._most:
            raise Busy(own=False)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.setdefault(key, deque()).append(granted)
        try:
            async with asyncio.timeout(PATIENCE):
                await granted
        except BaseException:
            if granted.done() and not granted.cancelled():
                self._pass_on()  # the slot was granted in the same moment
            elif key in lane:
                with contextlib.suppress(ValueError):
                    lane[key].remove(granted)
                if not lane[key]:
                    del lane[key]
            raise

    def _pass_on(self) -> None:
        for lane in self._lanes:
            while lane:
                key, waiting = lane.popitem(last=False)
                granted = waiting.popleft()
                if waiting:
                    lane[key] = waiting  # behind the other keys
                if not granted.done():
                    granted.set_result(None)
                    return
        self._free += 1


class Addresses:
    """Wrong passwords by address: token buckets in memory. The least recently seen addresses are forgotten."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def _now_left(self, address: str, now: float) -> float:
        left, at = self._left.get(address, (float(WRONG_BURST), now))
        return min(WRONG_BURST, left + (now - at) * WRONG_PER_SECOND)

    def wait(self, address: str, now: float) -> float:
        """Return the seconds until this address may try again; 0 when it may now."""
        return max(0.0, (1 - self._now_left(address, now)) / WRONG_PER_SECOND)

    def wrong(self, address: str, now: float) -> None:
        """Count a wrong password. Simultaneous attempts may bring the bucket below zero, which lengthens the wait."""
        self._left[address] = self._now_left(address, now) - 1, now
        self._left.move_to_end(address)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)


@dataclass(frozen=True)
class LoggedIn:
    """A new session, its token, its agent or officer, and the device cookie of the browser."""

    session: Session
    token: str
    agent: Agent | Officer
    device: str


@dataclass(frozen=True)
class _Attempt:
    """An attempt that the limits let through: whose, from which known browser, what counts it, what is logged."""

    username: str
    device: str | None
    key: str
    about: dict[str, object]


class Logins:
    """Logs agents in. `limited`: whether attempts are limited; the queue of hashes is bounded in any case."""

    def __init__(
        self,
        context: Context,
        passwords: Passwords,
        keys: Keys,
        hours: float,
        limited: bool,
        clock: Callable[[], float] = time.monotonic,
        second_factors: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
        rules: PasswordRules | None = None,
    ) -> None:
        """Prepare logins.

        Args:
            context: Dependencies of the service.
            passwords: Checks passwords.
            keys: The keys of digests and device cookies.
            hours: Hours of a session.
            limited: Whether attempts are limited.
            clock: Seconds of a monotonic clock, by which addresses are forgiven.
            second_factors: The secrets of one-time passwords by username; other accounts have none.
            only: The usernames that may log in with a password; None: all.
            rules: What a new password has to be; None: the rules of every installation.
        """
        self._clock = clock
        self._rules = rules or PasswordRules()
        self.follow_accounts(second_factors or {}, only)
        self._context, self._passwords, self._keys = context, passwords, keys
        self._hours, self._limited = hours, limited
        self._hashes = HashLimit() if limited else HashLimit(of_one=10_000, most=10_000)
        self._addresses = Addresses()

    def follow_accounts(self, second_factors: Mapping[str, str], only: Collection[str] | None) -> None:
        """Use these secrets and usernames from now on. The arguments are those of the constructor."""
        self._second_factors, self._only = second_factors, only

    async def log_in(self, credentials: Credentials) -> LoggedIn:
        """Open a session for the agent with these credentials, and make the agent available.

        Raises:
            Problem: `rate_limited` or `unavailable` (with Retry-After in whole seconds), or `bad_credentials`, for
                a user who does not exist exactly as for a wrong password; `totp_required`, or
                `password_change_required`: the password is right, and `code`, or `new`, is needed too; 422
                `password_too_short`, `password_easy`, `password_common`, `password_breached` or `password_unchanged`:
                `new` is not good enough.
        """
        attempt, found = await self._attempt(credentials)
        if found is CHANGE_MISSING:
            log.info("login_needs_new_password", **attempt.about)
            raise Problem(401, "password_change_required", "Choose a new password, and give it as `new` too.")
        if found is CODE_MISSING:
            log.info("login_needs_code", **attempt.about)
            raise Problem(401, "totp_required", "Give the code of your authenticator as `code` too.")
        if self._limited:
            await self._context.stores.attempts.forget(attempt.key)
        person_id, stored = found
        if credentials.new and await self._must_change(person_id):
            stored = await self._replace(person_id, stored, credentials.new)
        origin = Origin.of(credentials.address, credentials.client)
        made = await self._begin(person_id, stored, attempt.username, attempt.device, credentials.device, origin)
        await end_former_session(self._context, credentials.former, person_id)
        return made

    async def change_password(self, session: Session, wish: PasswordChange) -> list[Session]:
        """Replace the password of the agent or officer of this session, and end their other sessions.

        Wrong old passwords are limited like those of logins.

        Returns:
            The sessions that ended.

        Raises:
            Problem: 403 `no_password`: they log in at the issuer; 422 as for `log_in`; `bad_credentials`,
                `rate_limited` or `unavailable` as for `log_in`.
        """
        stores = self._context.stores
        account = await stores.agents.account(session.agent_id) or await stores.officers.account(session.agent_id)
        if account is None:
            raise Problem(403, "no_password", "You log in at the issuer; your password is changed there.")
        person_id, username, _ = account
        names = await stores.agents.names([person_id], None) or await stores.officers.names([person_id], None)
        self._rules.require_fit(wish.new, wish.old, username, *names.values())
        given = Credentials(username=username, password=wish.old, address=wish.address, device=wish.device)
        attempt, found = await self._attempt(given)
        former = account[2] if found in (CODE_MISSING, CHANGE_MISSING) else found[1]
        if self._limited:
            await stores.attempts.forget(attempt.key)
        await self._rules.require_unknown(wish.new)
        new = await self._replace(person_id, former, wish.new)
        ended = await stores.sessions.end_others(session, fingerprint(new), self._context.clock())
        log.info("password_changed", agent_id=person_id, sessions=len(ended))
        for other in ended:
            await close_session_soon(self._context, other)
        return ended

    async def _must_change(self, person_id: str) -> bool:
        """Return whether the password of this agent or officer has to be replaced at the next login."""
        stores = self._context.stores
        people = stores.agents if await stores.agents.account(person_id) else stores.officers
        return await people.must_change_password(person_id)

    async def _replace(self, person_id: str, former: str, password: str) -> str:
        """Store a new password in place of the one with the hash `former`. Return its hash.

        Raises:
            Problem: 401 `bad_credentials`: another one counts meanwhile.
        """
        stores, new = self._context.stores, await self._passwords.hash(password)
        people = stores.agents if await stores.agents.account(person_id) else stores.officers
        if not await people.change_password(person_id, former, new):
            raise _bad_credentials()
        return new

    async def _attempt(self, credentials: Credentials) -> tuple[_Attempt, tuple[str, str]]:
        """Check credentials within the limits. Return the id and the password hash, or `CODE_MISSING`.

        Raises:
            Problem: As `log_in`.
        """
        username = credentials.username.strip().lower()
        device = self._device_of(username, credentials.device)
        key = self._digest("device", device) if device else self._digest("account", username)
        about = {
            "name": self._digest("log", f"name {username}")[:16],
            "address": self._digest("log", f"address {credentials.address}")[:16],
            "known_browser": device is not None,
        }
        if self._limited:
            now = self._clock()
            if device is None and (wait := self._addresses.wait(credentials.address, now)):
                raise _limited("address", wait, about)
            if not self._hashes.has_room(device or credentials.address):  # before the database is read
                raise _limited("address", 1, about)
            if wait := await self._context.stores.attempts.wait_of(key, self._context.clock()):
                raise _limited("device" if device else "account", wait, about)
        try:
            async with self._hashes.take(device or credentials.address, first=device is not None):
                found = await self._look(username, credentials, key, device, about)
        except Busy as busy:
            if busy.own:
                raise _limited("address", 1, about) from None
            raise _busy(about) from None
        except TimeoutError:
            raise _busy(about) from None
        if found is None:
            if device is None:  # a known browser has a limit of its own: others of its address do not share it
                self._addresses.wrong(credentials.address, self._clock())
            LOGINS.labels("bad_credentials").inc()
            log.warning("login_failed", **about)
            raise _bad_credentials()
        return _Attempt(username, device, key, about), found

    async def _look(
        self, username: str, credentials: Credentials, key: str, device: str | None, about: dict[str, object]
    ) -> tuple[str, str] | None:
        """Return the agent's id and the hash of their password; None when the password or the code is wrong.

        `CODE_MISSING`: the password is right, and a code is needed. `CHANGE_MISSING`: so is a new password.

        Raises:
            Problem: 422: the new password is not good enough. The attempt does not count.
        """
        if self._limited and (wait := await self._context.stores.attempts.admit(key, self._context.clock())):
            raise _limited("device" if device else "account", wait, about)
        barred = self._only is not None and username not in self._only
        known = None if barred else await self._password_of(username)
        agent_id, stored = known or (None, None)
        right = await self._passwords.verify(stored, credentials.password)
        if not right or agent_id is None or stored is None:
            return None
        secret = self._second_factors.get(username)
        await self._require_opened(agent_id, secret, key)
        await self._require_current(agent_id, secret, key, about)
        if await self._must_change(agent_id):  # before the code, which is accepted once
            if not credentials.new:
                return CHANGE_MISSING
            await self._require_fit_at_login(agent_id, username, credentials, key)
        if secret is None:
            return agent_id, stored
        if not credentials.code.strip():
            return CODE_MISSING
        return (agent_id, stored) if await self._is_code(agent_id, secret, credentials.code) else None

    async def _require_opened(self, person_id: str, secret: str | None, key: str) -> None:
        """Check that this replica knows the secret that the account has.

        Raises:
            Problem: 503 `unavailable`. The attempt does not count.
        """
        if not totp.is_sealed(secret):
            return
        if self._limited:
            await self._context.stores.attempts.take_back(key, self._context.clock())
        log.error("login_with_sealed_second_factor", account_id=person_id)
        raise Problem(503, "unavailable", "The code cannot be checked now. Tell your administrator.")

    async def _require_current(self, person_id: str, secret: str | None, key: str, about: dict[str, object]) -> None:
        """Check that this replica has the secret of the newest accounts that any replica has read.

        Raises:
            Problem: 503 `unavailable`. The attempt does not count.
        """
        stores = self._context.stores
        stored = await stores.agents.second_factor(person_id)
        if stored is None:
            stored = await stores.officers.second_factor(person_id)
        if stored in (None, totp.fingerprint(secret)):
            return
        if self._limited:
            await stores.attempts.take_back(key, self._context.clock())
        log.warning("login_before_accounts_are_read", **about)
        raise Problem(
            503, "unavailable", "The accounts have just changed. Try again in 5 seconds.", {"Retry-After": "5"}
        )

    async def _require_fit_at_login(self, person_id: str, username: str, credentials: Credentials, key: str) -> None:
        stores = self._context.stores
        names = await stores.agents.names([person_id], None) or await stores.officers.names([person_id], None)
        try:
            self._rules.require_fit(credentials.new, credentials.password, username, *names.values())
            await self._rules.require_unknown(credentials.new)
        except Problem:
            if self._limited:
                await stores.attempts.take_back(key, self._context.clock())
            raise

    async def _password_of(self, username: str) -> tuple[str, str] | None:
        """Return the id and the password hash of the agent or officer with this username."""
        stores = self._context.stores
        return await stores.agents.password_of(username) or await stores.officers.password_of(username)

    async def _is_code(self, agent_id: str, secret: str, code: str) -> bool:
        """Return whether this is the agent's code now. Each code is accepted once (RFC 6238 §5.2)."""
        now = self._context.clock()
        step = totp.matching_step(secret, code, now)
        if step is None:
            return False
        until = now + timedelta(seconds=4 * totp.STEP)
        return await self._context.stores.attempts.use_once(f"totp {agent_id} {step}", until)

    async def _begin(
        self, agent_id: str, stored: str, username: str, device: str | None, cookie: str, origin: Origin
    ) -> LoggedIn:
        context = self._context
        session, token = await context.stores.sessions.begin(
            agent_id, context.clock(), self._hours, fingerprint(stored), origin=origin
        )
        if await self._password_of(username) != (agent_id, stored):  # changed while it was checked
            await context.stores.sessions.end(token, context.clock())
            raise _bad_credentials()
        agent = await start_session(context, session)
        LOGINS.labels("ok").inc()
        role = agent.role if isinstance(agent, Officer) else "agent"
        log.info("agent_logged_in", agent_id=agent_id, role=role, known_browser=device is not None)
        if self._only is not None:
            log.warning("break_glass_login", agent_id=agent_id)
        return LoggedIn(session, token, agent, self._cookie(username, device, cookie))

    # ── the device cookie: one token for each account that this browser has logged in ────────────────────────────────

    def _device_of(self, username: str, cookie: str) -> str | None:
        """Return the id of the browser, if it has logged this account in before."""
        account = self._digest("device account", username)
        for token in cookie.split(_SEPARATOR)[:DEVICES]:
            known = self._keys.device_of(token)
            if known and known[0] == account:
                return known[1]
        return None

    def _cookie(self, username: str, device: str | None, cookie: str) -> str:
        """Return the device cookie with this account first. Of the other accounts the latest are kept."""
        account = self._digest("device account", username)
        tokens = [self._keys.device_token(account, device or secrets.token_urlsafe(16))]
        for token in cookie.split(_SEPARATOR)[:DEVICES]:
            known = self._keys.device_of(token)
            if known and known[0] != account:
                tokens.append(token)
        return _SEPARATOR.join(tokens[:DEVICES])

    def _digest(self, purpose: str, text: str) -> str:
        return self._keys.digest(f"login {purpose}", text).hex()[:32]


async def start_session(context: Context, session: Session) -> Agent | Officer:
    """Make the agent of a new session available, and end their oldest session if they have too many.

    Of an officer only the latter: they have no state.
    """
    agent_id = session.agent_id
    for old in await context.stores.sessions.end_oldest(agent_id, MOST_SESSIONS, context.clock()):
        log.info("session_gave_way", agent_id=agent_id)
        await close_session_soon(context, old)
    if officer := await context.stores.officers.officer(agent_id):
        return officer
    if await context.stores.agents.set_state(agent_id, AgentState.AVAILABLE, "login", session.id, context.clock()):
        context.wake(await context.stores.agents.departments_of(agent_id))
        await publish_agent_soon(context, agent_id)
    agent = await context.stores.agents.agent(agent_id)
    assert agent is not None
    return agent


def _bad_credentials() -> Problem:
    return Problem(401, "bad_credentials", "The username, the password or the code is not right.")


def _limited(by: str, wait: float, about: dict[str, object]) -> Problem:
    seconds = max(1, math.ceil(wait))
    LOGINS.labels("rate_limited").inc()
    LIMITED.labels(by).inc()
    log.warning("login_limited", by=by, retry_after=seconds, **about)
    return Problem(
        429,
        "rate_limited",
        f"Too many attempts to log in. Try again in {seconds} seconds.",
        {"Retry-After": str(seconds)},
    )


def _busy(about: dict[str, object]) -> Problem:
    LIMITED.labels("queue").inc()
    log.warning("login_limited", by="queue", retry_after=2, **about)
    return Problem(503, "unavailable", "Too many log in just now. Try again in 2 seconds.", {"Retry-After": "2"})
