"""The issuer: its metadata, its keys, the exchange of a code, and the checks of its tokens.

Authlib and joserfc implement the protocol: the requests (RFC 6749, PKCE of RFC 7636), signatures (RFC 7515) and the
claims of ID tokens (OpenID Connect Core 1.0 §3.1.3.7). aiohttp carries the requests.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import aiohttp
import structlog
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.claims import JWTClaims
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.jws import extract_compact

from services.presence.oidc.client_keys import ClientKeys
from services.presence.settings import is_safe

log = structlog.get_logger()

STRONG_ALGORITHMS = ("PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
ALGORITHMS = ("RS256", "RS384", "RS512", *STRONG_ALGORITHMS)
"""Signatures that are accepted: of public keys only, so that nobody signs with a key that is published (RFC 8725)."""
Key = RSAKey | ECKey | OKPKey
SKEW = 60  # seconds by which the issuer's clock may differ
METADATA_LIFE = 3_600.0  # seconds after which the metadata and the keys are read again
KEYS_PAUSE = 30.0  # seconds between two readings of the keys because of an unknown one
TIMEOUT = aiohttp.ClientTimeout(total=4.0, sock_connect=2.0)
MOST = 512 * 1024  # bytes of an answer
LEAST_RSA, LEAST_STRONG_RSA = 2_048, 3_072  # bits; the latter is as strong as 128 bits of a symmetric key
_KINDS = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}  # by the beginning of the algorithm
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_AGE = 600  # seconds; an older logout token is refused


class IssuerUnavailable(Exception):
    """The issuer does not answer, or its answer is not as the standard says."""


class Refused(Exception):
    """What the browser or the issuer sent is not accepted. The message says why, for the log."""


@dataclass(frozen=True)
class Client:
    """What the issuer knows of this service.

    Attributes:
        issuer: The issuer's identifier, from which its metadata are found.
        client_id: The identifier of this service.
        client_secret: Its secret; empty for a public client, which has PKCE alone.
        keys: The keys with which it authenticates in place of the secret; None: it has none.
        audience: The `aud` of its assertions: the issuer's identifier, or the address of its token endpoint.
        redirect_uri: Where the issuer sends the browser back to.
        scope: The scopes that are requested.
        acr: The levels of authentication of which one is required; empty: any.
        signatures: Which signatures of the issuer are accepted: all of `ALGORITHMS`, or `STRONG_ALGORITHMS` of keys of
            128 bits of security.
    """

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    scope: str
    acr: tuple[str, ...] = ()
    keys: ClientKeys | None = None
    audience: Literal["issuer", "token_endpoint"] = "issuer"
    signatures: Literal["all", "strong"] = "all"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The accepted algorithms of signatures."""
        return STRONG_ALGORITHMS if self.signatures == "strong" else ALGORITHMS

    @property
    def least_rsa(self) -> int:
        """The bits that an RSA key of the issuer has at least."""
        return LEAST_STRONG_RSA if self.signatures == "strong" else LEAST_RSA


@dataclass(frozen=True)
class Tokens:
    """The answer to a code: the claims of the ID token (None: there was none), and the refresh token, if any."""

    claims: Mapping[str, Any] | None
    refresh_token: str | None


