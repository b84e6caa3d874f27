"""services/presence/oidc/logins.py against an issuer over HTTP, a real database and a real broker."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from joserfc.jwk import ECKey, KeyParameters, OKPKey, RSAKey

from services.common.events.agents import SessionEnded
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api.presence import OidcAnswer, OidcChoice
from services.presence.agents.roles import Officer
from services.presence.context import Context
from services.presence.oidc import issuer as issuer_module
from services.presence.oidc.client_keys import ClientKeys, read_client_keys
from services.presence.oidc.issuer import Client, Issuer
from services.presence.oidc.logins import OidcLogin, OidcLogins
from services.presence.oidc.roles import Profile, Role, RoleMapping
from services.presence.slots.rules import Agent
from tests.presence.conftest import SECRET, Clock, EventObserver
from tests.presence.oidc.conftest import WRONG_CLAIMS, shifted
from tests.support.mock_issuer import CLIENT_ID, CLIENT_SECRET, MockIssuer, running_issuer

BACK = "http://127.0.0.1:8000/api/agent/oidc/callback"


def client_keys(kind: str) -> ClientKeys:
    """A new key of this kind, as `OIDC_CLIENT_KEYS` has it."""
    key = RSAKey.generate_key(2_048) if kind == "RSA" else ECKey.generate_key(kind)
    made = read_client_keys("OIDC_CLIENT_KEYS", key.as_pem(private=True).decode())
    assert made is not None
    return made


GENERIC = RoleMapping(
    roles_claim="realm_access.roles",
    roles=(
        Role(value="chat-agent", departments=("algemeen",), capacity=2),
        Role(value="chat-premies", departments=("premies",)),
        Role(value="chat-chief", departments=("premies",), supervisor=True),
    ),
)
FLEMISH = RoleMapping(roles_claim="eloket_rol_3d", roles=(Role(value="medewerker", departments=("algemeen",)),))
AN = {
    "sub": "an-1",
    "given_name": "An",
    "family_name": "Peeters",
    "sid": "session-1",
    "realm_access": {"roles": ["offline_access", "chat-agent"]},
}


@pytest.fixture
def issuer() -> Iterator[MockIssuer]:
    with running_issuer(BACK, AN) as running:
        yield running


class Door:
    """One replica's logins, and a browser that follows the issuer."""

    def __init__(
        self,
        context: Context,
        mock: MockIssuer,
        profile: Profile,
        mapping: RoleMapping,
        acr: tuple[str, ...],
        keys: ClientKeys | None,
        audience: Literal["issuer", "token_endpoint"],
        signatures: Literal["all", "strong"],
    ):
        secret = CLIENT_SECRET if keys is None else ""
        client = Client(mock.url, CLIENT_ID, secret, BACK, "openid profile", acr, keys, audience, signatures)
        self.passed = 100_000.0  # seconds of the clock by which metadata and keys are too old
        self.issuer = Issuer(client, context.clock, lambda: self.passed)
        self.logins = OidcLogins(context, self.issuer, profile, mapping, Keys(SECRET), 3_600, 60, True)

    async def answer(self, former: str = "") -> OidcAnswer:
        """What the issuer sends the browser back with. `former`: the session that the browser has."""
        begun = await self.logins.begin(former)
        async with aiohttp.ClientSession() as http, http.get(begun.url, allow_redirects=False) as response:
            place = urlsplit(response.headers["Location"])
        assert f"{place.scheme}://{place.netloc}{place.path}" == BACK
        return OidcAnswer(flow=begun.flow, **dict(parse_qsl(place.query)))

    async def log_in(self, former: str = "") -> OidcLogin:
        made = await self.logins.finish(await self.answer(former))
        assert isinstance(made, OidcLogin)
        return made

    async def refusal(self, answer: OidcAnswer | None = None) -> str:
        with pytest.raises(Problem) as refused:
            await self.logins.finish(answer or await self.answer())
        return refused.value.code


