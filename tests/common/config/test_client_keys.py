"""Mirrors services/common/config/client_keys.py: which keys a client may have, and what each of them has signed."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from services.common.config.client_keys import client_key
from services.common.config.integrations import load_integrations
from services.common.config.toml_file import ConfigurationError
from tests.support.servers import PATIENCE

EDWARDS, OTHER_EDWARDS = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
CURVE, OTHER_CURVE = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
RSA, OTHER_RSA = rsa.generate_private_key(65_537, 3_072), rsa.generate_private_key(65_537, 3_072)
OF_EACH_KIND: list[tuple[Any, Any, str]] = [
    (EDWARDS, OTHER_EDWARDS, "EdDSA"),
    (CURVE, OTHER_CURVE, "ES256"),
    (RSA, OTHER_RSA, "PS256"),
]
HASH = "sha256:" + "0" * 64


def pem(private: Any) -> str:
    text: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def private_pem(private: Any) -> str:
    text: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


def part(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@pytest.mark.parametrize(("private", "other", "algorithm"), OF_EACH_KIND, ids=lambda value: str(value)[:5])
def test_each_kind_of_key_verifies_its_own_algorithm(private: Any, other: Any, algorithm: str) -> None:
    key = client_key(pem(private))
    assert key.name == algorithm
    token = jwt.encode({"a": 1}, private, algorithm)
    assert key.has_signed(token)
    assert not client_key(pem(other)).has_signed(token), "another key"
    head, body, signature = token.split(".")
    assert not key.has_signed(f"{head}.{part({'a': 2}).decode()}.{signature}"), "another content"
    for cut in (signature[:-4], signature + signature, ""):
        assert not key.has_signed(f"{head}.{body}.{cut}")
    for named in ("none", "HS256", "RS256", "ES384", "ed25519", "", None, ["EdDSA"]):
        renamed = part({"alg": named, "typ": "JWT"}).decode()
        assert not key.has_signed(f"{renamed}.{body}.{signature}"), named
    for nonsense in ("", ".", "..", "a.b.c", "é.é.é", "\ud800.a.b"):
        assert not key.has_signed(nonsense)


def test_what_another_algorithm_has_signed_with_the_same_key_is_refused() -> None:
    key = client_key(pem(RSA))
    for algorithm in ("RS256", "PS384", "PS512"):
        assert not key.has_signed(jwt.encode({}, RSA, algorithm))
    signed = part({"alg": "PS256"}) + b"." + part({})
    short = RSA.sign(signed, PSS(MGF1(SHA256()), 20), SHA256())
    assert not key.has_signed((signed + b"." + part(short)).decode()), "the salt is as long as the hash (RFC 7518)"
    # A public key as the secret of an HMAC (RFC 8725 section 2.1); PyJWT makes no such token.
    assert not client_key(pem(EDWARDS)).has_signed(jwt.encode({}, "x" * 32, "HS256"))


def test_a_signature_with_p_256_has_64_bytes() -> None:
    """As RFC 7518 has it, not as DER, of which there would be several for one signature."""
    head, body, signature = jwt.encode({}, CURVE, "ES256").split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key = client_key(pem(CURVE))
    assert key.has_signed(f"{head}.{body}.{part(raw).decode()}")
    for other in (der, bytes(64), b"\xff" * 64, raw[:63], raw + b"\0"):
        assert not key.has_signed(f"{head}.{body}.{part(other).decode()}")


WEAK = rsa.generate_private_key(65_537, 2_048)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no public key in PEM"),
        ("nonsense", "is no public key in PEM"),
        (pem(EDWARDS).replace("MC", "XX"), "is no public key in PEM"),
        (pem(EDWARDS).replace("-----END", "", 1), "is no public key in PEM"),
        (private_pem(EDWARDS), "keep the other one with the client"),
        (private_pem(RSA), "keep the other one with the client"),
        (pem(WEAK), "no RSA key of 3072 to 8192 bits"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "no key of Ed25519 or P-256"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "no key of Ed25519 or P-256"),
        (pem(ed448.Ed448PrivateKey.generate()), "no key of Ed25519 or P-256"),
        (pem(dsa.generate_private_key(2_048)), "no key of Ed25519 or P-256"),
    ],
    ids=range(11),
)
def test_a_wrong_key_stops_the_start_with_its_place_and_is_not_repeated(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "integrations.toml"
    keys = f'["""{pem(CURVE)}""", """{text}"""]'
    file.write_text(f'[[clients]]\nid = "cijfers"\nscopes = ["chats:*"]\npublic_keys = {keys}\n')
    with pytest.raises(ConfigurationError) as refused:
        load_integrations(file, None)
    assert f"INTEGRATIONS_FILE {file}: clients.0.public_keys.1: " in str(refused.value)
    assert said in str(refused.value)
    for line in text.splitlines():
        assert "PUBLIC KEY" in line or "PRIVATE KEY" in line or len(line) < 10 or line not in str(refused.value)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("", "needs secret_hashes or public_keys"),
        ("secret_hashes = []\npublic_keys = []", "needs secret_hashes or public_keys"),
        ("public_keys = [" + 5 * f'"""{pem(CURVE)}""", ' + "]", "at most 4"),
        (f'public_keys = ["{"x" * 8_001}"]', "at most 8000"),
        ('public_keys = "x"', "tuple"),
    ],
    ids=range(5),
)
def test_a_client_has_a_secret_or_some_keys(tmp_path: Path, members: str, said: str) -> None:
    file = tmp_path / "integrations.toml"
    file.write_text(f'[[clients]]\nid = "cijfers"\nscopes = ["chats:*"]\n{members}\n')
    with pytest.raises(ConfigurationError, match=r"clients\.0") as refused:
        load_integrations(file, None)
    assert said in str(refused.value)


def test_a_client_may_have_both_while_it_goes_over(tmp_path: Path) -> None:
    file = tmp_path / "integrations.toml"
    both = f'secret_hashes = ["{HASH}"]\npublic_keys = ["""{pem(CURVE)}""", """\n{pem(RSA)}"""]'
    file.write_text(f'[[clients]]\nid = "cijfers"\nscopes = ["chats:*"]\n{both}\n')
    (client,) = load_integrations(file, None).clients
    assert [client_key(text).name for text in client.public_keys] == ["ES256", "PS256"]
    assert client.secret_hashes == (HASH,)


def test_a_service_that_does_without_the_library_verifies_all_kinds_and_loads_it_for_keys_alone(tmp_path: Path) -> None:
    """As transcripts runs: PyJWT has been imported without `cryptography`, and knows none of the algorithms."""
    tokens = [(pem(private), jwt.encode({}, private, name)) for private, _, name in OF_EACH_KIND]
    (tmp_path / "tokens.json").write_text(json.dumps(tokens))
    plain = f'[[clients]]\nid = "a"\nscopes = ["chats:*"]\nsecret_hashes = ["{HASH}"]\n'
    (tmp_path / "plain.toml").write_text(plain)
    (tmp_path / "keys.toml").write_text(f'{plain}public_keys = ["""{pem(EDWARDS)}"""]\n')
    program = (
        "from services.common.runtime import without_cryptography\n"
        "import json, sys\n"
        "from pathlib import Path\n"
        "import services.transcripts.access.read_clients\n"
        "from services.common.config.client_keys import client_key\n"
        "from services.common.config.integrations import load_integrations\n"
        "import jwt.algorithms\n"
        "home = Path(sys.argv[1])\n"
        "load_integrations(home / 'plain.toml', None)\n"
        "assert not [m for m in sys.modules if m.startswith('cryptography') and sys.modules[m]]\n"
        "load_integrations(home / 'keys.toml', None)\n"
        "assert sys.modules['cryptography']\n"
        "assert not jwt.algorithms.has_crypto\n"
        "print([client_key(pem).has_signed(token) for pem, token in json.loads((home / 'tokens.json').read_text())])\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=3 * PATIENCE
    )
    assert (shown.returncode, shown.stdout.strip()) == (0, "[True, True, True]"), shown.stderr
