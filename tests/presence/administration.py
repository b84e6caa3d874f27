"""A process of presence whose services sign with keys, and what everyone but an administrator is answered there."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from services.common.http.service_tokens import AGENT_HEADER
from services.common.http.tokens import Agent
from tests.presence.test_service import Presence, presence
from tests.support.token_keys import PRIVATE, PUBLIC, keys_of

Requests = Sequence[tuple[str, dict[str, Any]]]
"""Paths and bodies. The last one is a change, of the administrator who is its author."""


def speak(service: Presence, sender: str, agent: Agent | None = None) -> None:
    """The requests that follow are of this service, for this agent."""

    def headers() -> dict[str, str]:
        token = keys_of(sender).service_token(sender, audience="presence")
        said = keys_of("presence").agent_token(agent) if agent else None
        return {"Authorization": f"Bearer {token}", **({AGENT_HEADER: said} if said else {})}

    service.make_headers = headers


@contextlib.asynccontextmanager
async def administered(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, **variables: str
) -> AsyncIterator[Presence]:
    """The service with its configuration in the database. It believes of an agent only what presence says."""
    keys = {"SIGNING_KEY": PRIVATE["presence"].hex(), "VERIFICATION_KEYS": PUBLIC, "TOKEN_KEYS": "only"}
    more = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database", **keys, **variables}
    async with presence(vhost_url, mongodb_url, **more) as service:
        yield service


async def require_administrator(service: Presence, requests: Requests) -> None:
    """Check that the author of the last request alone may send these; afterwards the requests are theirs."""
    path, body = requests[-1]
    own: str = body["by"]["id"]
    supervisor = Agent(id=own, supervisor=True, departments=["algemeen"])
    for refused in (None, supervisor, Agent(id=own, role="auditor")):
        speak(service, "gateway", refused)
        for each, given in requests:
            assert (await service.ask(each, given))[0] == 403, (each, refused)
    speak(service, "gateway", Agent(id="bert", role="administrator"))
    assert (await service.ask(path, body))[0] == 403, "for another administrator"
    for operator in ({**body["by"], "role": "operator"}, {"id": "bert", "name": "Bert", "role": "operator"}):
        status, problem = await service.ask(path, {**body, "by": operator})
        assert (status, problem["code"]) == (403, "forbidden"), "as the operator"
    speak(service, "operator")
    assert (await service.ask(path, body))[0] == 403, "as an administrator"
    speak(service, "gateway", Agent(id=own, role="administrator"))


async def require_file(service: Presence, requests: Requests) -> None:
    """Check that each of these is answered with: the configuration is in a file."""
    for path, body in requests:
        status, problem = await service.ask(path, body)
        assert (status, problem["code"]) == (409, "configuration_in_file")
