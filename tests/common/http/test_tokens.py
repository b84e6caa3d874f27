"""`tokens.py`: a token is good for one purpose, under one of two secrets, and no longer than it says."""

import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import utcnow
from services.common.http import tokens
from services.common.http.tokens import Actor, Keys
from tests.support.event_samples import CHAT

SECRET = "a secret of at least sixteen characters"
KEYS = Keys(SECRET)
OTHER = Keys("another secret of sixteen characters")


def sign(claims: dict[str, object], purpose: str) -> str:
    """These claims, signed with the key of this purpose."""
    return jwt.encode(claims, hmac.digest(SECRET.encode(), f"eloket/{purpose}".encode(), "sha256"), algorithm="HS256")


def test_the_keys_are_those_with_which_the_tests_forge() -> None:
    assert KEYS.chat_of(sign({"typ": "chat", "sub": CHAT}, "chat")) == CHAT
    service = {"typ": "service", "iss": "gateway", "exp": int(time.time()) + 3_600}
    assert KEYS.service_of(sign(service, "service")) == ("gateway", None)


def test_a_chat_token_names_its_chat_and_is_always_the_same() -> None:
    token = KEYS.chat_token(CHAT)
    assert KEYS.chat_of(token) == CHAT
    assert KEYS.chat_token(CHAT) == token


def test_a_service_token_names_the_service_and_for_whom_it_asks() -> None:
    assert KEYS.service_of(KEYS.service_token("gateway")) == ("gateway", None)
    actor = Actor(party="agent", id="an", supervisor=True)
    assert KEYS.service_of(KEYS.service_token("gateway", actor)) == ("gateway", actor)


def test_a_token_of_one_kind_is_none_of_another() -> None:
    assert KEYS.chat_of(KEYS.service_token("gateway")) is None
    assert KEYS.service_of(KEYS.chat_token(CHAT)) is None


def test_a_kind_is_not_changed_by_signing_with_the_other_key() -> None:
    exp = int(time.time()) + 3_600
    for typ, key in (("service", "chat"), ("chat", "service")):
        claims = {"typ": typ, "iss": "x", "sub": CHAT, "exp": exp}
        forged = sign(claims, key)
        assert KEYS.service_of(forged) is None
        assert KEYS.chat_of(forged) is None


def test_another_secret_opens_nothing() -> None:
    assert OTHER.chat_of(KEYS.chat_token(CHAT)) is None
    assert OTHER.service_of(KEYS.service_token("gateway")) is None


def test_while_secrets_rotate_both_are_accepted_and_the_new_one_signs() -> None:
    old, new = "an old secret, sixteen and more", "a new secret, sixteen and more"
    both = Keys(new, old)
    assert both.chat_of(Keys(old).chat_token(CHAT)) == CHAT
    assert both.service_of(Keys(old).service_token("routing")) == ("routing", None)
    assert both.chat_token(CHAT) == Keys(new).chat_token(CHAT)
    assert Keys(new).chat_of(Keys(old).chat_token(CHAT)) is None


def test_a_service_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "SERVICE_TOKEN_LIFE", -1)
    assert KEYS.service_of(KEYS.service_token("gateway")) is None


def test_a_service_token_has_ended_at_its_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "SERVICE_TOKEN_LIFE", 60)
    began = datetime(2026, 11, 29, 10, 20, tzinfo=UTC)
    monkeypatch.setattr(tokens, "utcnow", lambda: began)
    token = KEYS.service_token("gateway")
    for seconds, ended in ((59, False), (60, True)):
        monkeypatch.setattr(tokens, "utcnow", lambda seconds=seconds: began + timedelta(seconds=seconds))
        assert (KEYS.service_of(token) is None) == ended


def test_a_service_token_without_an_end_is_refused() -> None:
    assert KEYS.service_of(sign({"typ": "service", "iss": "gateway"}, "service")) is None


def test_an_unsigned_token_is_refused() -> None:
    unsigned = jwt.encode({"typ": "chat", "sub": CHAT}, "", algorithm="none")
    assert KEYS.chat_of(unsigned) is None


def test_a_changed_token_is_refused() -> None:
    head, _, signature = KEYS.chat_token(CHAT).split(".")
    other = base64.urlsafe_b64encode(json.dumps({"typ": "chat", "sub": CHAT[:-1] + "0"}).encode()).decode().rstrip("=")
    assert KEYS.chat_of(f"{head}.{other}.{signature}") is None


def test_a_chat_token_names_the_department_in_which_the_chat_was_started() -> None:
    token = KEYS.chat_token(CHAT, department="premies")
    assert KEYS.started_chat_of(token) == (CHAT, "premies")
    assert KEYS.chat_of(token) == CHAT
    assert KEYS.chat_token(CHAT, department="premies") == token
    assert KEYS.started_chat_of(KEYS.chat_token(CHAT)) == (CHAT, None)
    former = {"typ": "chat", "sub": CHAT, "dep": 7}
    assert KEYS.started_chat_of(sign(former, "chat")) == (CHAT, None)
    for other in ("", "x", KEYS.question_token(CHAT), KEYS.reservation_token(CHAT, "premies")):
        assert KEYS.started_chat_of(other) is None


def test_a_chat_token_for_what_is_no_id_is_refused() -> None:
    assert KEYS.chat_of(sign({"typ": "chat", "sub": "../other"}, "chat")) is None


@given(st.text() | st.text(alphabet=st.characters(exclude_categories=())) | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+"))
def test_any_text_is_answered_without_an_error(text: str) -> None:
    assert KEYS.chat_of(text) is None
    assert KEYS.service_of(text) is None


def test_a_digest_depends_on_secret_purpose_and_text() -> None:
    values = {
        keys.digest(purpose, text) for keys in (KEYS, OTHER) for purpose in ("idempotency", "session") for text in "ab"
    }
    assert len(values) == 8
    assert {len(value) for value in values} == {32}
    assert KEYS.digest("session", "\ud800") == KEYS.digest("session", "\ud800")


def test_the_token_of_a_client_has_its_scopes_one_audience_and_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    token = KEYS.client_token("cijfers", ["chats:premies", "statistics:*"])
    assert KEYS.client_of(token) == ("cijfers", frozenset(("chats:premies", "statistics:*")))
    assert OTHER.client_of(token) is None
    assert KEYS.service_of(token) is None
    assert KEYS.chat_of(token) is None
    assert KEYS.client_of(KEYS.service_token("gateway")) is None
    claims = {"typ": "client", "sub": "cijfers", "scope": "chats:premies", "exp": int(time.time()) + 3_600}
    assert KEYS.client_of(sign({**claims, "aud": tokens.CLIENT_AUDIENCE}, "client"))
    for wrong in ({}, {"aud": "other"}, {"aud": tokens.CLIENT_AUDIENCE, "exp": 1}):
        assert KEYS.client_of(sign({**claims, **wrong}, "client")) is None
    later = utcnow() + timedelta(seconds=tokens.CLIENT_TOKEN_LIFE)
    monkeypatch.setattr(tokens, "utcnow", lambda: later)
    assert KEYS.client_of(token) is None
