"""Logins of agents at the issuer, the end of their sessions there, and the checks of roles while a session lives.

A login begins with random values that the browser keeps sealed in a cookie (state, nonce and the verifier of PKCE). The
issuer sends the browser back with a code, which this service exchanges. Each state is used once, in all replicas. The
claims give the person roles; a person with several chooses one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import Counter

from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api import presence as api
from services.presence.agents.logins import Addresses, start_session
from services.presence.agents.passwords import fingerprint
from services.presence.agents.roles import Officer
from services.presence.agents.session_store import IssuerSession, Origin, Session
from services.presence.agents.transitions import close_session_soon, end_former_session
from services.presence.context import Context
from services.presence.oidc.issuer import Issuer, IssuerUnavailable, Refused
from services.presence.oidc.roles import SUBJECT, Membership, Profile, RoleMapping, memberships_of
from services.presence.oidc.sealing import Seal
from services.presence.repairs import every
from services.presence.slots.rules import Agent

log = structlog.get_logger()

FLOW_LIFE = timedelta(minutes=10)  # in which the person logs in at the issuer
CHOICE_LIFE = timedelta(minutes=5)  # in which the person chooses a role
PATIENCE = 4.5  # seconds for the issuer's answers to a code; a gateway waits 5
AT_ONCE = 20  # codes that are exchanged at a time
REFRESHES_EACH = 1.0  # seconds between two looks for sessions to check
USED_LIFE = timedelta(hours=1)  # for which a logout token is remembered, longer than it is accepted

OIDC = Counter(
    "eloket_oidc_logins_total", "Logins at the issuer that have come back, and what became of them", ["outcome"]
)
OUTCOMES = ("ok", "choice", "oidc_cancelled", "oidc_expired", "oidc_failed", "oidc_acr", "oidc_no_role", "rate_limited")
for _outcome in (*OUTCOMES, "unavailable"):
    OIDC.labels(_outcome)
ENDED = Counter("eloket_oidc_sessions_ended_total", "Sessions that the issuer has ended", ["why"])
for _why in ("logout", "role_gone", "refused"):
    ENDED.labels(_why)


@dataclass(frozen=True)
class OidcLogin:
    """A new session, its token and its agent or officer."""

    session: Session
    token: str
    agent: Agent | Officer


class OidcLogins:
    """Logs agents in at the issuer."""

    def __init__(
        self,
        context: Context,
        issuer: Issuer,
        profile: Profile,
        mapping: RoleMapping,
        keys: Keys,
        life: float,
        refresh: float,
        limited: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare logins.

        Args:
            context: Dependencies of the service.
            issuer: The issuer.
            profile: Whose claims it sends.
            mapping: What its roles give.
            keys: The keys with which cookies and refresh tokens are sealed.
            life: Seconds of a session.
            refresh: Seconds between two checks of the roles; 0: they are not checked.
            limited: Whether attempts are limited.
            monotonic: Seconds of a monotonic clock.
        """
        self._context, self._issuer, self._profile = context, issuer, profile
        self._flows, self._choices = Seal(keys, "oidc flow"), Seal(keys, "oidc choice")
        self._refresh_tokens = Seal(keys, "oidc refresh")
        self._life, self._refresh, self._limited = life, refresh, limited
        self._monotonic = monotonic
        self._addresses = Addresses()
        self._exchanges = asyncio.Semaphore(AT_ONCE)
        self.follow_roles(mapping)

    def follow_roles(self, mapping: RoleMapping) -> None:
        """Take what the issuer's roles give now."""
        self._mapping = mapping
        self.fingerprint = fingerprint(mapping.fingerprint(self._issuer.client.issuer, self._profile))
        """What a session stores of the mapping: it ends when the mapping changes."""

    @property
    def issuer_id(self) -> str:
        """The identifier of the issuer."""
        return self._issuer.client.issuer

    @property
    def client_keys(self) -> list[dict[str, str]]:
        """The public keys with which this service authenticates at the issuer, as JWK."""
        return self._issuer.client_keys

    # ── the flow ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, former: str = "") -> api.OidcFlow:
        """Begin a login. `former`: the token of the session that the browser has; it ends when another one begins.

        Raises:
            Problem: 503 `unavailable` when the issuer's metadata cannot be read.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        try:
            async with asyncio.timeout(PATIENCE):
                url = await self._issuer.authorization_url(state, nonce, verifier)
        except (IssuerUnavailable, TimeoutError) as error:
            raise _unavailable(error) from error
        content = {"state": state, "nonce": nonce, "verifier": verifier, "former": former}
        return api.OidcFlow(url=url, flow=self._flows.close(content, self._context.clock() + FLOW_LIFE))

    async def finish(self, answer: api.OidcAnswer) -> OidcLogin | str:
        """Return the session of the person whom the issuer sent back, or what the browser keeps until they choose.

        Raises:
            Problem: 401 `oidc_cancelled`, `oidc_expired`, `oidc_failed`, `oidc_acr` or `oidc_no_role`; 429
                `rate_limited`; 503 `unavailable`.
        """
        if self._limited and (wait := self._addresses.wait(answer.address, self._monotonic())):
            raise _counted(_limited(wait))
        try:
            made = await self._finish(answer)
        except Problem as problem:
            if problem.status == 401:
                self._addresses.wrong(answer.address, self._monotonic())
            raise _counted(problem) from None
        OIDC.labels("choice" if isinstance(made, str) else "ok").inc()
        return made

    async def _finish(self, answer: api.OidcAnswer) -> OidcLogin | str:
        now = self._context.clock()
        flow = self._flows.open(answer.flow, now)
        if flow is None or not hmac.compare_digest(flow["state"].encode(), answer.state.encode("utf-8", "replace")):
            raise _refusal("oidc_expired", "state")
        if not await self._context.stores.attempts.use_once(_key("state", flow["state"]), now + FLOW_LIFE):
            raise _refusal("oidc_expired", "state_used")
        if answer.error:
            cancelled = answer.error == "access_denied"
            raise _refusal("oidc_cancelled" if cancelled else "oidc_failed", "error_of_issuer")
        try:
            async with asyncio.timeout(PATIENCE), self._exchanges:
                await self._issuer.require_issuer(answer.iss)
                tokens = await self._issuer.redeem(answer.code, flow["verifier"], flow["nonce"])
        except Refused as refused:
            raise _refusal("oidc_acr" if str(refused) == "acr" else "oidc_failed", str(refused)) from refused
        except (IssuerUnavailable, TimeoutError) as error:
            raise _unavailable(error) from error
        assert tokens.claims is not None
        claims = tokens.claims
        memberships = memberships_of(claims, self._profile, self._mapping)
        await self._end_lost_roles(claims, memberships)
        if not memberships:
            raise _refusal("oidc_no_role", "no_role")
        who = IssuerSession(claims["sub"], _text(claims.get("sid")), self._sealed(tokens.refresh_token))
        former = flow.get("former", "")  # a flow of a replica of an earlier release has none
        if len(memberships) == 1:
            return await self._log_in(memberships[0], who, former, Origin.of(answer.address, answer.client))
        content = {"who": asdict(who), "of": [_sealable(one) for one in memberships], "id": secrets.token_urlsafe(16)}
        content["former"] = former
        return await self._keep(content)

    async def _keep(self, content: dict[str, Any]) -> str:
        """Keep what a person may choose from. Return a reference: the whole could be too long for a cookie."""
        until = self._context.clock() + CHOICE_LIFE
        sealed = self._choices.close(content, until)
        reference = secrets.token_urlsafe(32)
        await self._context.stores.attempts.keep(_key("choice", reference), sealed, until)
        return reference

    async def choices(self, pending: str) -> api.OidcChoices:
        """Return the roles from which the person chooses.

        Raises:
            Problem: 401 `oidc_expired`.
        """
        content = await self._kept(pending)
        return api.OidcChoices(choices=[self._shown(one) for one in _memberships(content)])

    async def choose(self, pending: str, choice: str, origin: Origin | None = None) -> OidcLogin:
        """Log the person in with this role. The choice is made once.

        Args:
            pending: What the browser keeps.
            choice: The id of the role.
            origin: From where the session is begun.

        Raises:
            Problem: 401 `oidc_expired`, also for a role that was not offered.
        """
        content = await self._kept(pending)
        chosen = [one for one in _memberships(content) if one.agent_id(self.issuer_id) == choice]
        if not chosen or not await self._context.stores.attempts.remove(_key("choice", pending)):
            raise _counted(_refusal("oidc_expired", "choice"))
        made = await self._log_in(chosen[0], IssuerSession(**content["who"]), content.get("former", ""), origin)
        OIDC.labels("ok").inc()
        return made

    async def _kept(self, pending: str) -> dict[str, Any]:
        sealed = await self._context.stores.attempts.kept(_key("choice", pending))
        content = self._choices.open(sealed, self._context.clock()) if sealed else None
        if content is None:
            raise _counted(_refusal("oidc_expired", "choice"))
        return content

    def _shown(self, one: Membership) -> api.OidcChoice:
        return api.OidcChoice(
            id=one.agent_id(self.issuer_id),
            organisation=one.organisation,
            organisation_name=one.organisation_name,
            supervisor=one.supervisor,
            departments=list(one.departments),
            role=one.role,
        )

    async def _log_in(self, person: Membership, who: IssuerSession, former: str, origin: Origin | None) -> OidcLogin:
        context, now = self._context, self._context.clock()
        agent_id = person.agent_id(self.issuer_id)
        await self._put(agent_id, person)
        if who.refresh and self._refresh:
            who = IssuerSession(who.sub, who.sid, who.refresh, now + timedelta(seconds=self._refresh))
        else:
            who = IssuerSession(who.sub, who.sid)
        session, token = await context.stores.sessions.begin(
            agent_id, now, self._life / 3_600, self.fingerprint, who, origin
        )
        agent = await start_session(context, session)
        await end_former_session(context, former, agent_id)
        log.info("agent_logged_in", agent_id=agent_id, role=person.role or "agent", by="issuer")
        return OidcLogin(session, token, agent)

    async def _put(self, id_: str, person: Membership) -> None:
        """Store the person as an agent, or as an officer."""
        stores, now = self._context.stores, self._context.clock()
        if person.role is None:
            await stores.agents.put_person(id_, person, self.issuer_id, now)
        else:
            await stores.officers.put_person(id_, person, self.issuer_id)

    def _sealed(self, refresh_token: str | None) -> str | None:
        if refresh_token is None or not self._refresh:
            return None
        until = self._context.clock() + timedelta(seconds=self._life) + CHOICE_LIFE
        return self._refresh_tokens.close({"token": refresh_token}, until)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def log_out(self, token: str) -> None:
        """End the sessions that a logout token of the issuer names. Their agents' chats are handed on.

        Raises:
            Problem: 400 `invalid` for a token that is not valid or was used before; 503 `unavailable`.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                claims = await self._issuer.logout_claims(token)
        except Refused as refused:
            log.warning("oidc_logout_refused", why=str(refused))
            raise Problem(400, "invalid", "The logout token is not valid.") from refused
        except (IssuerUnavailable, TimeoutError) as error:
            raise _unavailable(error) from error
        attempts, used = self._context.stores.attempts, _key("logout", claims["jti"])
        if await attempts.was_used(used):
            log.warning("oidc_logout_refused", why="jti")
            raise Problem(400, "invalid", "The logout token was used before.")
        now = self._context.clock()
        ended = await self._context.stores.sessions.end_at_issuer(
            _text(claims.get("sub")), _text(claims.get("sid")), now
        )
        await self._close(ended, "logout")
        await attempts.use_once(used, now + USED_LIFE)  # last: a failed logout may be repeated

    async def _close(self, sessions: list[Session], why: str) -> None:
        for session in sessions:
            ENDED.labels(why).inc()
            log.info("session_ended_by_issuer", agent_id=session.agent_id, why=why)
            await close_session_soon(self._context, session)

    async def _end_lost_roles(self, claims: Mapping[str, Any], memberships: list[Membership]) -> None:
        """Disable the person's accounts that these claims no longer give, and end their sessions.

        Claims say nothing about other organisations than that of the session and those that they name.
        """
        subject = claims.get(SUBJECT[self._profile])
        if not isinstance(subject, str):
            return
        judged = {one.organisation for one in memberships}
        judged.add(str(claims.get("vo_orgcode") or "") if self._profile == "acmidm" else "")
        given = {one.agent_id(self.issuer_id) for one in memberships}
        lost: list[str] = []
        for store in (self._context.stores.agents, self._context.stores.officers):
            stored = await store.persons(self.issuer_id, subject)
            some = [id_ for id_, organisation in stored.items() if id_ not in given and organisation in judged]
            if some:
                await store.disable(some)
            lost += some
        for agent_id in lost:
            await self._close(await self._context.stores.sessions.end_all(agent_id, self._context.clock()), "role_gone")

    # ── checks of roles ──────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Check the roles of each session when it is due, until cancelled."""
        await every(REFRESHES_EACH, self._check_all)

    async def _check_all(self) -> None:
        while await self.check_one():
            pass

    async def check_one(self) -> bool:
        """Check the roles of one session that is due. Return whether there was one.

        While the issuer does not answer the session goes on; it ends when it expires.
        """
        now = self._context.clock()
        again_at = now + timedelta(seconds=self._refresh or self._life)
        taken = await self._context.stores.sessions.take_refresh(now, again_at)
        if taken is None:
            return False
        session, who = taken
        content = self._refresh_tokens.open(who.refresh or "", now)
        try:
            if content is None:
                raise Refused("refresh_token")
            tokens = await self._issuer.refresh(content["token"], who.sub)
        except Refused as refused:
            log.info("oidc_refresh_refused", agent_id=session.agent_id, why=str(refused))
            await self._close(await self._context.stores.sessions.end_by_id(session.id, now), "refused")
            return True
        except IssuerUnavailable as error:
            log.warning("oidc_issuer_unavailable", error=str(error))
            return True
        if sealed := self._sealed(tokens.refresh_token):
            await self._context.stores.sessions.put_refresh(session.id, sealed)
        if tokens.claims is not None:
            await self._apply(session, tokens.claims)
        return True

    async def _apply(self, session: Session, claims: Mapping[str, Any]) -> None:
        memberships = memberships_of(claims, self._profile, self._mapping)
        await self._end_lost_roles(claims, memberships)
        mine = [one for one in memberships if one.agent_id(self.issuer_id) == session.agent_id]
        if mine:
            await self._put(session.agent_id, mine[0])
        else:
            ended = await self._context.stores.sessions.end_by_id(session.id, self._context.clock())
            await self._close(ended, "role_gone")