@pytest.fixture
async def doors(context: Context, clock: Clock, issuer: MockIssuer) -> AsyncIterator["Doors"]:
    issuer.clock = lambda: clock().timestamp()
    made = Doors(replace(context, clock=clock), issuer)
    yield made
    for door in made.open:
        await door.issuer.close()


class Doors:
    """Makes replicas."""

    def __init__(self, context: Context, mock: MockIssuer) -> None:
        self.context, self.mock = context, mock
        self.open: list[Door] = []

    def __call__(
        self,
        profile: Profile = "generic",
        mapping: RoleMapping = GENERIC,
        acr: tuple[str, ...] = (),
        keys: ClientKeys | None = None,
        audience: Literal["issuer", "token_endpoint"] = "issuer",
        signatures: Literal["all", "strong"] = "all",
    ) -> Door:
        self.open.append(Door(self.context, self.mock, profile, mapping, acr, keys, audience, signatures))
        return self.open[-1]


async def test_a_user_with_a_role_is_logged_in_with_what_it_gives(doors: Doors, context: Context) -> None:
    door = doors()
    made = await door.log_in()
    assert isinstance(made.agent, Agent)
    assert (made.agent.name, made.agent.departments, made.agent.capacity) == ("An Peeters", ("algemeen",), 2)
    assert not made.agent.supervisor
    found = await context.stores.sessions.find(made.token, doors.context.clock())
    assert found is not None
    assert found.agent_id == made.agent.id
    assert found.expires_at == doors.context.clock() + timedelta(hours=1)
    again = await doors().log_in()
    assert again.agent.id == made.agent.id, "the same person is the same agent"
    assert await context.stores.agents.password_of(made.agent.username) is None


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-384", "P-521"])
async def test_a_client_with_a_key_authenticates_by_it_at_each_request(
    doors: Doors, issuer: MockIssuer, clock: Clock, kind: str
) -> None:
    keys = client_keys(kind)
    issuer.client_keys, issuer.refreshes = (lambda: {"keys": keys.public()}), True
    door = doors(keys=keys)
    mine = await door.log_in()
    clock.later(61)
    assert await door.logins.check_one()
    assert await live(doors.context, mine)
    assert len(issuer.assertions) == 2, issuer.refusals
    assert len({one["jti"] for one in issuer.assertions}) == 2
    assert issuer.refusals == []


@pytest.mark.parametrize("audience", ["issuer", "token_endpoint"])
async def test_the_audience_of_an_assertion_is_what_the_issuer_expects(
    doors: Doors, issuer: MockIssuer, audience: Literal["issuer", "token_endpoint"]
) -> None:
    keys = client_keys("P-256")
    issuer.client_keys = lambda: {"keys": keys.public()}
    issuer.audience = f"{issuer.url}/token"
    door = doors(keys=keys, audience=audience)
    if audience == "token_endpoint":
        assert (await door.log_in()).agent.name == "An Peeters"
    else:
        assert await door.refusal() == "oidc_failed"
        assert issuer.refusals == ["aud"]


async def test_a_key_that_is_not_published_authenticates_nobody(doors: Doors, issuer: MockIssuer) -> None:
    mine, other = client_keys("P-256"), client_keys("P-256")
    issuer.client_keys = lambda: {"keys": other.public()}
    assert await doors(keys=mine).refusal() == "oidc_failed"
    [why] = issuer.refusals
    assert why.startswith("signature")


async def test_an_assertion_of_another_time_authenticates_nobody(
    doors: Doors, issuer: MockIssuer, clock: Clock
) -> None:
    keys = client_keys("P-256")
    issuer.client_keys = lambda: {"keys": keys.public()}
    issuer.clock = lambda: clock().timestamp() + 90
    assert await doors(keys=keys).refusal() == "oidc_failed"
    assert issuer.refusals == ["iat"]


