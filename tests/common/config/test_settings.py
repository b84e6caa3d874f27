"""`settings.py`: the environment is validated as a whole, and a mistake is named without its value."""

import pytest
from pydantic import ValidationError

from services.common.config.settings import Settings, explain

SECRET = "sixteen characters or more"
PRIVATE = "hunter2-very-private"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TOKEN_SECRET", SECRET)


def test_the_documented_defaults() -> None:
    settings = Settings()
    assert [settings.gateway_port, settings.presence_port, settings.routing_port, settings.transcripts_port] == [
        8000,
        8001,
        8002,
        8003,
    ]
    assert (settings.office_hours, settings.timezone, settings.holidays) == (
        "Mon-Fri 09:00-17:00",
        "Europe/Brussels",
        "BE",
    )
    assert (settings.rate_limits, settings.log_level, settings.listen_address) == ("on", "info", "127.0.0.1")


def test_the_environment_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTING_PORT", "9002")
    monkeypatch.setenv("TRANSCRIPTS_URL", "http://transcripts:8003/")
    settings = Settings()
    assert settings.url_of("routing") == "http://127.0.0.1:9002"
    assert settings.url_of("transcripts") == "http://transcripts:8003"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().listen_address = "0.0.0.0"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_SECRET", "short"),
        ("TOKEN_SECRET", ""),
        ("GATEWAY_PORT", "0"),
        ("GATEWAY_PORT", "65536"),
        ("PRESENCE_PORT", PRIVATE),
        ("OWN_PORT", "0"),
        ("PORT_SHARED", PRIVATE),
        ("LOG_LEVEL", PRIVATE),
        ("RATE_LIMITS", PRIVATE),
        ("TIMEZONE", PRIVATE),
        ("TIMEZONE", "../../etc/passwd"),
        ("RABBITMQ_URL", f"http://user:{PRIVATE}@host"),
        ("RABBITMQ_URL", PRIVATE),
        ("MONGODB_URL", f"amqp://user:{PRIVATE}@host"),
        ("MONGODB_URL", f"mongodb://[{PRIVATE}"),
        ("ROUTING_URL", PRIVATE),
        ("OFFICE_HOURS", "Mon-Fri"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    (line,) = explain(caught.value)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert PRIVATE not in line
    assert SECRET not in line


def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN_SECRET")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert explain(caught.value) == ["TOKEN_SECRET: Field required"]


def test_every_mistake_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "no")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert sorted(line.split(":")[0] for line in explain(caught.value)) == ["GATEWAY_PORT", "LOG_LEVEL"]


@pytest.mark.parametrize(
    "url", ["mongodb://a:1,b:2,c:3/?replicaSet=rs0", "mongodb+srv://cluster.example.be/", "mongodb://u:p%40@h/"]
)
def test_addresses_of_clusters_are_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MONGODB_URL", url)
    assert Settings().mongodb_url == url


def test_a_shared_port_needs_a_port_of_its_own_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().port_shared == "off"
    monkeypatch.setenv("PORT_SHARED", "on")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert explain(caught.value) == ["OWN_PORT: is needed where PORT_SHARED is on"]
    monkeypatch.setenv("OWN_PORT", "21000")
    assert Settings().own_port == 21000
