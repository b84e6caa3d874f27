"""Presence's own settings."""

import secrets

import pytest
from pydantic import ValidationError

from services.common.config.settings import explain
from services.presence.settings import PresenceSettings

SECRET = "a secret of sixteen"


def test_demo_accounts_are_off_unless_they_are_turned_on() -> None:
    settings = PresenceSettings(token_secret=SECRET)
    assert settings.demo_accounts == "off"
    assert settings.demo_agents == 0
    assert settings.agent_grace == 10.0


def test_an_empty_accounts_file_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNTS_FILE", "")
    assert PresenceSettings(token_secret=SECRET).accounts_file is None


@pytest.mark.parametrize(("name", "value"), [("AGENT_GRACE", "0"), ("DEMO_AGENTS", "-1"), ("DEMO_ACCOUNTS", "maybe")])
def test_bad_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        PresenceSettings(token_secret=SECRET)


ISSUER = {
    "OIDC_ISSUER": "https://issuer.example",
    "OIDC_CLIENT_ID": "eloket",
    "PUBLIC_URL": "https://chat.example",
    "ACCOUNTS_FILE": "accounts.toml",
}


def test_an_issuer_with_all_that_it_needs_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ISSUER.items():
        monkeypatch.setenv(name, value)
    settings = PresenceSettings(token_secret=SECRET)
    assert (settings.oidc_profile, settings.oidc_local, settings.oidc_refresh) == ("generic", "on", 600.0)
    monkeypatch.setenv("OIDC_CLIENT_SECRET", "very secret")
    assert "very secret" not in repr(PresenceSettings(token_secret=SECRET))


def test_agents_come_back_to_the_host_of_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ISSUER.items():
        monkeypatch.setenv(name, value)
    assert PresenceSettings(token_secret=SECRET).agents_callback == "https://chat.example/api/agent/oidc/callback"
    monkeypatch.setenv("CONSOLE_ORIGIN", "https://console.example")
    assert PresenceSettings(token_secret=SECRET).agents_callback == "https://console.example/api/agent/oidc/callback"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "") for name in ISSUER if name != "OIDC_ISSUER"),
        ("CONSOLE_ORIGIN", "http://console.example"),
        ("OIDC_ISSUER", "http://issuer.example"),
        ("OIDC_ISSUER", "issuer.example"),
        ("PUBLIC_URL", "http://chat.example"),
        ("PUBLIC_URL", "javascript:alert(1)"),
        ("OIDC_SCOPE", "profile"),
        ("OIDC_PROFILE", "saml"),
        ("OIDC_SESSION_LIFE", "10"),
    ],
)
def test_an_issuer_without_what_it_needs_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for given, text in {**ISSUER, name: value}.items():
        monkeypatch.setenv(given, text)
    with pytest.raises(ValidationError):
        PresenceSettings(token_secret=SECRET)


def test_local_accounts_are_not_turned_off_without_an_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_LOCAL", "off")
    with pytest.raises(ValidationError, match="nobody could log in"):
        PresenceSettings(token_secret=SECRET)


@pytest.mark.parametrize("secret", ["s" * 32, "ab" * 16, "abcdefgh" * 2, "0123456" * 5 + "01", "1212121212121213"])
def test_a_token_secret_that_is_easy_to_guess_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="easy to guess") as refused:
        PresenceSettings(token_secret=secret)
    assert secret not in "\n".join(explain(refused.value))


def test_random_token_secrets_are_accepted() -> None:
    for _ in range(1_000):
        PresenceSettings(token_secret=secrets.token_hex(32))


def test_the_keys_of_second_factors_are_in_their_order_and_else_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    derived = [b"present", b"previous"]
    for value in ("", "derived", " derived, "):
        monkeypatch.setenv("SECOND_FACTOR_KEYS", value)
        assert PresenceSettings(token_secret=SECRET).keys_of_second_factors(derived) == derived
    monkeypatch.setenv("SECOND_FACTOR_KEYS", f"{'0A' * 32}, derived,{'0b' * 32}")
    settings = PresenceSettings(token_secret=SECRET)
    assert settings.keys_of_second_factors(derived) == [b"\n" * 32, *derived, b"\x0b" * 32]
    assert "0A" not in repr(settings)


@pytest.mark.parametrize("value", ["0a" * 31, "0g" * 32, f"{'0a' * 32};{'0a' * 32}", "Derived"])
def test_what_is_no_key_of_second_factors_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SECOND_FACTOR_KEYS", value)
    with pytest.raises(ValidationError) as error:
        PresenceSettings(token_secret=SECRET)
    (said,) = explain(error.value)
    assert "SECOND_FACTOR_KEYS" in said
    assert value not in said


@pytest.mark.parametrize(
    ("name", "value"), [("PASSWORD_WORDS", "ovo"), ("PASSWORD_RANGE_URL", "http://breaches.example/range")]
)
def test_wrong_rules_of_passwords_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert PresenceSettings(token_secret=SECRET).password_range_url == ""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        PresenceSettings(token_secret=SECRET)