async def test_a_key_is_replaced_while_logins_go_on(doors: Doors, issuer: MockIssuer) -> None:
    """The steps of docs/rotation.md. The issuer has what was published before the restart of each step."""
    old, new = client_keys("RSA").keys[0], client_keys("P-256").keys[0]
    steps = [(old,), (old, new), (new, old), (new,)]
    published = ClientKeys(steps[0]).public()
    for step in steps:
        issuer.client_keys = lambda known=published: {"keys": known}
        keys = ClientKeys(step)
        assert (await doors(keys=keys).log_in()).agent.name == "An Peeters"
        published = keys.public()
    assert issuer.refusals == []


async def test_elliptic_curves_are_accepted_too(doors: Doors, issuer: MockIssuer) -> None:
    issuer.signing = "ES256"
    assert (await doors().log_in()).agent.name == "An Peeters"


def signs(issuer: MockIssuer, algorithm: str, bits: int = 3_072) -> None:
    """The issuer signs so from now on, with a key of its own."""
    about: KeyParameters = {"kid": f"{algorithm}-{bits}", "use": "sig"}
    match algorithm[:2]:
        case "RS" | "PS":
            issuer.keys[algorithm] = RSAKey.generate_key(bits, about)
        case "ES":
            issuer.keys[algorithm] = ECKey.generate_key("P-256", about)
        case _:
            issuer.keys[algorithm] = OKPKey.generate_key("Ed25519", about)
    issuer.signing = algorithm


SOUND = [("PS256", 3_072), ("ES256", 0), ("EdDSA", 0), ("Ed25519", 0)]
WEAK = [("RS256", 2_048), ("RS256", 3_072), ("PS256", 2_048)]


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # the issuer of the test may say EdDSA
@pytest.mark.parametrize(("algorithm", "bits"), [*SOUND, *WEAK])
async def test_these_signatures_are_accepted_unless_a_setting_refuses_weak_ones(
    doors: Doors, issuer: MockIssuer, algorithm: str, bits: int
) -> None:
    signs(issuer, algorithm, bits)
    assert (await doors().log_in()).agent.name == "An Peeters"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # the issuer of the test may say EdDSA
@pytest.mark.parametrize(("algorithm", "bits"), SOUND)
async def test_strong_signatures_are_accepted_where_weak_ones_are_refused(
    doors: Doors, issuer: MockIssuer, algorithm: str, bits: int
) -> None:
    signs(issuer, algorithm, bits)
    door = doors(signatures="strong")
    assert (await door.log_in()).agent.name == "An Peeters"
    await door.logins.log_out(issuer.logout_token(sid="session-1"))


@pytest.mark.parametrize(("algorithm", "bits"), WEAK)
async def test_weak_signatures_are_refused_by_a_setting(
    doors: Doors, issuer: MockIssuer, algorithm: str, bits: int
) -> None:
    """ASVS 5.0, 11.2.3 and 11.6.1: no PKCS#1 v1.5, and 128 bits of security; also of tokens that end sessions."""
    signs(issuer, algorithm, bits)
    door = doors(signatures="strong")
    assert await door.refusal() == "oidc_failed"
    with pytest.raises(Problem) as refused:
        await door.logins.log_out(issuer.logout_token(sid="session-1"))
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("curve", ["Ed448", "X25519"])
async def test_a_key_of_another_curve_verifies_nothing(
    doors: Doors, issuer: MockIssuer, curve: Literal["Ed448", "X25519"]
) -> None:
    """It is passed over, also where it is the only one of its kind."""
    issuer.signing = "EdDSA"
    issuer.keys["EdDSA"] = OKPKey.generate_key(curve, {"kid": "another", "use": "sig"})
    issuer.sign = lambda claims, typ="JWT": "eyJhbGciOiJFZERTQSIsImtpZCI6ImFub3RoZXIifQ.e30.AA"  # type: ignore[method-assign]
    assert await doors().refusal() == "oidc_failed"


@pytest.mark.parametrize("signing", ["none", "HS256", "other", "unknown"])
async def test_a_foreign_signature_is_refused(doors: Doors, issuer: MockIssuer, signing: str) -> None:
    issuer.signing = signing
    assert await doors().refusal() == "oidc_failed"


