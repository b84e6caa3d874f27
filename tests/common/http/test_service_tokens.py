"""`service_tokens.py`: who sends a request, and for whom, as presence says."""

import pytest
from starlette.types import Scope

from services.common.http.problems import Problem
from services.common.http.service_tokens import AGENT_HEADER, Caller, caller_of
from services.common.http.tokens import Actor, Agent, Keys, Stage
from tests.support.token_keys import SECRET, keys_of

AN = Agent(id="an", departments=["algemeen"])
SOFIE = Agent(id="sofie", supervisor=True, departments=["algemeen", "premies"])
AUDITOR = Agent(id="els", role="auditor")
GATEWAY, PRESENCE = keys_of("gateway"), keys_of("presence")


def scope_of(token: str, said: str | None = None) -> Scope:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    headers += [(AGENT_HEADER.lower().encode(), said.encode())] if said is not None else []
    return {"type": "http", "path": "/", "headers": headers}


def called(
    actor: Actor | None = None, agent: Agent | None = None, stage: Stage = "only", service: str = "gateway"
) -> Caller:
    """Who transcripts sees when the gateway, or another sender, asks."""
    token = keys_of(service).service_token(service, actor, "transcripts")
    said = PRESENCE.agent_token(agent) if agent else None
    return caller_of(scope_of(token, said), keys_of("transcripts", stage), "transcripts")


def test_the_gateway_speaks_for_itself_and_for_citizens() -> None:
    assert called().acting() is None
    citizen = Actor(party="citizen", id="chat")
    assert called(citizen).acting() == citizen


def test_an_agent_has_the_rights_that_presence_says_and_not_those_that_the_gateway_says() -> None:
    pretended = Actor(
        party="agent", id="an", supervisor=True, departments=["premies"], source="2001:db8::", reason="why"
    )
    acting = called(pretended, AN).acting()
    assert acting == Actor(
        party="agent", id="an", supervisor=False, departments=["algemeen"], source="2001:db8::", reason="why"
    )


@pytest.mark.parametrize("agent", [None, AN, AUDITOR])
def test_nobody_acts_for_an_agent_whom_presence_has_not_identified(agent: Agent | None) -> None:
    with pytest.raises(Problem) as caught:
        called(Actor(party="agent", id="sofie"), agent).acting()
    assert (caught.value.status, caught.value.code) == (403, "forbidden")


REQUIRED = {
    "themselves": (AN, ("an", ["algemeen"]), True),
    "a colleague": (AN, ("bert", ["algemeen"]), False),
    "another department": (AN, ("an", ["algemeen", "premies"]), False),
    "as a supervisor, whom they are not": (AN, ("an", ["algemeen"], True), False),
    "a supervisor": (SOFIE, ("sofie", ["premies"], True), True),
    "a supervisor, as an agent": (SOFIE, ("sofie", ["premies"]), True),
    "nobody by name, in a department": (SOFIE, (None, ["premies"], True), True),
    "nobody by name, elsewhere": (SOFIE, (None, ["elders"], True), False),
    "an auditor": (AUDITOR, ("els", (), False, "auditor"), True),
    "an auditor in any department": (AUDITOR, ("els", ["elders"], False, "auditor"), True),
    "an auditor as an agent": (AUDITOR, ("els", ()), False),
    "an auditor as an administrator": (AUDITOR, ("els", (), False, "administrator"), False),
    "an agent as an auditor": (AN, ("an", (), False, "auditor"), False),
    "whom presence has not identified": (None, ("an", ["algemeen"]), False),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_request_for_an_agent_needs_what_presence_says_of_them(name: str) -> None:
    agent, given, allowed = REQUIRED[name]
    if allowed:
        called(agent=agent).require_agent(*given)  # type: ignore[arg-type]
        return
    with pytest.raises(Problem) as caught:
        called(agent=agent).require_agent(*given)  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.code) == (403, "forbidden")


def test_before_the_last_step_a_gateway_that_says_nothing_is_believed_and_one_that_says_wrong_is_not() -> None:
    called(stage="sign").require_agent("sofie", ["algemeen"], supervisor=True)
    with pytest.raises(Problem):
        called(agent=AN, stage="sign").require_agent("sofie", ["algemeen"], supervisor=True)


def test_the_operator_is_believed() -> None:
    called(service="operator").require_agent("sofie", ["algemeen"], supervisor=True)


def test_what_is_for_the_operator_is_refused_to_a_gateway_for_whomever_it_asks() -> None:
    called(service="operator").require_operator()
    for agent in (None, AUDITOR):
        with pytest.raises(Problem) as caught:
            called(agent=agent).require_operator()
        assert (caught.value.status, caught.value.code) == (403, "forbidden")


@pytest.mark.parametrize("said", ["", "nonsense", GATEWAY.agent_token(SOFIE)])
def test_what_presence_has_not_said_is_refused_at_once(said: str) -> None:
    token = GATEWAY.service_token("gateway", None, "transcripts")
    keys = keys_of("transcripts")
    if not said:
        assert caller_of(scope_of(token, said), keys, "transcripts").agent is None
        return
    with pytest.raises(Problem) as caught:
        caller_of(scope_of(token, said), keys, "transcripts")
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")


def test_a_replica_without_keys_does_not_read_what_it_cannot_verify() -> None:
    """It was updated, and its keys come with the next restart."""
    keys = Keys(SECRET)
    found = caller_of(scope_of(keys.service_token("gateway"), PRESENCE.agent_token(AN)), keys, "transcripts")
    assert found == Caller("gateway", None, None, proves=False)
