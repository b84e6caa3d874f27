"""`services/gateway/http/integration.py` behind a real server: access tokens, and what they open."""

import base64
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from structlog.testing import capture_logs

from services.common import clock
from services.common.http import tokens
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api.integration import (
    CLIENT_ASSERTED,
    CLIENT_AUTHENTICATE,
    CLOSED_CHATS,
    QUESTION_ROWS,
    STATISTIC_ROWS,
    ClientAssertion,
    ClientReader,
    ClientScopes,
    ClientSecret,
    ClosedChatsPage,
    ClosedChatsQuery,
    RowsPage,
    RowsQuery,
)
from services.gateway import rate_limits
from services.gateway.http import integration
from services.gateway.http.integration import ASSERTION_TYPE
from services.gateway.refusal_log import RefusalLog
from tests.gateway.asking import Client
from tests.gateway.http.citizen.test_after_chat import limited_client
from tests.gateway.making import AN
from tests.gateway.standing import KEYS, World, gateway_of

TOKEN = "/api/integration/token"
FORM = "application/x-www-form-urlencoded"
GRANT = b"grant_type=client_credentials"
CHAT = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a23"
SCOPES = ["statistics:*", "chats:algemeen", "transcripts:algemeen", "questions:premies"]
NOVEMBER = "from=2026-11-01&until=2026-11-02"
STATISTICS = f"/api/integration/statistics?department=algemeen&{NOVEMBER}"
QUESTIONS = f"/api/integration/questions?department=premies&{NOVEMBER}"
CHATS = "/api/integration/chats?department=algemeen"
TRANSCRIPT = f"/api/integration/chats/{CHAT}/transcript"


def basic(text: str = "cijfers:geheim") -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def bearer(scopes: list[str] | None = None, keys: Keys = KEYS) -> str:
    return "Bearer " + keys.client_token("cijfers", SCOPES if scopes is None else scopes)


def asked_of(world: World) -> list[tuple[str, str]]:
    """What transcripts was asked for clients: the paths and the bodies."""
    return [one for one in world.others.asked if one[0].startswith("/internal/integration/")]


@pytest.fixture(autouse=True)
def answers(world: World) -> None:
    """What transcripts answers."""
    world.others.fixed |= {
        CLIENT_AUTHENTICATE: ClientScopes(client_id="cijfers", scopes=SCOPES),
        STATISTIC_ROWS: RowsPage(rows=[{"id": "r"}], next="1-a"),
        QUESTION_ROWS: RowsPage(rows=[{"question_id": "q"}]),
        CLOSED_CHATS: ClosedChatsPage(chats=[], next="00000000000001-"),
    }
    world.others.files[CHAT] = b"{}"


async def test_a_client_gets_a_token_for_ten_minutes(world: World, client: Client) -> None:
    status, told, headers = await client.ask(
        "POST", TOKEN, GRANT + b"&scope=chats%3Aalgemeen", Authorization=basic(), Content_Type=FORM
    )
    assert (status, headers["Cache-Control"], headers["Content-Type"]) == (200, "no-store", "application/json")
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 600, " ".join(SCOPES))
    assert KEYS.client_of(told["access_token"]) == ("cijfers", frozenset(SCOPES))
    (asked,) = (ClientSecret.model_validate_json(body) for path, body in asked_of(world))
    assert asked == ClientSecret(client_id="cijfers", secret="geheim", scope="chats:algemeen")