@pytest.mark.parametrize("overrides", WRONG_CLAIMS, ids=str)
async def test_a_wrong_claim_is_refused(
    doors: Doors, issuer: MockIssuer, clock: Clock, overrides: dict[str, object]
) -> None:
    issuer.overrides = shifted(overrides, clock())
    assert await doors().refusal() == "oidc_failed"


@pytest.mark.parametrize("overrides", [{"exp": -50}, {"iat": 50}, {"nbf": 50}, {"aud": [CLIENT_ID]}], ids=str)
async def test_clocks_may_differ_by_a_minute(
    doors: Doors, issuer: MockIssuer, clock: Clock, overrides: dict[str, object]
) -> None:
    issuer.overrides = shifted(overrides, clock())
    assert (await doors().log_in()).agent.name == "An Peeters"


async def test_a_state_is_of_one_browser_and_of_one_use_in_all_replicas(doors: Doors) -> None:
    door, other = doors(), doors()
    answer = await door.answer()
    elsewhere = await door.answer()
    assert await door.refusal(answer.model_copy(update={"flow": elsewhere.flow})) == "oidc_expired"
    assert await door.refusal(answer.model_copy(update={"state": elsewhere.state})) == "oidc_expired"
    for forged in ("", "x", answer.flow[:-2] + "xx", "a.b.c.d.e"):
        assert await door.refusal(answer.model_copy(update={"flow": forged})) == "oidc_expired"
    assert isinstance(await door.logins.finish(answer), OidcLogin)
    assert await other.refusal(answer) == "oidc_expired"


async def test_a_login_that_takes_too_long_is_begun_again(doors: Doors, clock: Clock) -> None:
    door = doors()
    answer = await door.answer()
    clock.later(601)
    assert await door.refusal(answer) == "oidc_expired"


async def test_a_code_of_another_login_is_refused(doors: Doors) -> None:
    door = doors()
    mine, stolen = await door.answer(), await door.answer()
    assert await door.refusal(mine.model_copy(update={"code": stolen.code})) == "oidc_failed", "its PKCE is another's"
    used = await door.answer()
    assert isinstance(await door.logins.finish(used), OidcLogin)
    assert await door.refusal((await door.answer()).model_copy(update={"code": used.code})) == "oidc_failed"


async def test_an_answer_of_another_issuer_is_refused(doors: Doors) -> None:
    door = doors()
    for iss in ("https://another.example", None):
        assert await door.refusal((await door.answer()).model_copy(update={"iss": iss})) == "oidc_failed"


@pytest.mark.parametrize(("error", "code"), [("access_denied", "oidc_cancelled"), ("server_error", "oidc_failed")])
async def test_an_error_of_the_issuer(doors: Doors, issuer: MockIssuer, error: str, code: str) -> None:
    issuer.error = error
    assert await doors().refusal() == code


async def test_keys_are_read_again_for_an_unknown_one_but_not_each_time(doors: Doors, issuer: MockIssuer) -> None:
    door = doors()
    await door.log_in()
    assert issuer.asked.count("/jwks") == 1
    issuer.rotate()
    assert await door.refusal() == "oidc_failed", "the keys were read within the last seconds"
    door.passed += issuer_module.KEYS_PAUSE
    await door.log_in()
    assert issuer.asked.count("/jwks") == 2
    issuer.signing = "unknown"
    door.passed += issuer_module.KEYS_PAUSE
    for _ in range(3):
        assert await door.refusal() == "oidc_failed"
    assert issuer.asked.count("/jwks") == 3


async def test_a_key_that_the_issuer_withdrew_is_forgotten(doors: Doors, issuer: MockIssuer) -> None:
    door = doors()
    await door.log_in()
    old = dict(issuer.keys)
    issuer.rotate()
    published, issuer.keys = issuer.keys, old
    assert (await door.log_in()).agent
    door.passed += issuer_module.METADATA_LIFE
    issuer.keys = published
    answer = await door.answer()
    await door.logins.finish(answer)
    issuer.keys = old  # signs with the old key; what is published does not matter: it was read just now
    assert await door.refusal() == "oidc_failed"


