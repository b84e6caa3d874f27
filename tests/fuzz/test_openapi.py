"""Requests that are made of the OpenAPI documents, valid and not, against all four services as they run.

No request may have an answer above 500 but 503, every refusal is a problem document, and every answer is what the
document says. `make fuzz` sends more of them, other ones each time.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from services.common.http.tokens import Actor, Keys
from services.docgen.openapi import openapi
from tests.fuzz.amount import DERANDOMIZED, times
from tests.support.servers import PATIENCE, System, running_system

SECRET = "the secret of the system that strange requests are sent to"
EXAMPLES = 3
ENDLESS = ("/api/button/events", "/api/chats/{chat_id}/stream")
"""Streams of events, which do not end."""
ENDS_THE_SESSION = {("DELETE", "/api/agent/session"), ("POST", "/api/agent/session")}
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]
load_all_checks()


@dataclass
class Sent:
    """What was sent: the number of requests by class of status."""

    statuses: dict[int, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    """A system of its own, with its departments in the database: what is sent changes it."""
    variables = {"RATE_LIMITS": "off", "TOKEN_SECRET": SECRET, "CONFIG_SOURCE": "database"}
    with running_system(tmp_path_factory.mktemp("strange"), **variables, **shared_servers) as running:
        yield running


def session_of(system: System) -> str:
    """The cookie of an agent who has logged in; a login that cannot be answered just now (503) is repeated."""
    login = {"username": "sofie", "password": "demo"}
    origin = {"Origin": system.base_url}
    url, end = f"{system.base_url}/api/agent/session", time.monotonic() + PATIENCE
    while True:
        answer = requests.post(url, json=login, headers=origin, timeout=PATIENCE)
        if answer.status_code != 503 or time.monotonic() > end:
            break
        time.sleep(1)
    assert answer.status_code == 204, answer.text
    return answer.headers["Set-Cookie"].partition(";")[0]


def headers_of(service: str, system: System) -> list[dict[str, str]]:
    """With these headers each operation is tried."""
    if service != "gateway":
        keys, agent = Keys(SECRET), Actor(party="agent", id="sofie", supervisor=True, departments=["algemeen"])
        return [{"Authorization": f"Bearer {keys.service_token('gateway', actor)}"} for actor in (None, agent)]
    return [{}, {"Cookie": session_of(system), "Origin": system.base_url}]


@pytest.mark.parametrize("service", ["gateway", "presence", "routing", "transcripts"])
def test_every_answer_is_what_the_document_says(strange: System, service: str) -> None:
    schema = schemathesis.openapi.from_dict(openapi(service))
    sent = Sent()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result.err()
        operation = result.ok()
        if operation.path in ENDLESS or (operation.method.upper(), operation.path) in ENDS_THE_SESSION:
            continue
        for headers in headers_of(service, strange):
            try_operation(operation, strange.url(service), headers, sent)
    assert 200 in sent.statuses
    assert 400 in sent.statuses


def try_operation(operation: Any, base: str, headers: dict[str, str], sent: Sent) -> None:
    """Send requests for one operation, half of them as the document wants them."""

    @settings(
        max_examples=times(EXAMPLES),
        derandomize=DERANDOMIZED,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode]))
    def run(case: Any) -> None:
        case.headers = {**(case.headers or {}), **headers}
        answer = case.call(base_url=base, timeout=PATIENCE)
        kind = answer.status_code // 100 * 100
        sent.statuses[kind] = sent.statuses.get(kind, 0) + 1
        if answer.status_code == 503:
            return
        case.validate_response(answer, checks=CHECKS)
        if kind in (400, 500):
            of_oauth = case.path == "/api/integration/token" and answer.status_code in (
                400,
                401,
            )  # RFC 6749, section 5.2
            said = answer.json()["error" if of_oauth else "code"]
            assert said, f"no problem document: {answer.status_code} {case.method} {case.path}"

    run()