async def test_id_and_secret_are_encoded_as_in_a_form(world: World, client: Client) -> None:
    given = basic(f"{quote('een client', safe='')}:{quote('a:b%+', safe='')}")
    assert (await client.ask("POST", TOKEN, GRANT, Authorization=given, Content_Type=FORM))[0] == 200
    (asked,) = (ClientSecret.model_validate_json(body) for path, body in asked_of(world))
    assert (asked.client_id, asked.secret, asked.scope) == ("een client", "a:b%+", None)


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        (GRANT, {"Authorization": ""}, 401, "invalid_client"),
        (GRANT, {"Authorization": "Basic !"}, 401, "invalid_client"),
        (GRANT, {"Authorization": basic("nothing")}, 401, "invalid_client"),
        (GRANT, {"Authorization": "Basic " + "A" * 1_000}, 401, "invalid_client"),
        (GRANT, {"Authorization": "Bearer x"}, 401, "invalid_client"),
        (GRANT + b"&client_id=cijfers&client_secret=geheim", {"Authorization": ""}, 401, "invalid_client"),
        (b"", {}, 400, "invalid_request"),
        (b"grant_type=password", {}, 400, "unsupported_grant_type"),
        (GRANT + b"&" + GRANT, {}, 400, "invalid_request"),
        (GRANT + b"&scope=a&scope=b", {}, 400, "invalid_request"),
        (GRANT + b"&scope=" + b"a" * 2_001, {}, 400, "invalid_scope"),
        (GRANT + b"&x=%ff", {}, 400, "invalid_request"),
        (b"&".join([GRANT, *(b"a%d=1" % n for n in range(10))]), {}, 400, "invalid_request"),
        (b'{"grant_type": "client_credentials"}', {"Content_Type": "application/json"}, 400, "invalid_request"),
    ],
)
async def test_wrong_token_requests_are_refused_as_oauth_has_it(
    world: World, client: Client, body: bytes, headers: dict[str, str], status: int, error: str
) -> None:
    given = {"Authorization": basic(), "Content_Type": FORM, **headers}
    got, told, answered = await client.ask("POST", TOKEN, body, **given)
    assert (got, told["error"], answered["Content-Type"]) == (status, error, "application/json")
    assert (answered.get("WWW-Authenticate", "").startswith("Basic ")) == (status == 401)
    assert told["error_description"]
    assert asked_of(world) == []


ASSERTED = GRANT + b"&client_assertion_type=" + quote(ASSERTION_TYPE, safe="").encode() + b"&client_assertion="
PLACE = {"Host": "chat.stad.example", "Content_Type": FORM}


@pytest.fixture
async def known_client(world: World) -> AsyncIterator[Client]:
    """A gateway that knows its own addresses."""
    origins = "https://chat.stad.example,https://chat.andere.example"
    async with limited_client(world, public_origins=origins) as one:
        yield one


async def test_a_client_with_a_key_gets_a_token_for_what_it_has_signed(world: World, known_client: Client) -> None:
    world.others.fixed[CLIENT_ASSERTED] = ClientScopes(client_id="cijfers", scopes=SCOPES)
    body = ASSERTED + b"a.b.c&client_id=cijfers&scope=chats%3Aalgemeen"
    status, told, headers = await known_client.ask("POST", TOKEN, body, **PLACE)
    assert (status, headers["Cache-Control"], told["token_type"]) == (200, "no-store", "Bearer")
    assert KEYS.client_of(told["access_token"]) == ("cijfers", frozenset(SCOPES))
    ((path, asked),) = asked_of(world)
    assert path == CLIENT_ASSERTED
    given = ClientAssertion.model_validate_json(asked)
    assert (given.assertion, given.client_id, given.scope) == ("a.b.c", "cijfers", "chats:algemeen")
    assert given.audiences == ["https://chat.stad.example", "https://chat.andere.example"]
    assert (await known_client.ask("POST", TOKEN, ASSERTED + b"a.b.c", **PLACE))[0] == 200
    _, (_, asked) = asked_of(world)
    again = ClientAssertion.model_validate_json(asked)
    assert (again.client_id, again.scope) == (None, None)
    assert len({given.request, again.request}) == 2, "the same assertion in another request is another use"


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        (ASSERTED + b"a.b.c", {"Authorization": basic()}, 400, "invalid_request"),
        (ASSERTED, {}, 400, "invalid_request"),
        (GRANT + b"&client_assertion=a.b.c", {}, 400, "invalid_request"),
        (GRANT + b"&client_assertion_type=saml&client_assertion=a", {}, 400, "invalid_request"),
        (ASSERTED + b"a&client_assertion=b", {}, 400, "invalid_request"),
        (ASSERTED + b"a.b.c&client_id=a&client_id=b", {}, 400, "invalid_request"),
        (ASSERTED + b"a.b.c", {"Authorization": "Bearer x"}, 401, "invalid_client"),
        (ASSERTED + b"a" * 4_097, {}, 401, "invalid_client"),
        (ASSERTED + b"a&client_id=" + b"c" * 101, {}, 401, "invalid_client"),
        (ASSERTED.replace(b"client_credentials", b"password") + b"a", {}, 400, "unsupported_grant_type"),
    ],
)
async def test_wrong_requests_with_an_assertion_are_refused(
    world: World, known_client: Client, body: bytes, headers: dict[str, str], status: int, error: str
) -> None:
    got, told, _ = await known_client.ask("POST", TOKEN, body, **PLACE, **headers)
    assert (got, told["error"]) == (status, error)
    assert asked_of(world) == []


