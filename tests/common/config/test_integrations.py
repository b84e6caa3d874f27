"""Mirrors services/common/config/integrations.py."""

import base64
from pathlib import Path

import pytest

from services.common.config.departments import ConfigurationError
from services.common.config.integrations import Integrations, Webhook, load_integrations, read_secrets

GOOD = """
[[webhooks]]
id = "zaken"
url = "https://zaken.example.be/webhooks/chat?x=1"
secrets = ["env:NEW", "file:{file}"]
events = ["chat.closed", "question.left"]
departments = ["premies"]

[[webhooks]]
id = "test"
url = "http://127.0.0.1:9000/"
secrets = ["env:NEW"]
events = ["button.changed"]
"""


def secret(size: int = 32) -> str:
    return "whsec_" + base64.b64encode(bytes(size)).decode()


def load(tmp_path: Path, text: str) -> Integrations:
    file = tmp_path / "integrations.toml"
    file.write_text(text)
    return load_integrations(file, ["algemeen", "premies"])


def test_a_file_is_read(tmp_path: Path) -> None:
    zaken, test = load(tmp_path, GOOD).webhooks
    assert zaken.wants("chat.closed", "premies")
    assert not zaken.wants("chat.closed", "algemeen")
    assert not zaken.wants("chat.opened", "premies")
    assert test.wants("button.changed", "algemeen")
    assert load_integrations(None, []) == Integrations()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("https://zaken", "http://zaken", "must begin with https://"),
        ("https://zaken", "ftp://zaken", "is not an address"),
        ("https://zaken", "https://u:p@zaken", "may not contain a user name"),
        ("?x=1", "#x", "fragment"),
        ("https://zaken.example.be", "https://[zaken", "is not an address"),
        ("zaken.example.be", "zaken.example.be:99999", "is not an address"),
        ('"env:NEW", "file', '"whsec_abc", "file', "is 'env:NAME' or 'file:PATH'"),
        ('"env:NEW", "file', '"env:A", "env:B", "file', "at most 2"),
        ("chat.closed", "chat.ended", "chat.opened"),
        ('["premies"]', '["premie"]', "there is no department 'premie'"),
        ('["premies"]', "[]", "at least 1"),
        ('id = "test"', 'id = "zaken"', "two webhooks have the same id"),
        ('id = "test"', 'id = "Test!"', "pattern"),
        ('id = "test"', 'id = "test"\nretries = 3', "Extra inputs"),
        ("[[webhooks]]", "[[webhooks]", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="INTEGRATIONS_FILE") as refused:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(refused.value)
    assert "whsec_abc" not in str(refused.value), "what may be a secret is not repeated"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_integrations(tmp_path / "none.toml", [])


def webhook(*secrets: str) -> Webhook:
    fields = {"id": "zaken", "url": "https://a.example/", "secrets": secrets, "events": ["chat.closed"]}
    return Webhook.model_validate(fields)


def test_secrets_are_read_where_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(secret(24) + "\n")
    assert read_secrets(webhook("env:NEW", f"file:{file}"), {"NEW": secret()}) == [bytes(32), bytes(24)]


@pytest.mark.parametrize(
    "wrong", ["", "geheim", secret(23), secret(65), "whsec_", "whsec_é", "whsec_a b", secret().removeprefix("whsec_")]
)
def test_a_wrong_secret_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook 'zaken'") as refused:
        read_secrets(webhook("env:NEW"), {"NEW": wrong})
    assert "env:NEW" in str(refused.value)
    assert not wrong or wrong == "whsec_" or wrong not in str(refused.value)


def test_a_missing_file_of_a_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no secret at file:"):
        read_secrets(webhook(f"file:{tmp_path / 'none'}"))
