"""services/presence/oidc/identifications.py against an issuer over HTTP, a real database and a real broker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import aiohttp
import pytest
from structlog.testing import capture_logs

from services.common.config.departments import IdentificationRules, Text
from services.common.events.identification import IdentificationEnded
from services.common.events.types import AssuranceLevel
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api.presence import IdentificationTicket, IdentificationWanted, OidcAnswer
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.mongo.client import Database
from services.presence.context import Context
from services.presence.oidc import identifications as identifications_module
from services.presence.oidc import issuer as issuer_module
from services.presence.oidc.identifications import CODE_ALPHABET, Identifications, code_of, name_of
from services.presence.oidc.issuer import Client, Issuer, Refused
from tests.presence.conftest import SECRET, Clock, EventObserver
from tests.presence.oidc.conftest import WRONG_CLAIMS, shifted
from tests.support.metrics import sample
from tests.support.mock_issuer import CLIENT_ID, CLIENT_SECRET, MockIssuer, running_issuer

BACK = "http://127.0.0.1:8000/identify/callback"
EID, PASSWORD = "urn:be:vlaanderen:authmech:eid", "urn:be:vlaanderen:authmech:csampassword"
NAME = Text(nl="Toegangsbeheer", fr="Gestion des accès", de="Zugangsverwaltung", en="Access management")
RULES = IdentificationRules(name=NAME, levels={EID: AssuranceLevel.HIGH, PASSWORD: AssuranceLevel.LOW})
NUMBER = "85073003328"
LIEN = {
    "sub": "pairwise-citizen-1",
    "given_name": "Lien",
    "family_name": "De  Smet",
    "rrn": NUMBER,
    "vo_doelgroepcode": "BUR",
    "acr": EID,
}
CHAT, REQUEST = str(uuid4()), str(uuid4())


@pytest.fixture
def issuer() -> Iterator[MockIssuer]:
    with running_issuer(BACK, LIEN) as running:
        yield running


class Door:
    """One replica, and a browser that follows the issuer."""

    def __init__(self, context: Context, mock: MockIssuer, acr: tuple[str, ...] = ()) -> None:
        client = Client(mock.url, CLIENT_ID, CLIENT_SECRET, BACK, "openid profile", acr)
        self.clock = context.clock
        self.passed = 100_000.0  # seconds of the clock by which metadata and keys are too old
        self.rules: IdentificationRules | None = RULES
        self.issuer = Issuer(client, context.clock, lambda: self.passed)
        self.identifications = Identifications(context, self.issuer, lambda: self.rules, Keys(SECRET))

    async def ticket(self, request: str = REQUEST, chat: str = CHAT, seconds: float = 600) -> IdentificationTicket:
        until = self.clock() + timedelta(seconds=seconds)
        wanted = IdentificationWanted(
            chat_id=chat, id=request, agent="An", department="Algemeen", locale="fr", until=until
        )
        return await self.identifications.begin(wanted)

    async def answer(self, request: str = REQUEST, chat: str = CHAT) -> OidcAnswer:
        """What the issuer sends the browser back with."""
        begun = await self.identifications.open((await self.ticket(request, chat)).ticket)
        async with aiohttp.ClientSession() as http, http.get(begun.url, allow_redirects=False) as response:
            place = urlsplit(response.headers["Location"])
        assert f"{place.scheme}://{place.netloc}{place.path}" == BACK
        return OidcAnswer(flow=begun.flow, **dict(parse_qsl(place.query)))

    async def refusal(self, answer: OidcAnswer) -> tuple[int, str]:
        with pytest.raises(Problem) as refused:
            await self.identifications.finish(answer)
        return refused.value.status, refused.value.code


EXPIRED = (401, "identification_expired")


@pytest.fixture
async def context_at(context: Context, clock: Clock) -> Context:
    return replace(context, clock=clock)


@pytest.fixture
async def door(context_at: Context, issuer: MockIssuer) -> AsyncIterator[Door]:
    issuer.clock = lambda: context_at.clock().timestamp()
    made = Door(context_at, issuer)
    yield made
    await made.issuer.close()


async def published(context: Context, observer: EventObserver) -> list[IdentificationEnded]:
    await observer.catch_up(context.publisher)
    return observer.seen(IdentificationEnded)


async def test_a_citizen_who_logs_in_is_published_by_name_and_level_and_nothing_else(
    door: Door, context_at: Context, observer: EventObserver, db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await door.identifications.finish(await door.answer())
    assert (made.outcome, made.locale) == ("identified", "fr")
    (ended,) = await published(context_at, observer)
    assert (ended.chat_id, ended.id) == (CHAT, REQUEST)
    assert (ended.name, ended.level, ended.issuer) == ("Lien De Smet", AssuranceLevel.HIGH, "Gestion des accès")
    everywhere = ended.model_dump_json() + "".join(capsys.readouterr())
    kept = await db["attempts"].find({}).to_list(None)
    assert kept, "the ticket and the state that were used"
    for secret in (NUMBER, "pairwise-citizen-1"):
        assert secret not in everywhere
        assert secret not in str(kept)


async def test_the_page_says_who_asks_and_shows_the_code_of_the_conversation(door: Door) -> None:
    ticket = await door.ticket()
    begun = await door.identifications.open(ticket.ticket)
    assert (begun.agent, begun.department, begun.locale, begun.issuer) == ("An", "Algemeen", "fr", "Gestion des accès")
    assert begun.code == ticket.code == code_of(REQUEST)
    assert len(begun.code) == 4
    assert set(begun.code) <= set(CODE_ALPHABET)
    assert code_of(str(uuid4())) != begun.code
    asked = dict(parse_qsl(urlsplit(begun.url).query))
    assert asked["scope"] == "openid profile", "the number is not asked for"
    assert CHAT not in begun.url


async def test_a_ticket_opens_the_page_once_in_all_replicas(
    door: Door, context_at: Context, issuer: MockIssuer, clock: Clock
) -> None:
    other = Door(context_at, issuer)
    ticket = (await door.ticket()).ticket
    await door.identifications.open(ticket)
    with pytest.raises(Problem) as used:
        await other.identifications.open(ticket)
    assert (used.value.status, used.value.code) == EXPIRED
    late = (await door.ticket()).ticket
    clock.later(601)
    fresh = (await door.ticket()).ticket
    for wrong in (late, fresh[:-2] + "xx", "", "x", "a.b.c.d.e"):
        with pytest.raises(Problem) as refused:
            await other.identifications.open(wrong)
        assert (refused.value.status, refused.value.code) == EXPIRED
    await other.issuer.close()


async def test_what_is_sealed_for_one_purpose_opens_nothing_else(door: Door) -> None:
    ticket = (await door.ticket()).ticket
    begun = await door.identifications.open(ticket)
    with pytest.raises(Problem):
        await door.identifications.open(begun.flow)
    assert await door.refusal(OidcAnswer(flow=ticket, state="x")) == EXPIRED


async def test_a_state_is_of_one_browser_one_chat_and_one_use_in_all_replicas(
    door: Door, context_at: Context, issuer: MockIssuer, observer: EventObserver
) -> None:
    other = Door(context_at, issuer)
    answer, foreign = await door.answer(), await door.answer(str(uuid4()), str(uuid4()))
    assert await door.refusal(answer.model_copy(update={"flow": foreign.flow})) == EXPIRED
    assert await door.refusal(answer.model_copy(update={"state": foreign.state})) == EXPIRED
    for forged in ("", "x", answer.flow[:-2] + "xx", "a.b.c.d.e"):
        assert await door.refusal(answer.model_copy(update={"flow": forged})) == EXPIRED
    assert await published(context_at, observer) == [], "nobody ends the request of another"
    assert (await door.identifications.finish(answer)).outcome == "identified"
    for changed in ({"code": foreign.code}, {"error": "access_denied"}, {"iss": "https://elsewhere.example"}):
        assert await other.refusal(answer.model_copy(update=changed)) == EXPIRED, "another answer with this state"
    assert len(await published(context_at, observer)) == 1
    await other.issuer.close()


async def test_the_same_answer_has_the_same_outcome_again_and_publishes_nothing(
    door: Door, context_at: Context, issuer: MockIssuer, observer: EventObserver, clock: Clock, db: Database
) -> None:
    other = Door(context_at, issuer)
    answer = await door.answer()
    both = await asyncio.gather(door.identifications.finish(answer), other.identifications.finish(answer))
    again = await other.identifications.finish(answer)
    assert {(one.outcome, one.locale) for one in (*both, again)} == {("identified", "fr")}
    issuer.error = "access_denied"
    turned_back = await door.answer(str(uuid4()))
    for one in (door, other):
        assert (await one.identifications.finish(turned_back)).outcome == "cancelled"
    assert len(await published(context_at, observer)) == 2
    assert "Lien" not in str(await db["attempts"].find({}).to_list(None))
    clock.later(601)
    assert await other.refusal(answer) == EXPIRED
    await other.issuer.close()


async def test_the_repetition_of_an_answer_that_came_to_nothing_is_expired(
    door: Door, monkeypatch: pytest.MonkeyPatch, context_at: Context, observer: EventObserver
) -> None:
    answer = await door.answer()

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError  # as a replica that is stopped

    with monkeypatch.context() as patch:
        patch.setattr(door.identifications, "_identity", dies)
        with pytest.raises(asyncio.CancelledError):
            await door.identifications.finish(answer)
    monkeypatch.setattr(identifications_module, "PATIENCE", 0.3)
    assert await door.refusal(answer) == EXPIRED
    assert await published(context_at, observer) == []


async def test_a_login_that_takes_too_long_is_expired(door: Door, clock: Clock) -> None:
    answer = await door.answer()
    clock.later(601)
    assert await door.refusal(answer) == EXPIRED


@pytest.mark.parametrize("signing", ["none", "HS256", "other", "unknown"])
async def test_a_foreign_signature_is_no_identity(
    door: Door, issuer: MockIssuer, context_at: Context, observer: EventObserver, signing: str
) -> None:
    issuer.signing = signing
    await fails(door, context_at, observer)


async def fails(
    door: Door, context: Context, observer: EventObserver, outcome: str = "failed", answer: OidcAnswer | None = None
) -> None:
    """The chat is told that it failed, and of nobody."""
    assert (await door.identifications.finish(answer or await door.answer())).outcome == outcome
    (ended,) = await published(context, observer)
    assert (ended.chat_id, ended.id) == (CHAT, REQUEST)
    assert (ended.name, ended.level, ended.issuer) == (None, None, None)


@pytest.mark.parametrize(
    "overrides",
    [
        *WRONG_CLAIMS,
        {"acr": None},
        {"acr": "urn:unknown"},
        {"acr": [EID]},
        {"given_name": None, "family_name": None},
        {"given_name": "\u202e\u200b", "family_name": 7},
    ],
    ids=str,
)
async def test_a_wrong_claim_is_no_identity(
    door: Door,
    issuer: MockIssuer,
    context_at: Context,
    observer: EventObserver,
    clock: Clock,
    overrides: dict[str, object],
) -> None:
    issuer.overrides = shifted(overrides, clock())
    await fails(door, context_at, observer)


@pytest.mark.parametrize("overrides", [{"exp": -50}, {"iat": 50}], ids=str)
async def test_clocks_may_differ_by_a_minute(
    door: Door, issuer: MockIssuer, clock: Clock, overrides: dict[str, object]
) -> None:
    issuer.overrides = shifted(overrides, clock())
    assert (await door.identifications.finish(await door.answer())).outcome == "identified"


async def test_a_required_level_is_requested_and_required(
    context_at: Context, issuer: MockIssuer, observer: EventObserver
) -> None:
    strict = Door(context_at, issuer, acr=(EID,))
    begun = await strict.identifications.open((await strict.ticket()).ticket)
    assert dict(parse_qsl(urlsplit(begun.url).query))["acr_values"] == EID
    issuer.overrides = {"acr": PASSWORD}
    await fails(strict, context_at, observer)
    await strict.issuer.close()


async def test_keys_may_change_while_the_citizen_is_at_the_issuer(door: Door, issuer: MockIssuer) -> None:
    assert (await door.identifications.finish(await door.answer())).outcome == "identified"
    answer = await door.answer()
    issuer.rotate()
    door.passed += issuer_module.KEYS_PAUSE
    assert (await door.identifications.finish(answer)).outcome == "identified"


async def test_a_code_of_another_login_is_no_identity(door: Door, context_at: Context, observer: EventObserver) -> None:
    mine, stolen = await door.answer(), await door.answer()
    await fails(door, context_at, observer, answer=mine.model_copy(update={"code": stolen.code}))


@pytest.mark.parametrize(("error", "outcome"), [("access_denied", "cancelled"), ("server_error", "failed")])
async def test_a_citizen_who_turns_back_at_the_issuer(
    door: Door, issuer: MockIssuer, context_at: Context, observer: EventObserver, error: str, outcome: str
) -> None:
    issuer.error = error
    await fails(door, context_at, observer, outcome)


async def test_an_issuer_that_is_down_leaves_the_ticket_and_fails_a_login_under_way(
    door: Door, issuer: MockIssuer, context_at: Context, observer: EventObserver
) -> None:
    answer, ticket = await door.answer(), (await door.ticket()).ticket
    issuer.down = True
    door.passed += issuer_module.METADATA_LIFE
    with pytest.raises(Problem) as refused:
        await door.identifications.open(ticket)
    assert (refused.value.status, refused.value.code) == (503, "unavailable")
    await fails(door, context_at, observer, answer=answer)
    issuer.down = False
    assert (await door.identifications.open(ticket)).agent == "An", "the ticket was not used up"


async def test_a_broker_that_is_away_is_said_to_the_citizen(
    door: Door, monkeypatch: pytest.MonkeyPatch, context_at: Context
) -> None:
    answer = await door.answer()

    async def lost(self: Publisher, event: object, timeout: float | None = None) -> None:  # noqa: ASYNC109
        raise Unconfirmed("away")

    monkeypatch.setattr(Publisher, "publish", lost)
    before = sample("eloket_presence_identifications_total", {"outcome": "identified"})
    with capture_logs() as logged:
        assert await door.refusal(answer) == (503, "unavailable")
    assert sample("eloket_presence_identifications_total", {"outcome": "identified"}) == before
    assert [line["event"] for line in logged] == ["identification_not_published"], "the issuer was there"
    assert await door.refusal(answer) == (503, "unavailable"), "and again when the page is reloaded"


async def test_without_rules_there_is_no_identification(door: Door) -> None:
    answer, ticket = await door.answer(), (await door.ticket()).ticket
    door.rules = None
    assert await door.refusal(answer) == (404, "not_found")
    for asked in (door.ticket(), door.identifications.open(ticket)):
        with pytest.raises(Problem) as refused:
            await asked
        assert refused.value.status == 404


def test_a_name_is_one_line_without_invisible_characters() -> None:
    assert name_of({"given_name": " Lien\n", "family_name": "De\u00a0\u202eSmet\u0007"}) == "Lien De Smet"
    assert name_of({"family_name": "Sukarno"}) == "Sukarno"
    assert len(name_of({"given_name": "é" * 500})) == 200
    with pytest.raises(Refused):
        name_of({"given_name": "", "family_name": ["De Smet"]})