async def test_an_assertion_is_for_an_address_that_the_gateway_knows(world: World, client: Client) -> None:
    """Else one that a client has signed for another server would be good here under that server's name."""
    got, told, _ = await client.ask("POST", TOKEN, ASSERTED + b"a.b.c", Content_Type=FORM)
    assert (got, told["error"]) == (401, "invalid_client")
    assert "PUBLIC_ORIGINS" in told["error_description"]
    assert asked_of(world) == []


async def test_what_transcripts_refuses_of_an_assertion_is_refused(world: World, known_client: Client) -> None:
    for problem, status, error in (
        (Problem(401, "invalid_client", "no", why="aud", client="cijfers"), 401, "invalid_client"),
        (Problem(400, "invalid_scope", "no"), 400, "invalid_scope"),
    ):
        world.others.refused[CLIENT_ASSERTED] = problem
        got, told, headers = await known_client.ask("POST", TOKEN, ASSERTED + b"a.b.c", **PLACE)
        assert (got, told) == (status, {"error": error, "error_description": "no"}), "the client is not told why"
        assert ("WWW-Authenticate" in headers) == (status == 401)
    world.others.refused[CLIENT_ASSERTED] = Problem(404, "not_found", "a release that knows no keys of clients")
    got, told, _ = await known_client.ask("POST", TOKEN, ASSERTED + b"a.b.c", **PLACE)
    assert (got, told["code"]) == (503, "unavailable")


async def test_refused_clients_are_logged_with_the_reason_and_a_bound(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integration, "REFUSALS", RefusalLog(clock=lambda: 0.0))
    world.others.refused[CLIENT_AUTHENTICATE] = Problem(401, "invalid_client", "no", why="secret")
    with capture_logs() as lines:
        assert (await client.ask("POST", TOKEN, GRANT, Content_Type=FORM))[0] == 401, "nothing was shown"
        assert (await client.ask("POST", TOKEN, GRANT, Authorization="Basic !", Content_Type=FORM))[0] == 401
        for _ in range(30):
            assert (await client.ask("POST", TOKEN, GRANT, Authorization=basic(), Content_Type=FORM))[0] == 401
    noted = [one for one in lines if one["event"] == "access_refused"]
    assert len(noted) == 20, "one line a second after these"
    about = {"method": "POST", "route": TOKEN, "status": 401, "code": "invalid_client", "log_level": "warning"}
    assert [{n: v for n, v in one.items() if n != "event"} for one in noted[:2]] == [
        {**about, "why": "credentials"},
        {**about, "why": "secret"},
    ]
    assert "geheim" not in str(lines)


async def test_the_log_of_a_refused_assertion_names_a_client_of_the_file(
    world: World, known_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integration, "REFUSALS", RefusalLog())
    for client_id in ("cijfers", None):
        world.others.refused[CLIENT_ASSERTED] = Problem(401, "invalid_client", "no", why="exp", client=client_id)
        with capture_logs() as lines:
            assert (await known_client.ask("POST", TOKEN, ASSERTED + b"a.b.c&client_id=x", **PLACE))[0] == 401
        (noted,) = (one for one in lines if one["event"] == "access_refused")
        assert (noted["why"], noted.get("client")) == ("exp", client_id)
        assert "a.b.c" not in str(lines)


