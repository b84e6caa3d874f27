"""services/presence/oidc/client_keys.py: the keys of a setting, and what is published of them."""

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from services.common.config.toml_file import ConfigurationError
from services.presence.oidc.client_keys import MOST_BYTES, ClientKeys, read_client_keys

NAME = "OIDC_CLIENT_KEYS"
PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


def read(value: str) -> ClientKeys:
    """The keys of a setting that has some."""
    keys = read_client_keys(NAME, value)
    assert keys is not None
    return keys


def pem(key: RSAKey | ECKey) -> str:
    """The private key in PEM."""
    return key.as_pem(private=True).decode()


@pytest.fixture(scope="module")
def rsa() -> RSAKey:
    return RSAKey.generate_key(2_048)


@pytest.fixture(scope="module")
def ec() -> ECKey:
    return ECKey.generate_key("P-256")


@pytest.mark.parametrize("value", ["", "  \n"])
def test_an_empty_setting_is_no_key(value: str) -> None:
    assert read_client_keys(NAME, value) is None


def test_the_first_key_signs_and_all_are_published_without_what_is_private(rsa: RSAKey, ec: ECKey) -> None:
    keys = read(f"a comment\n{pem(ec)}\n{pem(rsa)}")
    assert [one.algorithm for one in keys.keys] == ["ES256", "RS256"]
    assert [one.kid for one in keys.keys] == [ec.thumbprint(), rsa.thumbprint()]
    first, second = keys.public()
    assert first == {**ec.as_dict(private=False), "kid": ec.thumbprint(), "use": "sig", "alg": "ES256"}
    assert second == {**rsa.as_dict(private=False), "kid": rsa.thumbprint(), "use": "sig", "alg": "RS256"}
    assert not any(name in one for one in (first, second) for name in PRIVATE)


def test_a_jwk_has_its_own_id_and_algorithm(rsa: RSAKey, ec: ECKey) -> None:
    given = [{**rsa.as_dict(private=True), "kid": "sleutel-1", "alg": "PS256", "key_ops": ["sign"]}]
    keys = read(json.dumps({"keys": [*given, ec.as_dict(private=True)]}))
    assert [(one.kid, one.algorithm) for one in keys.keys] == [("sleutel-1", "PS256"), (ec.thumbprint(), "ES256")]
    assert "key_ops" not in keys.public()[0]
    assert [one.kid for one in read(json.dumps(given[0])).keys] == ["sleutel-1"]


def test_keys_are_read_from_a_file(tmp_path: Path, ec: ECKey) -> None:
    file = tmp_path / "keys.pem"
    file.write_text(pem(ec))
    assert read(f"file:{file}").keys[0].kid == ec.thumbprint()


def test_where_signatures_are_strong_ours_are_too(rsa: RSAKey, ec: ECKey) -> None:
    long = RSAKey.generate_key(3_072)
    keys = read_client_keys(NAME, pem(ec) + pem(long), strong=True)
    assert keys is not None
    assert [one.algorithm for one in keys.keys] == ["ES256", "PS256"]
    for value, why in (
        (pem(rsa), "less than 3072 bits"),
        (json.dumps({**long.as_dict(private=True), "alg": "RS256"}), "`alg`"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            read_client_keys(NAME, value, strong=True)


def unfit(value: str) -> str:
    """Why it is refused."""
    with pytest.raises(ConfigurationError) as refused:
        read_client_keys(NAME, value)
    return str(refused.value)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # that one is short is why it is tried
def test_what_is_no_fitting_key_is_refused_and_not_quoted(tmp_path: Path, rsa: RSAKey, ec: ECKey) -> None:
    large = tmp_path / "large.pem"
    large.write_text(" " * (MOST_BYTES + 1))
    private = ec.as_dict(private=True)
    short = pem(RSAKey.generate_key(1_024))
    encrypted = ec.as_pem(private=True, password="secret").decode()
    cases = {
        "nonsense": "no private key",
        ec.as_pem(private=False).decode(): "no private key",
        encrypted: "encrypted",
        pem(ec).replace("M", "N"): "neither RSA nor EC",
        pem(ECKey.generate_key("secp256k1")): "another curve",
        short: "less than 2048 bits",
        pem(ec) * 2: "same id",
        "{": "not JSON",
        '{"keys": {}}': "not a JWK set",
        '{"keys": [7]}': "not a JWK set",
        '{"keys": []}': "no private key",
        '{"kty": "EC"}': "not valid",
        json.dumps(ec.as_dict(private=False)): "public key",
        json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)): "neither RSA nor EC",
        json.dumps({**private, "use": "enc"}): "not for signatures",
        json.dumps({**private, "alg": "ES384"}): "`alg`",
        json.dumps({**rsa.as_dict(private=True), "alg": "HS256"}): "`alg`",
        f"file:{tmp_path / 'none.pem'}": "cannot be read",
        f"file:{large}": "more than",
    }
    for value, why in cases.items():
        said = unfit(value)
        assert said.startswith(f"{NAME}: "), said
        assert why in said, (why, said)
        assert str(private["d"]) not in said
        assert encrypted.splitlines()[1] not in said
