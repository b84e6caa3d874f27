"""Mirrors services/common/config/integrations.py."""

import base64
from hashlib import sha256
from pathlib import Path

import pytest

from services.common.config.integrations import Integrations, Webhook, load_integrations, read_secrets, read_token
from services.common.config.toml_file import ConfigurationError

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

MORE = """
[[contact_registers]]
id = "klanten"
url = "https://openklant.example.be/klantinteracties/api/v1"
token = "env:KLANTEN"

[mail_server]
host = "mail.example.be"
username = "chat"
password = "env:MAIL"
sender = "chat@example.be"

[[mails]]
id = "vragen"
to = ["premies@example.be"]
departments = ["premies"]
console = "https://chat.example.be/agent"

[[clients]]
id = "cijfers"
secret_hashes = ["sha256:{hash}"]
scopes = ["statistics:*", "chats:premies"]
"""
GIVEN = "5e" * 32


def secret(size: int = 32) -> str:
    return "whsec_" + base64.b64encode(bytes(size)).decode()


def more(old: str = "", new: str = "") -> str:
    assert old in MORE
    return MORE.replace(old, new, 1).replace("{hash}", sha256(GIVEN.encode()).hexdigest())


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
        ('id = "test"', 'id = "zaken"', "have the same id"),
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


def test_registers_mails_and_clients_are_read(tmp_path: Path) -> None:
    made = load(tmp_path, GOOD + more())
    assert [target.id for target in made.targets] == ["zaken", "test", "klanten", "vragen"]
    (register,), (mail,), (client,) = made.contact_registers, made.mails, made.clients
    assert (register.wants("chat.closed", "algemeen"), register.wants("chat.opened", "algemeen")) == (True, False)
    assert (register.content, register.confidential, register.seconds > 0) == ("none", True, True)
    assert (mail.wants("question.left", "premies"), mail.wants("question.left", "algemeen")) == (True, False)
    assert (mail.content, mail.locale, mail.seconds) == (False, "nl", 300)
    assert client.may("statistics", "algemeen")
    assert client.may("chats", "premies")
    assert not client.may("chats", "algemeen")
    assert not client.may("transcripts", "premies")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("https://openklant", "http://openklant", "must begin with https://"),
        ('"env:KLANTEN"', '"geheim"', "is 'env:NAME' or 'file:PATH'"),
        ('id = "klanten"', 'id = "klanten"\ncontent = "all"', "'none' or 'messages'"),
        ('id = "vragen"', 'id = "klanten"', "have the same id"),
        ('host = "mail.example.be"', 'host = "mail.example.be"\nsecurity = "none"', "for this machine alone"),
        ('username = "chat"\n', "", "both a username and a password"),
        ('host = "mail.example.be"', 'host = "mail example.be"', "pattern"),
        ("premies@example.be", "premies@example.be\\nBcc: x@example.be", "pattern"),
        ("premies@example.be", "An <an@example.be>", "pattern"),
        ("premies@example.be", "premies..toelagen@example.be", "is not an address"),
        ("premies@example.be", ".premies@example.be", "is not an address"),
        ("premies@example.be", "premies@example..be", "is not an address"),
        ('username = "chat"', 'username = "chât"', "pattern"),
        ("premies@example.be", "chat@EXAMPLE.be", "an automatic answer would come back"),
        ("premies@example.be", "a" * 60 + "@" + "b" * 250, "at most"),
        ('["premies@example.be"]', "[]", "at least 1"),
        ('departments = ["premies"]', 'departments = ["premie"]', "there is no department 'premie'"),
        ('id = "vragen"', 'id = "vragen"\nlocale = "es"', "'nl'"),
        ('id = "vragen"', 'id = "vragen"\nwait = 901', "less than or equal to 900"),
        ('"sha256:{hash}"', '"' + GIVEN + '"', "pattern"),
        ("chats:premies", "chats:premie", "there is no department 'premie'"),
        ("chats:premies", "chat:premies", "pattern"),
        ("chats:premies", "chats", "pattern"),
    ],
)
def test_wrong_registers_mails_and_clients_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="INTEGRATIONS_FILE") as refused:
        load(tmp_path, GOOD + more(old, new))
    assert said in str(refused.value)


def test_mails_need_a_server_and_clients_an_id_each(tmp_path: Path) -> None:
    whole = more()
    server = whole[whole.index("[mail_server]") : whole.index("[[mails]]")]
    with pytest.raises(ConfigurationError, match="mails need a"):
        load(tmp_path, GOOD + whole.replace(server, ""))
    with pytest.raises(ConfigurationError, match="two clients"):
        load(tmp_path, GOOD + whole + whole[whole.index("[[clients]]") :])


def test_a_client_has_the_secret_of_its_hash_and_no_word_that_can_be_guessed(tmp_path: Path) -> None:
    (client,) = load(tmp_path, more()).clients
    assert client.knows(GIVEN)
    assert not client.knows("5f" * 32)
    assert not client.knows("")
    for word in ("welkom01", GIVEN.upper(), GIVEN + "\n"):
        guessed = client.model_copy(update={"secret_hashes": ("sha256:" + sha256(word.encode()).hexdigest(),)})
        assert not guessed.knows(word), "a secret has 256 random bits"


@pytest.mark.parametrize("wrong", ["", "a\nb", "é", "a" * 501])
def test_a_wrong_token_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="'klanten'") as refused:
        read_token("klanten", "env:KLANTEN", {"KLANTEN": wrong})
    assert not wrong or wrong not in str(refused.value)
    assert read_token("klanten", "env:KLANTEN", {"KLANTEN": " abc\n"}) == "abc"
