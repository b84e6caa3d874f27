"""Limits come from the environment, in seconds, and must be positive."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.routing.settings import RoutingSettings

SECRET = "a secret of sixteen"


def test_the_limits_of_the_protocol_are_the_defaults() -> None:
    settings = RoutingSettings(token_secret=SECRET)
    assert settings.limits.hello == timedelta(seconds=10)
    assert settings.limits.accept == timedelta(seconds=30)
    assert settings.limits.named == timedelta(seconds=60)


def test_the_environment_changes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAITING_LIMIT", "5")
    assert RoutingSettings(token_secret=SECRET).limits.waiting == timedelta(seconds=5)


@pytest.mark.parametrize(
    "name", ["HELLO_LIMIT", "AWAY_LIMIT", "WAITING_LIMIT", "ACCEPT_LIMIT", "NAMED_LIMIT", "RETURN_LIMIT"]
)
def test_a_limit_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "0")
    with pytest.raises(ValidationError):
        RoutingSettings(token_secret=SECRET)
