"""Clients of the read API that have a key, on a system with two replicas of each service."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.clients import new_id
from tests.support.conditions import until
from tests.support.servers import PATIENCE, System, running_system

PLACE = "https://chat.example.be"
HOST = {"Host": "chat.example.be"}
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PRIVATE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "PS256": rsa.generate_private_key(65_537, 3_072),
}
KEYS = ", ".join(
    f"'''{key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()}'''"
    for key in PRIVATE.values()
)
INTEGRATIONS = f"""
[[clients]]
id = "cijfers"
public_keys = [{KEYS}]
scopes = ["statistics:algemeen"]
"""
STATISTICS = "/api/integration/statistics?department={}&from=2026-11-01&until=2026-11-30"


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    """A system that one client with three keys may read, at one address."""
    home = tmp_path_factory.mktemp("reading")
    (home / "integrations.toml").write_text(INTEGRATIONS)
    variables = {"INTEGRATIONS_FILE": str(home / "integrations.toml"), "PUBLIC_ORIGINS": PLACE, "REPLICAS": "2"}
    with running_system(home, RATE_LIMITS="off", **variables, **shared_servers) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(headers=HOST, timeout=timeout) as session:
        yield session


def signed(algorithm: str = "EdDSA", **changed: Any) -> str:
    now = int(time.time())
    claims = {"iss": "cijfers", "sub": "cijfers", "aud": PLACE, "iat": now, "exp": now + 240, "jti": new_id()}
    return jwt.encode({**claims, **changed}, PRIVATE[algorithm], algorithm)


async def ask(http: aiohttp.ClientSession, base: str, assertion: str) -> tuple[int, dict[str, Any]]:
    """The answer to a token request; one that cannot be answered just now (503) is repeated."""
    form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion}
    end = time.monotonic() + PATIENCE
    while True:
        async with http.post(f"{base}/api/integration/token", data=form) as answer:
            if answer.status != 503 or time.monotonic() > end:
                return answer.status, await answer.json(content_type=None)
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_a_client_reads_with_a_token_for_what_it_has_signed(
    reading: System, http: aiohttp.ClientSession, algorithm: str
) -> None:
    status, told = await ask(http, reading.base_url, signed(algorithm))
    assert (status, told["token_type"], told["scope"]) == (200, "Bearer", "statistics:algemeen"), told
    for department, expected in (("algemeen", 200), ("premies", 403)):
        bearer = {"Authorization": f"Bearer {told['access_token']}"}
        async with http.get(reading.base_url + STATISTICS.format(department), headers=bearer) as answer:
            assert answer.status == expected, await answer.text()


async def test_an_assertion_opens_the_read_api_once(reading: System, http: aiohttp.ClientSession) -> None:
    """At whichever gateway it is sent, whichever replica of transcripts is asked, and after they have restarted."""
    assertion = signed()
    bases = [reading.url(name) for name in reading.replicas("gateway")]
    assert len(bases) == len(reading.replicas("transcripts")) == 2
    answers = await asyncio.gather(*(ask(http, base, assertion) for base in bases for _ in range(8)))
    assert sorted(status for status, _ in answers) == [200] + [401] * 15
    assert {told["error"] for status, told in answers if status == 401} == {"invalid_client"}
    for name in reading.replicas("transcripts"):
        await asyncio.to_thread(reading.kill, name)
        await asyncio.to_thread(reading.wait_ready, name)
    assert (await ask(http, bases[0], assertion))[0] == 401
    assert (await ask(http, bases[0], signed()))[0] == 200
    await until(lambda: "client=cijfers why=jti_used" in reading.log(), "the reason in the log of a gateway")
    assert assertion not in reading.log()


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://other.example.be"},
        {"aud": f"{PLACE}/api/integration/token"},
        {"exp": int(time.time()) - 3_600},
        {"exp": int(time.time()) + 10**6},
        {"sub": "other", "iss": "other"},
        {"jti": ""},
    ],
    ids=["another place", "the token endpoint", "too old", "too far ahead", "another client", "no number"],
)
async def test_what_is_not_right_opens_nothing(
    reading: System, http: aiohttp.ClientSession, changed: dict[str, Any]
) -> None:
    status, told = await ask(http, reading.base_url, signed(**changed))
    assert (status, told["error"]) == (401, "invalid_client")
    assert "access_token" not in told
