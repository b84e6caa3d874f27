"""Identification of citizens in a chat, at the citizens' issuer. The checks are those of `issuer.py`.

An agent has asked, and the citizen's page has a ticket for it, sealed, for one opening of the page `/identify`. From
there on the browser keeps state, nonce and the verifier of PKCE sealed in a cookie, with the chat and the request: what
comes back belongs to the chat whose page was opened in this browser. Each state is used once, in all replicas.

Of the claims only the name and the level (`acr`) are read. The national number (`rrn`) is not requested, and where the
issuer sends it all the same it is not read, compared, stored or logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import Counter

from services.common.config.departments import IdentificationRules
from services.common.events.identification import MOST_NAME, IdentificationEnded
from services.common.events.types import AssuranceLevel
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api import presence as api
from services.common.messaging.publisher import Unconfirmed
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.presence.context import Context
from services.presence.oidc.issuer import Issuer, IssuerUnavailable, Refused
from services.presence.oidc.sealing import Seal

log = structlog.get_logger()

FLOW_LIFE = timedelta(minutes=10)  # in which the citizen logs in at the issuer
PATIENCE = 4.5  # seconds for the issuer's answers; a gateway waits 5
AGAIN = 0.2  # seconds between two looks for the outcome of an answer that has arrived twice
AT_ONCE = 20  # codes that are exchanged at a time
CODE_LENGTH = 4
CODE_ALPHABET = "34679ACDEFGHJKMNPQRTWXY"  # without letters and digits that look like others

IDENTIFICATIONS = Counter(
    "eloket_presence_identifications_total",
    "Citizens who came back from the citizens' issuer, and what became of it",
    ["outcome"],
)
for _outcome in ("identified", "cancelled", "failed", "expired", "unavailable"):
    IDENTIFICATIONS.labels(_outcome)


class Identifications:
    """Identifies citizens at the citizens' issuer."""

    def __init__(
        self, context: Context, issuer: Issuer, rules: Callable[[], IdentificationRules | None], keys: Keys
    ) -> None:
        """Prepare identifications.

        Args:
            context: Dependencies of the service.
            issuer: The citizens' issuer.
            rules: Returns what the departments file says of it at present; None: citizens do not identify.
            keys: The keys with which tickets and cookies are sealed.
        """
        self._context, self._issuer, self._rules = context, issuer, rules
        self._tickets, self._flows = Seal(keys, "identification ticket"), Seal(keys, "identification flow")
        self._exchanges = asyncio.Semaphore(AT_ONCE)

    @property
    def client_keys(self) -> list[dict[str, str]]:
        """The public keys with which this service authenticates at the issuer, as JWK."""
        return self._issuer.client_keys

    async def begin(self, wanted: api.IdentificationWanted) -> api.IdentificationTicket:
        """Return a ticket for one opening of the page. It is valid until the request ends."""
        content = wanted.model_dump(mode="json", exclude={"until"}) | {"jti": secrets.token_urlsafe(16)}
        return api.IdentificationTicket(
            ticket=self._tickets.close(content, wanted.until),
            code=code_of(wanted.id),
            issuer=self._known_rules().name.in_(wanted.locale),
        )

    async def open(self, ticket: str) -> api.IdentificationFlow:
        """Begin the login for this ticket, which is used up.

        Raises:
            Problem: 401 `identification_expired`: the ticket is not ours, too old, or was used. 503 `unavailable`: the
                issuer does not answer; the ticket can be used again.
        """
        rules, now = self._known_rules(), self._context.clock()
        content = self._tickets.open(ticket, now)
        if content is None:
            raise _counted("expired", _expired("ticket"))
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        try:
            async with asyncio.timeout(PATIENCE):
                url = await self._issuer.authorization_url(state, nonce, verifier)
        except (IssuerUnavailable, TimeoutError) as error:
            raise _counted("unavailable", _unavailable(error)) from error
        if not await self._context.stores.attempts.use_once(_key("ticket", content["jti"]), now + FLOW_LIFE):
            raise _counted("expired", _expired("ticket_used"))
        flow = {name: content[name] for name in ("chat_id", "id", "locale")}
        flow |= {"state": state, "nonce": nonce, "verifier": verifier}
        return api.IdentificationFlow(
            url=url,
            flow=self._flows.close(flow, now + FLOW_LIFE),
            agent=content["agent"],
            department=content["department"],
            locale=content["locale"],
            code=code_of(content["id"]),
            issuer=rules.name.in_(content["locale"]),
        )

    async def finish(self, answer: api.OidcAnswer) -> api.IdentificationOutcome:
        """Publish who the citizen is whom the issuer has sent back, or that their identification has failed.

        Nothing is published for a login that this browser has not begun: else another person could end the request.
        The same answer of the issuer, with the cookie of the same browser, has the same outcome as the first time: a
        browser sends it twice when its page is reloaded. It publishes nothing. Another answer with this state is
        refused.

        Raises:
            Problem: 401 `identification_expired`; 503 `unavailable`: the event could not be published.
        """
        rules, now = self._known_rules(), self._context.clock()
        flow = self._flows.open(answer.flow, now)
        if flow is None or not hmac.compare_digest(flow["state"].encode(), answer.state.encode("utf-8", "replace")):
            raise _counted("expired", _expired("state"))
        state, given = _key("state", flow["state"]), _key("answer", "\n".join((flow["state"], *_said(answer))))
        if not await self._context.stores.attempts.use_once(state, now + FLOW_LIFE, given):
            return await self._first_outcome(state, given, flow["locale"])
        locale = flow["locale"]
        ended = IdentificationEnded(chat_id=flow["chat_id"], id=flow["id"])
        outcome, why = "failed", ""
        try:
            name, level = await self._identity(answer, flow, rules)
            ended = ended.model_copy(update={"name": name, "level": level, "issuer": rules.name.in_(locale)})
            outcome = "identified"
        except _Cancelled:
            outcome, why = "cancelled", "access_denied"
        except Refused as refused:
            why = str(refused)
        except (IssuerUnavailable, TimeoutError) as error:
            why = f"issuer_unavailable {error}".strip()
        if why:
            log.warning("identification_failed", chat_id=ended.chat_id, why=why)
        try:
            await self._context.publisher.publish(ended)
        except Unconfirmed as error:
            log.warning("identification_not_published", chat_id=ended.chat_id)
            await self._keep_outcome(given, "unavailable")
            raise _counted("unavailable", _not_now()) from error
        IDENTIFICATIONS.labels(outcome).inc()
        await self._keep_outcome(given, outcome)
        return api.IdentificationOutcome.model_validate({"outcome": outcome, "locale": locale})

    async def _keep_outcome(self, given: str, outcome: str) -> None:
        """Keep the outcome for a repetition. It says nothing of the citizen, and does not decide what happens."""
        with contextlib.suppress(*DEPENDENCY_ERRORS):
            await self._context.stores.attempts.keep(given, outcome, self._context.clock() + FLOW_LIFE)

    async def _first_outcome(self, state: str, given: str, locale: str) -> api.IdentificationOutcome:
        """Return the outcome of the same answer, which arrived before and may still be at work.

        Args:
            state: The key of the state.
            given: The key of the answer.
            locale: The chat's language.

        Raises:
            Problem: As `finish`; `identification_expired` for another answer, or without an outcome.
        """
        attempts, outcome = self._context.stores.attempts, None
        if await attempts.kept(state) == given:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    outcome = await self._wait_for_outcome(given)
        if outcome is None:
            raise _counted("expired", _expired("state_used"))
        if outcome == "unavailable":
            raise _not_now()
        return api.IdentificationOutcome.model_validate({"outcome": outcome, "locale": locale})

    async def _wait_for_outcome(self, given: str) -> str:
        while True:
            if (outcome := await self._context.stores.attempts.kept(given)) is not None:
                return outcome
            await asyncio.sleep(AGAIN)

    async def _identity(
        self, answer: api.OidcAnswer, flow: Mapping[str, Any], rules: IdentificationRules
    ) -> tuple[str, AssuranceLevel]:
        """Return the citizen's name, and the level of their login.

        Raises:
            _Cancelled: The citizen did not log in.
            Refused: The answer or its token is not accepted.
            IssuerUnavailable: The issuer does not answer.
        """
        if answer.error:
            raise _Cancelled if answer.error == "access_denied" else Refused("error_of_issuer")
        async with asyncio.timeout(PATIENCE), self._exchanges:
            await self._issuer.require_issuer(answer.iss)
            tokens = await self._issuer.redeem(answer.code, flow["verifier"], flow["nonce"])
        claims = tokens.claims or {}
        level = rules.levels.get(str(claims.get("acr")))
        if level is None:
            raise Refused("acr")
        return name_of(claims), level

    def _known_rules(self) -> IdentificationRules:
        rules = self._rules()
        if rules is None:
            raise Problem(404, "not_found", "Citizens do not identify here.")
        return rules


