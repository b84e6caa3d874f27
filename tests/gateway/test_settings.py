"""`services/gateway/settings.py`: which peers are our own proxies."""

import pytest
from pydantic import ValidationError

from services.common.config.settings import Settings as Shared
from services.common.config.settings import explain
from services.gateway.settings import Settings
from services.presence.settings import PresenceSettings
from services.routing.settings import RoutingSettings
from services.transcripts.settings import Settings as TranscriptsSettings

SECRET = "a secret of the tests alone"


def test_no_address_is_a_proxy_unless_named() -> None:
    settings = Settings(token_secret=SECRET)
    assert not settings.is_trusted_proxy("127.0.0.1")
    assert not settings.is_trusted_proxy("")


def test_networks_and_addresses_are_named() -> None:
    settings = Settings(token_secret=SECRET, trusted_proxies="10.0.0.0/8, 192.168.1.7 ,fd00::/8,")
    assert all(settings.is_trusted_proxy(a) for a in ("10.255.0.1", "192.168.1.7", "fd00::1"))
    assert not any(settings.is_trusted_proxy(a) for a in ("11.0.0.1", "192.168.1.8", "::1", "proxy", "10.0.0.1, x"))


KEYS_ALONE = {"token_secret": SECRET, "verification_keys": f"gateway:{'A' * 43}", "token_keys": "only"}


@pytest.mark.parametrize("service", [Settings, PresenceSettings])
def test_a_service_that_signs_needs_a_key_where_keys_alone_count(service: type[Shared]) -> None:
    with pytest.raises(ValidationError) as caught:
        service.model_validate(KEYS_ALONE)
    assert "SIGNING_KEY" in explain(caught.value)[0]
    assert service.model_validate(KEYS_ALONE | {"signing_key": "ab" * 32}).token_keys == "only"


@pytest.mark.parametrize("service", [RoutingSettings, TranscriptsSettings])
def test_a_service_that_signs_nothing_needs_none(service: type[Shared]) -> None:
    assert service.model_validate(KEYS_ALONE).token_keys == "only"


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.1/8", "10.0.0.0/8;11.0.0.0/8"])
def test_what_is_no_network_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(token_secret=SECRET, trusted_proxies=wrong)
    assert explain(caught.value)[0].startswith("TRUSTED_PROXIES: ")


def test_each_origin_has_the_hosts_that_browsers_send() -> None:
    settings = Settings(token_secret=SECRET, public_origins="https://Chat.Example, http://[::1]:80,https://b:8443 ,")
    assert settings.hosts == {"chat.example", "chat.example:443", "[::1]", "[::1]:80", "b:8443"}
    assert Settings(token_secret=SECRET).hosts == frozenset()


def test_the_console_has_a_host_that_is_none_of_the_others() -> None:
    public = {"token_secret": SECRET, "public_origins": "https://chat.example, http://localhost:8000"}
    settings = Settings.model_validate({**public, "console_origin": "https://Console.example"})
    assert settings.hosts >= {"chat.example", "console.example", "console.example:443"}
    assert settings.own_origins == ("https://chat.example", "http://localhost:8000", "https://Console.example")
    assert settings.origins == ["https://chat.example", "http://localhost:8000"]
    assert Settings(token_secret=SECRET).own_origins == ()
    for wrong, about in (
        ({**public, "console_origin": "https://console.example/agent"}, "CONSOLE_ORIGIN: "),
        ({**public, "console_origin": "https://console.example,https://b.example"}, "CONSOLE_ORIGIN: "),
        ({**public, "console_origin": "https://chat.example:8443"}, "CONSOLE_ORIGIN needs a host"),
        ({"token_secret": SECRET, "console_origin": "https://console.example"}, "CONSOLE_ORIGIN needs PUBLIC_ORIGINS"),
    ):
        with pytest.raises(ValidationError) as caught:
            Settings.model_validate(wrong)
        assert about in explain(caught.value)[0]


@pytest.mark.parametrize(
    "wrong",
    ["chat.example", "https://chat.example/", "https://a@b", "ftp://a", "https://:443", "https://a:x", "https://a b"],
)
def test_what_is_no_origin_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(token_secret=SECRET, public_origins=f"https://chat.example,{wrong}")
    assert explain(caught.value)[0].startswith("PUBLIC_ORIGINS: ")
