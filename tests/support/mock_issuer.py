"""An issuer of OpenID Connect over HTTP on loopback, for the length of a test. Every user is logged in at once.

It checks what a real one checks: the redirect URI, the client's secret or its assertion, PKCE, and that a code is used
once. What it sends, and by which key it signs, is as the test says.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from tests.support.http_server import listener
from tests.support.servers import PATIENCE

CLIENT_ID, CLIENT_SECRET = "eloket", "the secret of the client, in the tests alone"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SIGNED_BY_CLIENTS = ("RS256", "PS256", "ES256", "ES384", "ES512")
MOST_LIFE = 600  # seconds of an assertion
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class MockIssuer:
    """What the issuer knows and how it behaves.

    Attributes:
        url: Its identifier and address.
        redirect_uri: The only address to which it sends browsers back.
        claims: The claims of the person who logs in.
        overrides: Claims of ID tokens that replace the right ones; None: the claim is missing.
        signing: How the next tokens are signed: `RS256`, `ES256` or what the test has put into `keys`; `none`, `HS256`
            (with the public key as the secret), `other` (with a key of its own under the right id) or `unknown` (with a
            key that is not published).
        error: What it answers to the authorization request instead of a code.
        iss: Whether it sends its identifier with the code.
        refreshes: Whether it gives a refresh token.
        refused: Whether it refuses refresh tokens.
        down: Whether it answers 503 to everything.
        client_keys: Returns the client's public keys (a JWK set): then its assertions are accepted, and no secret.
        audience: What `aud` of an assertion has to be; empty: the identifier of the issuer.
        assertions: The claims of the assertions that were accepted.
        refusals: Why assertions were refused.
        asked: The paths that were requested.
        clock: Returns the present, for its tokens, in seconds since the epoch.
    """

    url: str = ""
    redirect_uri: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    signing: str = "RS256"
    error: str = ""
    iss: bool = True
    refreshes: bool = False
    refused: bool = False
    down: bool = False
    client_keys: Callable[[], Any] | None = None
    audience: str = ""
    assertions: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    keys: dict[str, RSAKey | ECKey | OKPKey] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rotate()

    def rotate(self) -> None:
        """Replace all keys: new ids, new keys."""
        rsa, ec = f"rsa-{secrets.token_hex(4)}", f"ec-{secrets.token_hex(4)}"
        self.keys = {
            "RS256": RSAKey.generate_key(2048, {"kid": rsa, "use": "sig"}),
            "ES256": ECKey.generate_key("P-256", {"kid": ec, "use": "sig"}),
        }

    def sign(self, claims: dict[str, Any], typ: str = "JWT") -> str:
        """A token with these claims, signed as `signing` says."""
        right = self.keys["RS256"]
        header: dict[str, Any] = {"alg": "RS256", "kid": right.kid, "typ": typ}
        if self.signing == "none":
            parts = ({"alg": "none", "typ": typ}, claims)
            return ".".join(_base64(json.dumps(part).encode()) for part in parts) + "."
        if self.signing == "HS256":
            parts = ({**header, "alg": "HS256"}, claims)
            signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
            return f"{signed}.{_base64(hmac.digest(right.as_pem(private=False), signed.encode(), 'sha256'))}"
        if self.signing == "other":
            return jwt.encode(header, claims, RSAKey.generate_key(2048))
        if self.signing == "unknown":
            return jwt.encode({**header, "kid": "nobody"}, claims, RSAKey.generate_key(2048))
        key = self.keys[self.signing]
        return jwt.encode({**header, "alg": self.signing, "kid": key.kid}, claims, key, algorithms=[self.signing])

    def id_token(self, nonce: str | None) -> str:
        """An ID token of the person, with the overrides of the test."""
        now = int(self.clock())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **self.claims}
        if nonce is not None:
            claims["nonce"] = nonce
        claims |= self.overrides
        return self.sign({name: value for name, value in claims.items() if value is not None})

    def logout_token(self, **more: Any) -> str:
        """A logout token; a claim that is None is missing."""
        now = int(self.clock())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": str(uuid.uuid4())}
        claims |= {"events": {LOGOUT_EVENT: {}}, **more}
        return self.sign({name: value for name, value in claims.items() if value is not None}, "logout+jwt")

    def app(self) -> FastAPI:
        """The issuer's application."""
        app = FastAPI()

        @app.middleware("http")
        async def count(request: Request, call_next: Any) -> Response:
            self.asked.append(request.url.path)
            answer: Response = Response(status_code=503) if self.down else await call_next(request)
            return answer

        @app.get("/.well-known/openid-configuration")
        async def metadata() -> dict[str, Any]:
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "authorization_response_iss_parameter_supported": self.iss,
                "token_endpoint_auth_methods_supported": [
                    "private_key_jwt" if self.client_keys is not None else "client_secret_basic"
                ],
            }

        @app.get("/jwks")
        async def jwks() -> Any:
            return KeySet(list(self.keys.values())).as_dict(private=False)

        @app.get("/authorize")
        async def authorize(request: Request) -> Response:
            asked = dict(request.query_params)
            assert asked["client_id"] == CLIENT_ID
            assert asked["redirect_uri"] == self.redirect_uri
            assert asked["response_type"] == "code"
            assert asked["code_challenge_method"] == "S256"
            assert "openid" in asked["scope"].split()
            answer = {"state": asked["state"]}
            if self.iss:
                answer["iss"] = self.url
            if self.error:
                answer["error"] = self.error
            else:
                answer["code"] = secrets.token_urlsafe(16)
                self.codes[answer["code"]] = asked
            return RedirectResponse(f"{self.redirect_uri}?{urlencode(answer)}", 302)

        @app.post("/token")
        async def token(request: Request) -> Response:
            text = (await request.body()).decode()
            given = dict(parse_qsl(text))
            if not await asyncio.to_thread(self._is_client, request.headers.get("authorization"), given):
                return JSONResponse({"error": "invalid_client"}, 401)
            if given["grant_type"] == "refresh_token":
                if self.refused or not given["refresh_token"].startswith("refresh-"):
                    return JSONResponse({"error": "invalid_grant"}, 400)
                return self._tokens(None)
            asked = self.codes.pop(given["code"], None)
            if asked is None or given["redirect_uri"] != asked["redirect_uri"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            challenge = _base64(hashlib.sha256(given["code_verifier"].encode()).digest())
            if challenge != asked["code_challenge"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            return self._tokens(asked["nonce"])

        return app

    def _is_client(self, authorization: str | None, given: Mapping[str, str]) -> bool:
        if self.client_keys is None:
            right = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            return authorization == right
        why = self._fault_of_assertion(given) if authorization is None else "authorization"
        if why:
            self.refusals.append(why)
        return not why

    def _fault_of_assertion(self, given: Mapping[str, str]) -> str:
        """Why an assertion is not accepted (RFC 7523 §3); empty: it is, and is used up."""
        assert self.client_keys is not None
        if given.get("client_assertion_type") != ASSERTION_TYPE or given.get("client_id", CLIENT_ID) != CLIENT_ID:
            return "client_assertion_type"
        try:
            keys = KeySet.import_key_set(self.client_keys())
            assert all(not key.is_private for key in keys), "private keys are published"
            made = jwt.decode(given.get("client_assertion", ""), keys, algorithms=list(SIGNED_BY_CLIENTS))
        except (JoseError, ValueError) as error:
            return f"signature: {type(error).__name__}"
        claims, now = made.claims, self.clock()
        for name, right in (("iss", CLIENT_ID), ("sub", CLIENT_ID), ("aud", self.audience or self.url)):
            if claims.get(name) != right:
                return name
        if not now - 60 <= claims.get("iat", 0) <= now + 60:
            return "iat"
        if not now < claims.get("exp", 0) <= now + MOST_LIFE:
            return "exp"
        used = {one["jti"] for one in self.assertions}
        if not claims.get("jti") or claims["jti"] in used:
            return "jti"
        self.assertions.append(claims)
        return ""

    def _tokens(self, nonce: str | None) -> Response:
        answer = {"access_token": secrets.token_urlsafe(8), "token_type": "Bearer", "id_token": self.id_token(nonce)}
        if self.refreshes:
            answer["refresh_token"] = f"refresh-{secrets.token_urlsafe(8)}"
        return JSONResponse(answer)


@contextlib.contextmanager
def running_issuer(redirect_uri: str = "", claims: Mapping[str, Any] | None = None) -> Iterator[MockIssuer]:
    """An issuer in a thread of its own while the context is open."""
    issuer = MockIssuer(redirect_uri=redirect_uri, claims=dict(claims or {}))
    bound = listener()
    issuer.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(issuer.app(), log_config=None, ws="none"))
    thread = threading.Thread(target=lambda: server.run([bound]), daemon=True)
    thread.start()
    try:
        end = time.monotonic() + PATIENCE
        while not server.started:
            assert time.monotonic() < end, "the issuer did not start"
            time.sleep(0.01)
        yield issuer
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        bound.close()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