class Issuer:
    """Talks with the issuer, and checks what it signs. Call `close` at the end."""

    def __init__(
        self, client: Client, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock`: the present, for tokens. `monotonic`: seconds, for the age of metadata and keys."""
        self.client = client
        self._clock, self._monotonic = clock, monotonic
        self._http: aiohttp.ClientSession | None = None
        self._metadata: Mapping[str, Any] = {}
        self._metadata_at = -METADATA_LIFE
        self._keys: list[Key] = []
        self._keys_at = -METADATA_LIFE
        self._keys_tried_at = -KEYS_PAUSE
        self._reading = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    @property
    def client_keys(self) -> list[dict[str, str]]:
        """The public keys with which the client authenticates, as JWK."""
        return self.client.keys.public() if self.client.keys is not None else []

    # ── the flow ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        """Return the address of the issuer's login page.

        Raises:
            IssuerUnavailable: The issuer's metadata cannot be read.
        """
        metadata = await self._known()
        more = {"acr_values": " ".join(self.client.acr)} if self.client.acr else {}
        return str(
            prepare_grant_uri(
                metadata["authorization_endpoint"],
                client_id=self.client.client_id,
                response_type="code",
                redirect_uri=self.client.redirect_uri,
                scope=self.client.scope,
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
                **more,
            )
        )

    async def require_issuer(self, given: str | None) -> None:
        """Check the parameter `iss` of the answer, against a mix-up of issuers (RFC 9207).

        Raises:
            Refused: It is another issuer, or it is missing although the issuer says that it sends it.
            IssuerUnavailable: The issuer's metadata cannot be read.
        """
        sends = (await self._known()).get("authorization_response_iss_parameter_supported") is True
        if (given is None and sends) or (given is not None and given != self.client.issuer):
            raise Refused("iss_parameter")

    async def redeem(self, code: str, verifier: str, nonce: str) -> Tokens:
        """Exchange a code, and return the checked claims.

        Raises:
            Refused: The issuer refuses the code, or the ID token is not valid.
            IssuerUnavailable: The issuer does not answer.
        """
        answer = await self._ask_for_tokens(
            "authorization_code", redirect_uri=self.client.redirect_uri, code=code, code_verifier=verifier
        )
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise Refused("no_id_token")
        claims = await self._id_token(token, nonce, access)
        return Tokens(claims, _text_or_none(answer.get("refresh_token")))

    async def refresh(self, refresh_token: str, subject: str) -> Tokens:
        """Renew the tokens of this subject (`sub`; OpenID Connect Core 1.0 §12).

        Raises:
            Refused: The issuer refuses it, or the new ID token is not valid or of another person.
            IssuerUnavailable: The issuer does not answer.
        """
        answer = await self._ask_for_tokens("refresh_token", refresh_token=refresh_token)
        token = answer.get("id_token")
        claims = await self._id_token(token, None, answer.get("access_token")) if isinstance(token, str) else None
        if claims is not None and claims["sub"] != subject:
            raise Refused("sub")
        return Tokens(claims, _text_or_none(answer.get("refresh_token")) or refresh_token)

    async def logout_claims(self, token: str) -> Mapping[str, Any]:
        """Return the checked claims of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6).

        Raises:
            Refused: The token is not valid.
            IssuerUnavailable: The issuer's keys cannot be read.
        """
        header, claims = await self._verified(token)
        if str(header.get("typ", "JWT")).lower() not in ("jwt", "logout+jwt"):
            raise Refused("typ")
        checked = JWTClaims(claims, header, self._options())
        now = int(self._clock().timestamp())
        self._check(checked, now)
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
            raise Refused("events")
        if "nonce" in claims:
            raise Refused("nonce")
        if not isinstance(claims.get("jti"), str):
            raise Refused("jti")
        if not any(isinstance(claims.get(name), str) and claims[name] for name in ("sub", "sid")):
            raise Refused("sub")
        if now - claims["iat"] > LOGOUT_AGE + SKEW:
            raise Refused("iat")
        return claims

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _id_token(self, token: str, nonce: str | None, access_token: object) -> Mapping[str, Any]:
        header, claims = await self._verified(token)
        access = access_token if isinstance(access_token, str) else None
        params = {"client_id": self.client.client_id, "nonce": nonce, "access_token": access}
        self._check(CodeIDToken(claims, header, self._options(), params), int(self._clock().timestamp()))
        if nonce is not None and not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
            raise Refused("nonce")
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise Refused("sub")
        if self.client.acr and claims.get("acr") not in self.client.acr:
            raise Refused("acr")
        return claims

    def _options(self) -> dict[str, Any]:
        return {
            "iss": {"essential": True, "value": self.client.issuer},
            "aud": {"essential": True, "value": self.client.client_id},
            "iat": {"essential": True},
            "exp": {"essential": True},
        }

    @staticmethod
    def _check(claims: JWTClaims, now: int) -> None:
        try:
            claims.validate(now=now, leeway=SKEW)
        except (JoseError, ValueError, TypeError) as error:
            raise Refused(getattr(error, "claim", None) or type(error).__name__) from None

    async def _verified(self, token: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """Return the header and the claims of a token whose signature is the issuer's."""
        try:
            header = extract_compact(token.encode("ascii")).headers()
        except (JoseError, ValueError) as error:
            raise Refused("not_a_token") from error
        if header.get("alg") not in self.client.algorithms:
            raise Refused("alg")
        key = await self._key_of(header.get("kid"), header["alg"])
        try:
            with warnings.catch_warnings():  # RFC 9864 has another name for EdDSA; issuers still use this one
                warnings.simplefilter("ignore", SecurityWarning)
                verified = jwt.decode(token, key, algorithms=list(self.client.algorithms))
        except (JoseError, ValueError, TypeError) as error:
            raise Refused("signature") from error
        return verified.header, verified.claims

    async def _key_of(self, kid: object, algorithm: str) -> Key:
        """Return the key of this id; without an id the only key of this kind. Keys are read again for an unknown one.

        Raises:
            Refused: There is no such key.
            IssuerUnavailable: The keys cannot be read.
        """
        if self._monotonic() - self._keys_at >= METADATA_LIFE:
            await self._read_keys()
        key = self._find_key(kid, algorithm)
        if key is None and self._monotonic() - self._keys_tried_at >= KEYS_PAUSE:
            await self._read_keys()
            key = self._find_key(kid, algorithm)
        if key is None:
            raise Refused("kid")
        return key

    def _find_key(self, kid: object, algorithm: str) -> Key | None:
        kind = _KINDS[algorithm[:2]]
        fitting = [key for key in self._keys if isinstance(key, kind) and key.get("alg") in (None, algorithm)]
        if kid is not None:
            fitting = [key for key in fitting if key.kid == kid]
        return fitting[0] if len(fitting) == 1 else None

    # ── metadata and keys ────────────────────────────────────────────────────────────────────────────────────────────

    async def _known(self) -> Mapping[str, Any]:
        async with self._reading:
            if self._monotonic() - self._metadata_at >= METADATA_LIFE:
                address = self.client.issuer.rstrip("/") + "/.well-known/openid-configuration"
                found = await self._json("GET", address)
                if found.get("issuer") != self.client.issuer:
                    raise IssuerUnavailable("the metadata are of another issuer")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    if not is_safe(found.get(name)):
                        raise IssuerUnavailable(f"{name} is not an https address")
                self._metadata, self._metadata_at = found, self._monotonic()
            return self._metadata

    async def _read_keys(self) -> None:
        metadata = await self._known()
        self._keys_tried_at = self._monotonic()
        found = (await self._json("GET", metadata["jwks_uri"])).get("keys")
        if not isinstance(found, list):
            raise IssuerUnavailable("the keys are not a JWK set")
        self._keys = [key for one in found if (key := _usable(one, self.client.least_rsa)) is not None]
        self._keys_at = self._monotonic()

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask_for_tokens(self, grant_type: str, **parameters: str) -> Mapping[str, Any]:
        metadata = await self._known()
        body = prepare_token_request(grant_type, **parameters)
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        url, headers, body = self._auth(metadata).prepare("POST", metadata["token_endpoint"], headers, body)
        return await self._json("POST", url, headers, body, refusals=True)

    def _auth(self, metadata: Mapping[str, Any]) -> ClientAuth:
        """Return how the client authenticates: with its key, else with its secret, else not at all."""
        client = self.client
        if client.keys is not None:
            audience = client.issuer if client.audience == "issuer" else metadata["token_endpoint"]
            method = client.keys.authentication(audience, int(self._clock().timestamp()))
            return ClientAuth(client.client_id, client.keys.keys[0].key, method)
        if not client.client_secret:
            return ClientAuth(client.client_id, "", "none")
        offered = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = "client_secret_basic" in offered
        return ClientAuth(client.client_id, client.client_secret, f"client_secret_{'basic' if basic else 'post'}")

    async def _json(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        refusals: bool = False,
    ) -> Mapping[str, Any]:
        """Return a JSON object. Redirects are not followed, and an answer has at most `MOST` bytes.

        `refusals`: an answer 400 or 401 says that the issuer refuses, and not that something is wrong with it.
        """
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=TIMEOUT)
        try:
            async with self._http.request(method, url, headers=headers, data=body, allow_redirects=False) as response:
                data = await _limited(response.content)
                if refusals and response.status in (400, 401):
                    raise Refused(f"token_endpoint_{_error_of(data)}")
                if response.status != 200:
                    raise IssuerUnavailable(f"status {response.status}")
                found = json.loads(data)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise IssuerUnavailable(type(error).__name__) from error
        if not isinstance(found, dict):
            raise IssuerUnavailable("not a JSON object")
        return found


async def _limited(content: aiohttp.StreamReader) -> bytes:
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > MOST:
            raise IssuerUnavailable("the answer is too large")
    return bytes(data)


def _error_of(data: bytes) -> str:
    """Return the code of a refusal (RFC 6749 §5.2), if it is one of the standard's."""
    try:
        code = json.loads(data).get("error")
    except (ValueError, AttributeError):
        return "error"
    known = ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope")
    return code if code in known else "error"


def _usable(jwk: object, least_rsa: int) -> Key | None:
    """Return the key for signatures; None for other keys, and for RSA keys of fewer bits than these."""
    if not isinstance(jwk, dict) or jwk.get("kty") not in ("RSA", "EC", "OKP") or jwk.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in jwk.items() if name in ("kty", "n", "e", "crv", "x", "y", "kid", "alg")}
    try:
        key = import_key(public)
        short = isinstance(key, RSAKey) and key.raw_value.key_size < least_rsa
    except (JoseError, ValueError, TypeError):
        return None
    if isinstance(key, OKPKey) and key.curve_name != "Ed25519":  # Ed448 is never offered, X25519 signs nothing
        return None
    return key if isinstance(key, Key) and not short else None


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