async def test_the_level_of_authentication_is_required(doors: Doors, issuer: MockIssuer) -> None:
    door = doors(acr=("urn:high", "urn:higher"))
    assert "acr_values=urn%3Ahigh+urn%3Ahigher" in (await door.logins.begin()).url.replace("%20", "+")
    for acr in (None, "urn:low", ["urn:high"]):
        issuer.overrides = {"acr": acr}
        assert await door.refusal() == "oidc_acr"
    issuer.overrides = {"acr": "urn:higher"}
    assert (await door.log_in()).agent.name == "An Peeters"


@pytest.mark.parametrize("roles", [None, [], ["other"], "other", [7], {"chat-agent": True}])
async def test_without_a_role_no_user_is_logged_in(doors: Doors, issuer: MockIssuer, roles: object) -> None:
    issuer.claims["realm_access"] = {"roles": roles}
    assert await doors().refusal() == "oidc_no_role"


async def test_an_issuer_that_is_down_is_no_error_of_the_agent(doors: Doors, issuer: MockIssuer) -> None:
    door = doors()
    answer = await door.answer()
    issuer.down = True
    assert await door.refusal(answer) == "unavailable"
    door.passed += issuer_module.METADATA_LIFE
    with pytest.raises(Problem) as refused:
        await door.logins.begin()
    assert (refused.value.status, refused.value.code) == (503, "unavailable")


async def test_an_address_with_many_wrong_answers_has_to_wait(doors: Doors) -> None:
    door = doors()
    codes = [await door.refusal(OidcAnswer(flow="x", address="192.0.2.1")) for _ in range(21)]
    assert codes == ["oidc_expired"] * 20 + ["rate_limited"]
    assert await door.refusal(OidcAnswer(flow="x", address="192.0.2.2")) == "oidc_expired"


# ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def offered(door: Door) -> tuple[str, list[OidcChoice]]:
    pending = await door.logins.finish(await door.answer())
    assert isinstance(pending, str)
    return pending, (await door.logins.choices(pending)).choices


async def test_roles_of_one_kind_are_one_account_and_the_supervisor_is_another(
    doors: Doors, issuer: MockIssuer
) -> None:
    issuer.claims["realm_access"] = {"roles": ["chat-agent", "chat-premies", "chat-chief"]}
    door, other = doors(), doors()
    pending, choices = await offered(door)
    assert [(c.supervisor, c.departments) for c in choices] == [
        (False, ["algemeen", "premies"]),
        (True, ["premies"]),
    ]
    for wrong in ("", "an agent's id", choices[0].id[:-1]):
        with pytest.raises(Problem):
            await door.logins.choose(pending, wrong)
    made = await other.logins.choose(pending, choices[1].id)
    assert isinstance(made.agent, Agent)
    assert made.agent.supervisor
    with pytest.raises(Problem) as again:
        await door.logins.choose(pending, choices[0].id)
    assert again.value.code == "oidc_expired", "a choice is made once"


async def test_a_role_of_an_auditor_is_an_officer_until_it_goes(doors: Doors, issuer: MockIssuer) -> None:
    issuer.claims["realm_access"] = {"roles": ["chat-agent", "audit"]}
    mapping = GENERIC.model_copy(update={"roles": (*GENERIC.roles, Role(value="audit", role="auditor"))})
    door, stores = doors("generic", mapping), doors.context.stores
    pending, choices = await offered(door)
    assert [(c.role, c.departments) for c in choices] == [(None, ["algemeen"]), ("auditor", [])]
    made = await door.logins.choose(pending, choices[1].id)
    assert isinstance(made.agent, Officer)
    assert (made.agent.name, made.agent.role) == ("An Peeters", "auditor")
    assert await stores.agents.agent(made.agent.id) is None
    assert await live(doors.context, made)
    issuer.claims["realm_access"] = {"roles": ["chat-agent"]}
    await door.log_in()
    assert not await live(doors.context, made), "the role is gone"
    assert await stores.officers.officer(made.agent.id) is None


