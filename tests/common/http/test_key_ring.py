"""`key_ring.py` and the keys of `tokens.py`: who signed, for what, for whom, and until when."""

import base64
import hmac
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from deploy.token_keys.__main__ import main, public_entry
from services.common.evidence import chain
from services.common.http import key_ring, tokens
from services.common.http.key_ring import KeyRing, parse_public_keys
from services.common.http.tokens import CHAT_LIFE, Actor, Agent, Keys, Stage
from tests.support.event_samples import CHAT
from tests.support.servers import PATIENCE
from tests.support.token_keys import PRIVATE, PUBLIC, SECRET, keys_of

GATEWAY, PRESENCE, ROUTING, TRANSCRIPTS = (keys_of(s) for s in ("gateway", "presence", "routing", "transcripts"))
BY_SECRET = Keys(SECRET)
AN = Agent(id="an", supervisor=True, departments=["algemeen"])
LATER = 4_000_000_000


def kid_of(owner: str) -> str:
    """The id of this service's key."""
    return chain.kid_of(Ed25519PrivateKey.from_private_bytes(PRIVATE[owner]).public_key().public_bytes_raw())


def forged(owner: str, claims: dict[str, object], typ: str = "service+jwt", key: bytes | None = None) -> str:
    """A token as another library makes it, with the key id of `owner`."""
    private = Ed25519PrivateKey.from_private_bytes(key or PRIVATE[owner])
    return jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": kid_of(owner), "typ": typ})


def test_another_library_reads_what_is_signed_and_signs_what_is_read() -> None:
    token = GATEWAY.service_token("gateway", None, "routing")
    public = Ed25519PrivateKey.from_private_bytes(PRIVATE["gateway"]).public_key()
    claims = jwt.decode(token, public, ["EdDSA"], audience="routing", issuer="gateway")
    assert claims.keys() == {"iss", "aud", "exp"}
    assert jwt.get_unverified_header(token)["typ"] == "service+jwt"
    assert ROUTING.service_of(forged("gateway", {"iss": "gateway", "aud": "routing", "exp": LATER}), "routing")


def test_a_service_token_is_for_one_service() -> None:
    actor = Actor(party="citizen", id=CHAT)
    token = GATEWAY.service_token("gateway", actor, "transcripts")
    assert TRANSCRIPTS.service_of(token, "transcripts") == ("gateway", actor)
    assert TRANSCRIPTS.service_of(token, "transcripts") == ("gateway", actor), "from memory"
    assert ROUTING.service_of(token, "routing") is None
    assert PRESENCE.service_of(token, "presence") is None


def test_an_agent_may_serve_hundreds_of_departments() -> None:
    departments = [f"dienst-burgerzaken-{number:03}" for number in range(300)]
    token = PRESENCE.agent_token(Agent(id=CHAT, departments=departments))
    actor = Actor(party="agent", id=CHAT, departments=departments)
    said = ROUTING.agent_of(token or "", "routing")
    assert said is not None
    assert said.departments == departments
    assert ROUTING.service_of(GATEWAY.service_token("gateway", actor, "routing"), "routing") == ("gateway", actor)


def test_presence_alone_says_who_an_agent_is() -> None:
    token = PRESENCE.agent_token(AN)
    assert token is not None
    for keys, service in ((ROUTING, "routing"), (TRANSCRIPTS, "transcripts"), (PRESENCE, "presence")):
        assert keys.agent_of(token, service) == AN
    assert TRANSCRIPTS.agent_of(token, "gateway") is None
    by_gateway = GATEWAY.agent_token(AN)
    assert by_gateway is not None
    assert TRANSCRIPTS.agent_of(by_gateway, "transcripts") is None
    pretended = {"iss": "presence", "aud": ["transcripts"], "sub": "an", "exp": LATER}
    assert TRANSCRIPTS.agent_of(forged("gateway", pretended, "agent+jwt"), "transcripts") is None, "its own key"
    wrong_key = forged("presence", pretended, "agent+jwt", PRIVATE["gateway"])
    assert TRANSCRIPTS.agent_of(wrong_key, "transcripts") is None, "the key id of another"


def test_presence_cannot_send_requests_nor_hand_out_chats() -> None:
    assert TRANSCRIPTS.service_of(PRESENCE.service_token("presence", None, "transcripts"), "transcripts") is None
    assert GATEWAY.chat_of(PRESENCE.chat_token(CHAT)) is None


