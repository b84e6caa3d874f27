"""`security_headers.py`: the services that only the gateway reaches answer with data that nobody keeps."""

from collections.abc import Sequence

import aiohttp
import pytest

from services.common.http.security_headers import DATA, Header, completed
from services.docgen.applications import application
from tests.gateway.standing import listening
from tests.support.in_process.routes import routes_of

ID = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a23"


@pytest.mark.parametrize("service", ["presence", "routing", "transcripts"])
async def test_every_route_of_an_internal_service_answers_with_data_alone(service: str) -> None:
    app = application(service)
    statuses: dict[str, int] = {}
    async with listening(app, lifespan="off", ws="none") as (_, address), aiohttp.ClientSession() as client:
        for method, route in [("GET", "/nowhere"), ("PUT", "/healthz"), *routes_of(app)]:
            path = route
            for name in ("{chat_id}", "{attachment_id}", "{question_id}", "{owner_id}"):
                path = path.replace(name, ID)
            assert "{" not in path, f"{route}: give its parameter a value"
            async with client.request(method, f"http://{address}{path}", json={}) as answer:
                statuses[route] = answer.status
                assert {name: answer.headers.get(name) for name in DATA} == DATA, route
    probes = ("/healthz", "/metrics")
    assert {statuses[path] for path in probes} == {200}
    others = {route: status for route, status in statuses.items() if route not in (*probes, "/readyz", "/nowhere")}
    assert set(others.values()) == {401}, "none answers who has no service token"


@pytest.mark.parametrize(
    ("own", "whole"),
    [
        ((), [(b"a", b"1"), (b"b", b"2")]),
        ([(b"A", b"9")], [(b"A", b"9"), (b"b", b"2")]),
        (((b"b", b""), (b"c", b"3"), (b"c", b"4")), [(b"b", b""), (b"c", b"3"), (b"c", b"4"), (b"a", b"1")]),
    ],
)
def test_an_answer_keeps_its_own_headers(own: Sequence[Header], whole: list[Header]) -> None:
    assert completed(own, [(b"a", b"1"), (b"b", b"2")]) == whole
