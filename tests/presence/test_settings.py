"""Presence's own settings."""

import pytest
from pydantic import ValidationError

from services.presence.settings import PresenceSettings

SECRET = "a secret of sixteen"


def test_demo_accounts_are_off_unless_somebody_turns_them_on() -> None:
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