def test_who_has_no_key_signs_with_the_secret_which_nobody_accepts() -> None:
    assert TRANSCRIPTS.service_of(ROUTING.service_token("gateway", None, "transcripts"), "transcripts") is None
    assert ROUTING.agent_token(AN) is None


KINDS: dict[str, Callable[[Keys], str]] = {
    "chat": lambda keys: keys.chat_token(CHAT),
    "question": lambda keys: keys.question_token(CHAT),
    "reservation": lambda keys: keys.reservation_token(CHAT, "algemeen"),
    "service": lambda keys: keys.service_token("gateway", None, "gateway"),
    "agent": lambda keys: keys.agent_token(AN) or "",
    "device": lambda keys: keys.device_token("an", "browser"),
}
READ: dict[str, Callable[[Keys, str], object]] = {
    "chat": lambda keys, token: keys.chat_of(token),
    "question": lambda keys, token: keys.question_of(token),
    "reservation": lambda keys, token: keys.reservation_of(token),
    "service": lambda keys, token: keys.service_of(token, "gateway"),
    "agent": lambda keys, token: keys.agent_of(token, "presence"),
    "device": lambda keys, token: keys.device_of(token),
}


@pytest.mark.parametrize(("made", "read"), list(product(KINDS, READ)))
def test_a_token_of_one_purpose_is_none_of_another(made: str, read: str) -> None:
    owner = "presence" if made in ("agent", "device") else "gateway"
    found = READ[read](keys_of(owner), KINDS[made](keys_of(owner)))
    assert (found is not None) == (made == read)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "gateway", "aud": "routing"},
        {"iss": "gateway", "aud": "routing", "exp": 1_000},
        {"iss": "gateway", "aud": "routing", "exp": "4000000000"},
        {"iss": "gateway", "aud": "routing", "exp": None},
        {"iss": "gateway", "exp": LATER},
        {"iss": "gateway", "aud": ["presence"], "exp": LATER},
        {"iss": "operator", "aud": "routing", "exp": LATER},
        {"aud": "routing", "exp": LATER},
    ],
)
def test_a_token_without_an_end_an_audience_or_its_own_issuer_is_refused(claims: dict[str, object]) -> None:
    assert ROUTING.service_of(forged("gateway", claims), "routing") is None


def test_a_token_that_has_ended_is_refused_although_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    token = GATEWAY.service_token("gateway", Actor(party="citizen", id=CHAT), "routing")
    assert ROUTING.service_of(token, "routing") is not None
    late = datetime.now(UTC) + timedelta(seconds=tokens.SERVICE_TOKEN_LIFE + 1)
    monkeypatch.setattr(key_ring, "utcnow", lambda: late)
    assert ROUTING.service_of(token, "routing") is None


def test_a_service_token_is_made_again_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, now = keys_of("gateway"), datetime.now(UTC)
    first = keys.service_token("gateway", None, "routing")
    assert keys.service_token("gateway", None, "routing") == first
    assert keys.service_token("gateway", None, "presence") != first
    monkeypatch.setattr(tokens, "utcnow", lambda: now + timedelta(seconds=tokens.SIGNED_AGAIN + 1))
    assert keys.service_token("gateway", None, "routing") != first
    assert tokens.SIGNED_AGAIN < tokens.SERVICE_TOKEN_LIFE / 2


def test_a_chat_token_is_the_same_on_every_replica_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = datetime(2026, 11, 29, 10, 20, tzinfo=UTC)
    monkeypatch.setattr(key_ring, "utcnow", lambda: opened)
    token = GATEWAY.chat_token(CHAT, opened)
    assert keys_of("gateway").chat_token(CHAT, opened + timedelta(seconds=3)) == token
    assert GATEWAY.chat_of(token) == CHAT
    for hours, expected in ((-1, CHAT), (1, None)):
        end = opened + timedelta(seconds=CHAT_LIFE + 48 * 3_600 + hours * 3_600)
        monkeypatch.setattr(key_ring, "utcnow", lambda end=end: end)
        assert GATEWAY.chat_of(token) == expected


def by_secret(claims: dict[str, object]) -> str:
    """A token of a question, signed with the secret as an earlier release does."""
    key = hmac.digest(SECRET.encode(), b"eloket/question", "sha256")
    return jwt.encode({"typ": "question", "sub": CHAT, **claims}, key, algorithm="HS256")


