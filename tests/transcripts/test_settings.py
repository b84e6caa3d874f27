"""The transcript service's own settings."""

import pytest
from pydantic import ValidationError

from services.transcripts.settings import Settings

SECRET = "a secret of sixteen"


def test_the_limits_of_the_protocol_are_the_defaults() -> None:
    settings = Settings(token_secret=SECRET)
    assert settings.attachment_bytes == 10 * 1024 * 1024
    assert settings.attachment_count == 20
    assert settings.attachment_total == 50 * 1024 * 1024


@pytest.mark.parametrize("limit", ["0", "90", "2.5"])
def test_the_inactivity_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    assert Settings(token_secret=SECRET).silence_limit == 900
    monkeypatch.setenv("SILENCE_LIMIT", limit)
    assert Settings(token_secret=SECRET).silence_limit == float(limit)


@pytest.mark.parametrize("limit", ["-1", "inf", "nan", "long"])
def test_an_unlimited_inactivity_limit_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("SILENCE_LIMIT", limit)
    with pytest.raises(ValidationError):
        Settings(token_secret=SECRET)


@pytest.mark.parametrize("url", ["", "tcp://127.0.0.1:3310", "unix:/run/clamav/clamd.ctl"])
def test_a_scanner_by_tcp_or_unix_socket(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CLAMD_URL", url)
    assert Settings(token_secret=SECRET).clamd_url == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:3310", "tcp://127.0.0.1", "clamd"])
def test_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CLAMD_URL", url)
    with pytest.raises(ValidationError):
        Settings(token_secret=SECRET)