async def test_assertions_and_secrets_are_limited_together(world: World, known_client: Client) -> None:
    world.others.refused[CLIENT_ASSERTED] = Problem(401, "invalid_client", "no", why="signature")
    world.others.fixed[CLIENT_AUTHENTICATE] = ClientScopes(client_id="cijfers", scopes=SCOPES)
    statuses = []
    for _ in range(11):
        statuses.append((await known_client.ask("POST", TOKEN, ASSERTED + b"a.b.c", **PLACE))[0])
        statuses.append((await known_client.ask("POST", TOKEN, GRANT, Authorization=basic(), **PLACE))[0])
    assert statuses[:20] == [401, 200] * 10
    assert 429 in statuses[20:]


async def test_what_transcripts_refuses_is_refused(world: World, client: Client) -> None:
    for refused, status, error in (
        (Problem(401, "invalid_client", "no"), 401, "invalid_client"),
        (Problem(400, "invalid_scope", "no"), 400, "invalid_scope"),
    ):
        world.others.refused[CLIENT_AUTHENTICATE] = refused
        got, told, _ = await client.ask("POST", TOKEN, GRANT, Authorization=basic(), Content_Type=FORM)
        assert (got, told["error"]) == (status, error)
    world.others.refused[CLIENT_AUTHENTICATE] = Problem(404, "not_found", "a release that has no clients")
    got, told, _ = await client.ask("POST", TOKEN, GRANT, Authorization=basic(), Content_Type=FORM)
    assert (got, told["code"]) == (503, "unavailable")
    big = await client.ask("POST", TOKEN, b"a" * 9_000, Authorization=basic(), Content_Type=FORM)
    assert (big[0], big[1]["code"]) == (413, "too_large")


async def test_a_client_reads_pages(world: World, client: Client) -> None:
    status, told, headers = await client.ask(
        "GET", f"{STATISTICS}&of=questions&cursor=1-a&limit=2", Authorization=bearer()
    )
    assert (status, told, headers["Cache-Control"]) == (200, {"rows": [{"id": "r"}], "next": "1-a"}, "no-store")
    status, told, _ = await client.ask("GET", QUESTIONS, Authorization=bearer())
    assert (status, told) == (200, {"questions": [{"question_id": "q"}], "next": None})
    status, told, _ = await client.ask("GET", f"{CHATS}&{NOVEMBER}&cursor=00000000000001-", Authorization=bearer())
    assert (status, told) == (200, {"chats": [], "next": "00000000000001-", "searched_until": None})
    who, days = ClientReader(client_id="cijfers", source="127.0.0.1"), (date(2026, 11, 1), date(2026, 11, 2))
    queries = dict(world.others.asked)
    common: dict[str, Any] = {"reader": who, "since": days[0], "until": days[1]}
    rows = RowsQuery(department="algemeen", after="1-a", limit=2, of="questions", **common)
    assert RowsQuery.model_validate_json(queries[STATISTIC_ROWS]) == rows
    assert RowsQuery.model_validate_json(queries[QUESTION_ROWS]) == RowsQuery(department="premies", **common)
    chats = ClosedChatsQuery(department="algemeen", before="00000000000001-", **common)
    assert ClosedChatsQuery.model_validate_json(queries[CLOSED_CHATS]) == chats
    assert (await client.ask("GET", TRANSCRIPT, Authorization=bearer()))[0] == 200
    assert world.others.downloads == ["transcript?format=json"]