def _memberships(content: Mapping[str, Any]) -> list[Membership]:
    return [
        Membership(**{**one, "departments": tuple(one["departments"]), "locales": tuple(one["locales"])})
        for one in content["of"]
    ]


def _sealable(one: Membership) -> dict[str, Any]:
    """Return a membership to be sealed. That of an agent is as before there were officers."""
    content = asdict(one)
    return content if one.role else {name: value for name, value in content.items() if name != "role"}


def _key(purpose: str, text: str) -> str:
    return f"oidc {purpose} {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _refusal(code: str, why: str) -> Problem:
    log.warning("oidc_login_refused", code=code, why=why)
    return Problem(401, code, "The login at the issuer is not accepted.")


def _unavailable(error: Exception) -> Problem:
    log.warning("oidc_issuer_unavailable", error=str(error) or type(error).__name__)
    return Problem(503, "unavailable", "The issuer does not answer. Try again in a few seconds.", {"Retry-After": "5"})


def _limited(wait: float) -> Problem:
    seconds = max(1, math.ceil(wait))
    detail = f"Too many attempts to log in. Try again in {seconds} seconds."
    return Problem(429, "rate_limited", detail, {"Retry-After": str(seconds)})


def _counted(problem: Problem) -> Problem:
    with contextlib.suppress(KeyError):
        OIDC.labels(problem.code).inc()
    return problem