async def test_two_organisations_of_acmidm_are_two_accounts(doors: Doors, issuer: MockIssuer, clock: Clock) -> None:
    issuer.claims = {
        "sub": "pairwise",
        "vo_id": "person-7",
        "vo_orgcode": "OVO000001",
        "vo_orgnaam": "Stad Een",
        "vo_doelgroepcode": "LB",
        "given_name": "Lien",
        "family_name": "De Smet",
        "eloket_rol_3d": ["medewerker", "medewerker:GID:OVO000002", "andere:OVO000003"],
    }
    door = doors("acmidm", FLEMISH)
    pending, choices = await offered(door)
    assert [(c.organisation, c.organisation_name) for c in choices] == [("OVO000001", "Stad Een"), ("OVO000002", "")]
    assert choices[0].id != choices[1].id
    made = await door.logins.choose(pending, choices[0].id)
    assert made.agent.name == "Lien De Smet"
    pending, _ = await offered(door)
    clock.later(301)
    with pytest.raises(Problem) as late:
        await door.logins.choices(pending)
    assert late.value.code == "oidc_expired"


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def live(context: Context, made: OidcLogin) -> bool:
    return await context.stores.sessions.find(made.token, context.clock()) is not None


async def test_a_login_ends_the_session_that_the_browser_had(
    doors: Doors, issuer: MockIssuer, observer: EventObserver
) -> None:
    """Also where the person chooses a role first. The cookie of the session does not come with the issuer's answer."""
    door = doors()
    mine = await door.log_in()
    again = await door.log_in(mine.token)
    assert not await live(doors.context, mine)
    assert await live(doors.context, again)
    issuer.claims["realm_access"] = {"roles": ["chat-agent", "chat-chief"]}
    pending = await door.logins.finish(await door.answer(again.token))
    assert isinstance(pending, str)
    assert await live(doors.context, again), "nobody has logged in yet"
    choices = (await door.logins.choices(pending)).choices
    chosen = await door.logins.choose(pending, choices[0].id)
    assert not await live(doors.context, again)
    assert await live(doors.context, chosen)
    assert len(await observer.wait_for(SessionEnded, 2)) == 2


async def test_a_back_channel_logout_ends_the_session_and_is_published(
    doors: Doors, issuer: MockIssuer, observer: EventObserver
) -> None:
    door, context = doors(), doors.context
    mine = await door.log_in()
    issuer.claims |= {"sid": "session-2"}
    other = await door.log_in()
    await door.logins.log_out(issuer.logout_token(sid="session-1"))
    assert not await live(context, mine)
    assert await live(context, other)
    assert [event.session_id for event in await observer.wait_for(SessionEnded)] == [mine.session.id]
    await door.logins.log_out(issuer.logout_token(sub="an-1"))
    assert not await live(context, other)
    await door.logins.log_out(issuer.logout_token(sub="nobody"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another client"},
        {"iss": "https://another.example"},
        {"events": {}},
        {"events": None},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"nonce": "a nonce"},
        {"jti": None},
        {"sub": None},
        {"exp": 1},
        {"iat": 1},
        {"iat": None},
    ],
    ids=str,
)
async def test_a_wrong_logout_token_ends_nothing(doors: Doors, issuer: MockIssuer, wrong: dict[str, object]) -> None:
    door = doors()
    mine = await door.log_in()
    with pytest.raises(Problem) as refused:
        await door.logins.log_out(issuer.logout_token(**{"sub": "an-1", **wrong}))
    assert refused.value.status == 400
    assert await live(doors.context, mine)


@pytest.mark.parametrize("signing", ["none", "HS256", "other", "unknown"])
async def test_a_foreign_logout_token_ends_nothing(doors: Doors, issuer: MockIssuer, signing: str) -> None:
    door = doors()
    mine = await door.log_in()
    issuer.signing = signing
    with pytest.raises(Problem) as refused:
        await door.logins.log_out(issuer.logout_token(sub="an-1"))
    assert refused.value.status == 400
    assert await live(doors.context, mine)


