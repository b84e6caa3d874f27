"""Requests between services: each has a service token, and a service answers no request without one.

A request for an agent also has an agent token (`Eloket-Agent`): what presence says of them. The gateway passes it on
and cannot make it. Where `TOKEN_KEYS` is `only`, no service believes the gateway without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.http.problems import Problem, document
from services.common.http.tokens import OPERATOR, Actor, Agent, Keys
from services.common.observability.http_metrics import PROBES

AGENT_HEADER = "Eloket-Agent"
_CALLER = "eloket.caller"  # key of the scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        service: The service.
        actor: The participant for whom it is sent; None: for the service itself.
        agent: The agent whom presence has identified for it.
        proves: Whether a request for an agent has to have `agent`.
    """

    service: str
    actor: Actor | None
    agent: Agent | None
    proves: bool

    def require_agent(
        self,
        agent_id: str | None,
        departments: Collection[str] = (),
        supervisor: bool = False,
        role: str | None = None,
    ) -> None:
        """Check that the request is sent for this agent or officer, as presence says; the operator is believed.

        Args:
            agent_id: Whom the request names; None: nobody.
            departments: The departments in which they act: all have to be theirs.
            supervisor: Whether they act as a supervisor.
            role: The role of an officer, who has all departments.

        Raises:
            Problem: 403 `forbidden`.
        """
        if self.service == OPERATOR or (self.agent is None and not self.proves):
            return
        known = self.agent
        if known is None or agent_id not in (None, known.id) or role != known.role:
            raise _not_theirs()
        if role is None and (not set(departments) <= set(known.departments) or supervisor > known.supervisor):
            raise _not_theirs()

    def require_operator(self) -> None:
        """Check that a command of the operator sends the request: no other service may, for whomever it acts.

        Raises:
            Problem: 403 `forbidden`.
        """
        if self.service != OPERATOR:
            raise Problem(403, "forbidden", "Only the operator's commands may do this.")

    def acting(self) -> Actor | None:
        """Return the participant; an agent has the rights of the agent token.

        Raises:
            Problem: 403 `forbidden`: the agent token is of another agent or is missing.
        """
        if self.actor is None or self.actor.party != "agent":
            return self.actor
        self.require_agent(self.actor.id)
        if self.agent is None or self.service == OPERATOR:
            return self.actor
        return self.actor.model_copy(
            update={"supervisor": self.agent.supervisor, "departments": list(self.agent.departments)}
        )


def _not_theirs() -> Problem:
    return Problem(403, "forbidden", "Presence has not identified the agent for whom this is asked.")


def caller_of(scope: Scope, keys: Keys, audience: str = "") -> Caller:
    """Return who sends this request to the service `audience`.

    Raises:
        Problem: 401 `unauthenticated` without a valid service token, or with an agent token that is not valid.
    """
    if _CALLER not in scope:
        headers = Headers(scope=scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        known = keys.service_of(token, audience) if scheme.lower() == "bearer" else None
        if known is None:
            raise Problem(401, "unauthenticated", "This address is for the other services only.")
        agent_token = headers.get(AGENT_HEADER)
        agent = keys.agent_of(agent_token, audience) if agent_token else None
        if agent_token and agent is None and keys.knows_keys:
            raise Problem(401, "unauthenticated", "The agent token is not valid (any more).")
        scope[_CALLER] = Caller(known[0], known[1], agent, keys.requires_keys)
    found: Caller = scope[_CALLER]
    return found


class ServiceTokenRequired:
    """ASGI middleware of a service that only other services ask: 401 `unauthenticated` before a body is read.

    Probes and scrapes have no token. What a route may do for the participant of the token is for the route to say.
    """

    def __init__(self, app: ASGIApp, keys: Keys, audience: str = "") -> None:
        self._app, self._keys, self._audience = app, keys, audience

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            try:
                caller_of(scope, self._keys, self._audience)
            except Problem as problem:
                return document(problem.status, problem.code, problem.detail)(scope, receive, send)
        return self._app(scope, receive, send)