@pytest.mark.parametrize("path", [STATISTICS, QUESTIONS, CHATS, TRANSCRIPT])
async def test_without_a_token_of_a_client_nothing_is_read(
    world: World, client: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie, own = world.others.log_in(AN), KEYS.client_token("cijfers", SCOPES)
    wrong = {
        "none": {},
        "agent": {"Cookie": f"eloket-agent={cookie}"},
        "service": {"Authorization": f"Bearer {KEYS.service_token('gateway')}"},
        "chat": {"Authorization": f"Bearer {KEYS.chat_token(CHAT)}"},
        "basic": {"Authorization": basic()},
        "other key": {"Authorization": bearer(keys=Keys("another secret, long enough"))},
        "changed": {"Authorization": f"Bearer {own[:-3]}AAA"},
    }
    for name, headers in wrong.items():
        status, told, answered = await client.ask("GET", path, **headers)
        assert (status, told["code"]) == (401, "unauthenticated"), name
        assert answered["WWW-Authenticate"].startswith("Bearer "), name
    later = clock.utcnow() + timedelta(seconds=601)
    monkeypatch.setattr(tokens, "utcnow", lambda: later)
    assert (await client.ask("GET", path, Authorization=f"Bearer {own}"))[0] == 401, "it has expired"
    assert asked_of(world) == []
    assert world.others.downloads == []


@pytest.mark.parametrize("path", [STATISTICS, QUESTIONS, CHATS, TRANSCRIPT])
async def test_a_token_opens_its_scopes_alone(world: World, client: Client, path: str) -> None:
    kind = path.split("/")[-1].partition("?")[0].replace("transcript", "transcripts")
    others = [scope for scope in SCOPES if not scope.startswith(f"{kind}:")]
    others += [] if kind == "transcripts" else [f"{kind}:burgerzaken"]
    status, told, headers = await client.ask("GET", path, Authorization=bearer(others))
    assert (status, told["code"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]
    assert (await client.ask("GET", path, Authorization=bearer([])))[0] == 403
    assert asked_of(world) == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (STATISTICS.replace("2026-11-01", "2026-13-01"), 422, "invalid_period"),
        (STATISTICS.replace("2026-11-01", "2026-11-03"), 422, "invalid_period"),
        (STATISTICS.replace("2026-11-01", "2024-11-01"), 422, "period_too_long"),
        (f"{STATISTICS}&limit=201", 422, "invalid"),
        (f"{STATISTICS}&cursor=x", 422, "invalid"),
        (f"{STATISTICS}&of=agents", 422, "invalid"),
        (f"{CHATS}&from=2026-11-02&until=2026-11-01", 422, "invalid_period"),
        (f"{CHATS}&from=0001-01-01", 422, "invalid_period"),
        ("/api/integration/chats/none/transcript", 404, "no_such_chat"),
        (TRANSCRIPT.replace("0b8", "0b9"), 404, "no_such_chat"),
    ],
)
async def test_wrong_requests_are_refused(client: Client, path: str, status: int, code: str) -> None:
    got, told, _ = await client.ask("GET", path, Authorization=bearer())
    assert (got, told["code"]) == (status, code)


async def test_transcripts_decides_last(world: World, client: Client) -> None:
    world.others.refused[STATISTIC_ROWS] = Problem(403, "insufficient_scope", "no")
    got, told, _ = await client.ask("GET", STATISTICS, Authorization=bearer())
    assert (got, told["code"]) == (403, "insufficient_scope")
    world.others.away.add(CLOSED_CHATS)
    got, told, headers = await client.ask("GET", CHATS, Authorization=bearer())
    assert (got, told["code"], headers["Retry-After"]) == (503, "unavailable", "5")


async def test_a_client_and_an_address_have_their_limits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration, "READS_PER_CLIENT", rate_limits.Limit(2, 1e-3))
    monkeypatch.setattr(integration, "CLIENT_TOKENS_PER_ADDRESS", rate_limits.Limit(1, 1e-3))
    async with (
        gateway_of(world.settings.model_copy(update={"rate_limits": "on"})) as limited,
        aiohttp.ClientSession(f"http://{limited.address}") as session,
    ):
        client = Client(session)
        found = [(await client.ask("GET", STATISTICS, Authorization=bearer()))[0] for _ in range(3)]
        assert found == [200, 200, 429]
        other = "Bearer " + KEYS.client_token("ander", SCOPES)
        assert (await client.ask("GET", STATISTICS, Authorization=other))[0] == 200
        tokens_asked = [
            (await client.ask("POST", TOKEN, GRANT, Authorization=basic(), Content_Type=FORM))[0] for _ in range(2)
        ]
        assert tokens_asked == [200, 429]