async def test_an_id_token_is_no_logout_token_and_a_logout_token_is_used_once(doors: Doors, issuer: MockIssuer) -> None:
    door, other = doors(), doors()
    mine = await door.log_in()
    with pytest.raises(Problem):
        await door.logins.log_out(issuer.id_token("nonce"))
    assert await live(doors.context, mine)
    token = issuer.logout_token(sub="an-1")
    await door.logins.log_out(token)
    again = await door.log_in()
    with pytest.raises(Problem):
        await other.logins.log_out(token)
    assert await live(doors.context, again)


async def test_a_role_that_goes_ends_the_session_at_the_next_check(
    doors: Doors, issuer: MockIssuer, clock: Clock, observer: EventObserver
) -> None:
    issuer.refreshes = True
    door, other, context = doors(), doors(), doors.context
    mine = await door.log_in()
    stored = await context.stores.sessions._sessions.find_one({"_id": mine.session.id})
    assert stored is not None
    assert "refresh-" not in str(stored), "the refresh token is sealed"
    assert not await door.logins.check_one(), "not due yet"
    clock.later(61)
    assert [await door.logins.check_one(), await other.logins.check_one()] == [True, False], "one replica checks"
    assert await live(context, mine)
    issuer.claims["realm_access"] = {"roles": ["chat-premies"]}
    clock.later(61)
    assert await other.logins.check_one()
    agent = await context.stores.agents.agent(mine.agent.id)
    assert agent is not None
    assert agent.departments == ("premies",), "other departments, the same account"
    issuer.claims["realm_access"] = {"roles": []}
    clock.later(61)
    assert await door.logins.check_one()
    assert not await live(context, mine)
    assert (await observer.wait_for(SessionEnded))[0].session_id == mine.session.id
    assert mine.agent.id not in await context.stores.agents.persons(issuer.url)


async def test_a_refused_refresh_ends_the_session_and_an_outage_does_not(
    doors: Doors, issuer: MockIssuer, clock: Clock
) -> None:
    issuer.refreshes = True
    door = doors()
    mine = await door.log_in()
    issuer.down = True
    clock.later(61)
    assert await door.logins.check_one()
    assert await live(doors.context, mine)
    issuer.down, issuer.refused = False, True
    clock.later(61)
    assert await door.logins.check_one()
    assert not await live(doors.context, mine)


async def test_an_id_token_of_another_user_ends_the_session(doors: Doors, issuer: MockIssuer, clock: Clock) -> None:
    issuer.refreshes = True
    door = doors()
    mine = await door.log_in()
    issuer.claims["sub"] = "bert-2"
    clock.later(61)
    assert await door.logins.check_one()
    assert not await live(doors.context, mine)


async def test_a_login_without_the_role_ends_what_an_earlier_one_began(doors: Doors, issuer: MockIssuer) -> None:
    door = doors()
    mine = await door.log_in()
    issuer.claims["realm_access"] = {"roles": []}
    assert await door.refusal() == "oidc_no_role"
    assert not await live(doors.context, mine)


async def test_another_mapping_ends_the_sessions_of_the_former_one(doors: Doors, issuer: MockIssuer) -> None:
    door, context = doors(), doors.context
    mine = await door.log_in()
    changed = doors(mapping=GENERIC.model_copy(update={"roles": GENERIC.roles[:1]}))
    for one, ended in ((doors(), 0), (changed, 1)):
        persons = dict.fromkeys(await context.stores.agents.persons(issuer.url), one.logins.fingerprint)
        assert len(await context.stores.sessions.end_changed(persons, context.clock())) == ended
    assert not await live(context, mine)


async def test_the_account_is_kept_at_a_restart_with_this_issuer_alone(doors: Doors, issuer: MockIssuer) -> None:
    made, agents = await doors().log_in(), doors.context.stores.agents
    assert await agents.put_accounts([], doors.context.clock(), issuer.url) == []
    assert await agents.put_accounts([], doors.context.clock(), "https://another.example") == [made.agent.id]