class _Cancelled(Exception):
    """The citizen has left the issuer's page without logging in."""


def name_of(claims: Mapping[str, Any]) -> str:
    """Return the name in these claims (`given_name`, `family_name`) in one line.

    Raises:
        Refused: There is none. A name that the agent cannot read is worth nothing.
    """
    parts = [claims.get("given_name"), claims.get("family_name")]
    joined = " ".join(part for part in parts if isinstance(part, str))
    shown = "".join(" " if c.isspace() else c for c in joined if c.isspace() or unicodedata.category(c)[0] != "C")
    name = " ".join(shown.split())[:MOST_NAME].rstrip()
    if not name:
        raise Refused("name")
    return name


def code_of(request: str) -> str:
    """Return the code of a request. It is no secret: it lets a person see that the page belongs to their own chat."""
    number = int.from_bytes(hashlib.sha256(f"identification code {request}".encode()).digest())
    letters = []
    for _ in range(CODE_LENGTH):
        number, rest = divmod(number, len(CODE_ALPHABET))
        letters.append(CODE_ALPHABET[rest])
    return "".join(letters)


def _said(answer: api.OidcAnswer) -> tuple[str, str, str]:
    """Return what the issuer has said beside the state."""
    return answer.code, answer.error, answer.iss or ""


def _key(purpose: str, text: str) -> str:
    return f"identification {purpose} {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _expired(why: str) -> Problem:
    log.info("identification_refused", why=why)
    return Problem(401, "identification_expired", "Go back to the conversation and press the button again.")


def _unavailable(error: Exception) -> Problem:
    log.warning("citizens_issuer_unavailable", error=str(error) or type(error).__name__)
    return _not_now()


def _not_now() -> Problem:
    return Problem(
        503, "unavailable", "This cannot be done just now. Try again in a few seconds.", {"Retry-After": "5"}
    )


def _counted(outcome: str, problem: Problem) -> Problem:
    IDENTIFICATIONS.labels(outcome).inc()
    return problem