LEFT = datetime(2026, 11, 29, 10, 20, tzinfo=UTC)


def test_a_question_token_is_the_same_on_every_replica() -> None:
    token = GATEWAY.question_token(CHAT, LEFT)
    assert keys_of("gateway").question_token(CHAT, LEFT + timedelta(seconds=3)) == token


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize(
    ("kind", "lives"),
    [
        ("chat", CHAT_LIFE + 48 * 3_600),
        ("question", tokens.QUESTION_LIFE),
        ("reservation", tokens.RESERVATION_LIFE),
        ("service", tokens.SERVICE_TOKEN_LIFE),
        ("device", tokens.DEVICE_TOKEN_LIFE),
    ],
)
def test_every_token_ends_with_keys_and_without(
    step: int, kind: str, lives: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, began = STEPS[step]("presence" if kind == "device" else "gateway"), datetime.now(UTC)

    def pass_time(seconds: float) -> None:
        for module in (tokens, key_ring):
            monkeypatch.setattr(module, "utcnow", lambda: began + timedelta(seconds=seconds))

    pass_time(0)
    token = KINDS[kind](keys)
    hour = 3_600 if kind in ("chat", "question") else 0  # these are rounded up to an hour
    for seconds, valid in ((lives - 60, True), (lives + hour + 1, False)):
        pass_time(seconds)
        assert (READ[kind](keys, token) is not None) == valid


def test_a_citizens_token_of_an_earlier_release_has_the_end_of_what_it_opens() -> None:
    claims: dict[str, object] = {"iss": "gateway", "aud": "gateway", "sub": CHAT}
    assert GATEWAY.question_of(forged("gateway", claims, "question+jwt")) == CHAT
    assert GATEWAY.question_of(forged("gateway", {**claims, "exp": None}, "question+jwt")) is None
    assert BY_SECRET.question_of(by_secret({})) == CHAT
    for exp in (1_000, "4000000000", None):
        assert BY_SECRET.question_of(by_secret({"exp": exp})) is None


def test_a_changed_token_is_refused() -> None:
    head, body, signature = GATEWAY.chat_token(CHAT).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = base64.urlsafe_b64encode(json.dumps({**claims, "sub": CHAT[:-1] + "0"}).encode()).decode().rstrip("=")
    assert GATEWAY.chat_of(f"{head}.{other}.{signature}") is None


def test_the_key_does_not_become_a_secret_of_another_algorithm() -> None:
    """RFC 8725 section 2.1: the public key, which everybody may know, as the secret of HMAC."""
    public = Ed25519PrivateKey.from_private_bytes(PRIVATE["gateway"]).public_key().public_bytes_raw()
    headers = {"kid": chain.kid_of(public), "typ": "chat+jwt"}
    claims = {"iss": "gateway", "aud": "gateway", "sub": CHAT, "exp": LATER}
    unsigned = jwt.encode(claims, None, algorithm="none", headers=headers)  # type: ignore[arg-type]
    for token in (jwt.encode(claims, public, algorithm="HS256", headers=headers), unsigned):
        assert GATEWAY.chat_of(token) is None


@given(st.text() | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+"))
def test_any_text_is_answered_without_an_error(text: str) -> None:
    assert GATEWAY.chat_of(text) is None
    assert TRANSCRIPTS.service_of(text, "transcripts") is None
    assert TRANSCRIPTS.agent_of(text, "transcripts") is None


@given(st.binary(max_size=60))
def test_any_header_and_body_are_answered_without_an_error(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert GATEWAY.chat_of(f"{text}.{text}.{text}") is None


def test_what_is_not_an_object_is_refused() -> None:
    ring = KeyRing("gateway", PRIVATE["gateway"], [])
    payload = jwt.PyJWS().encode(
        b"[1]",
        Ed25519PrivateKey.from_private_bytes(PRIVATE["gateway"]),
        algorithm="EdDSA",
        headers={"kid": kid_of("gateway"), "typ": "chat+jwt"},
    )
    assert ring.verify(payload, "chat", "gateway", ("gateway",)) is None


# ── from the secret to keys, and from one key to the next ────────────────────────────────────────────────────────────

STEPS: list[Callable[[str], Keys]] = [
    lambda _: Keys(SECRET),  # version 1.1, and 2.0 without keys
    lambda service: keys_of(service, "verify"),
    lambda service: keys_of(service, "sign"),
    lambda service: keys_of(service, "only"),
]


def refusals(before: Callable[[str], Keys], after: Callable[[str], Keys]) -> list[str]:
    """What one replica refuses of another while replicas are replaced."""
    found = []
    for of, to in product((before, after), repeat=2):
        sent = of("gateway").service_token("gateway", None, "routing")
        found += ["service"] if to("routing").service_of(sent, "routing") is None else []
        for kind in ("chat", "question", "reservation", "device"):
            owner = "presence" if kind == "device" else "gateway"
            found += [kind] if READ[kind](to(owner), KINDS[kind](of(owner))) is None else []
    return found


def test_no_replica_refuses_another_at_any_step_from_the_secret_to_keys() -> None:
    """But the last step, which ends the tokens of the secret: those of services and chats have ended before it."""
    assert not [pair for pair in pairwise(STEPS[:3]) if refusals(*pair)]
    assert refusals(STEPS[0], STEPS[2]), "without the step `verify`"
    assert refusals(STEPS[1], STEPS[3]), "without the step `sign`"
    chat = BY_SECRET.chat_token(CHAT)
    assert [step("gateway").chat_of(chat) for step in STEPS] == [CHAT, CHAT, CHAT, None]


NEXT = b"n" * 32
BOTH = f"{PUBLIC},{public_entry('gateway', NEXT)}"
AFTER = ",".join([public_entry("gateway", NEXT), public_entry("presence", PRIVATE["presence"])])
ROTATION: list[Callable[[str], Keys]] = [
    lambda service: keys_of(service),
    lambda service: keys_of(service, public=BOTH),
    lambda service: keys_of(service, public=BOTH, private=NEXT if service == "gateway" else None),
    lambda service: keys_of(service, public=AFTER, private=NEXT if service == "gateway" else None),
]


def test_no_replica_refuses_another_at_any_step_of_the_rotation_of_a_key() -> None:
    assert not [n for n, pair in enumerate(pairwise(ROTATION[:3])) if refusals(*pair)]
    assert refusals(ROTATION[0], ROTATION[2]), "without the first step"
    chat = ROTATION[0]("gateway").chat_token(CHAT)
    assert [step("gateway").chat_of(chat) for step in ROTATION] == [CHAT, CHAT, CHAT, None], "until it is removed"
    assert ROTATION[3]("gateway").chat_of(ROTATION[2]("gateway").chat_token(CHAT)) == CHAT


# ── what is given ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrong", ["gateway", "gateway:", "gateway:AA", f"routing:{'A' * 43}", PUBLIC.replace(":", "="), f"{PUBLIC},x"]
)
def test_a_list_that_is_wrong_is_refused_without_its_value(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a list such as gateway:KEY") as caught:
        parse_public_keys(wrong)
    assert "A" * 43 not in str(caught.value)
    assert public_entry("gateway", PRIVATE["gateway"]) not in str(caught.value)


def test_the_command_makes_keys_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    privates, public = dict(zip(("gateway", "presence", "operator"), lines[1:6:2], strict=True)), lines[-1]
    stage: Stage = "only"
    signed = Keys(SECRET, ring=KeyRing("gateway", bytes.fromhex(privates["gateway"]), []), stage=stage)
    routing = Keys(SECRET, ring=KeyRing("routing", None, parse_public_keys(public)), stage=stage)
    assert routing.service_of(signed.service_token("gateway", None, "routing"), "routing") == ("gateway", None)
    assert len({*privates.values()}) == 3
    with pytest.raises(SystemExit):
        main(["routing"])


def test_without_keys_no_process_loads_the_library() -> None:
    """It takes 8 MB. Where there are keys its Ed25519 is loaded, and nothing of it that PyJWT would add."""
    program = (
        "from services.common.runtime import without_cryptography\n"
        "import sys\n"
        "from services.common.http.key_ring import KeyRing\n"
        "def loaded(): return sorted(m for m in sys.modules if m.startswith('cryptography') and sys.modules[m])\n"
        "assert not loaded(), loaded()\n"
        "KeyRing('routing', None, [])\n"
        "assert 'cryptography.hazmat.primitives.asymmetric.ed25519' in sys.modules\n"
        "assert 'cryptography.hazmat.primitives.asymmetric.rsa' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=3 * PATIENCE)
