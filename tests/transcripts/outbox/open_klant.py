"""A register of contacts behind a real HTTP server on loopback: as much of Open Klant's API as a chat needs.

Requests are checked against the fields of the public specification (`klantinteracties.json`), and kept; contacts are
found by what they are about.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
from aiohttp import web

from tests.support.http_server import listener

SPECIFICATION = json.loads((Path(__file__).parent / "klantinteracties.json").read_text("utf-8"))
TOKEN = "token-of-the-register"
ROOT = "/klantinteracties/api/v1"
_FILTER = "onderwerpobject__onderwerpobjectidentificator"


@dataclass
class Register:
    """What was registered, and how requests are answered."""

    url: str = ""
    made: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lose_answers: int = 0
    answer: bytes | None = None

    def about(self, chat_id: str, register: str) -> list[dict[str, Any]]:
        """The contacts that are about this object of this register."""
        return [
            one["klantcontact"]
            for one in self.made
            if one["onderwerpobject"]["onderwerpobjectidentificator"]["objectId"] == chat_id
            and one["onderwerpobject"]["onderwerpobjectidentificator"]["codeRegister"] == register
        ]

    def _refusal(self, request: web.Request) -> web.Response | None:
        self.requests.append(f"{request.method} {request.path}")
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return web.json_response({"code": "not_authenticated"}, status=401)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return web.Response(status=status, headers={"Location": "/elsewhere"})
        return None

    async def find(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        if self.answer is not None:
            return web.Response(body=self.answer)
        self.wrong += [name for name in request.query if name not in SPECIFICATION["query"]]
        found = self.about(request.query[f"{_FILTER}ObjectId"], request.query[f"{_FILTER}CodeRegister"])
        return web.json_response({"count": len(found), "next": None, "previous": None, "results": found[:1]})

    async def make(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal(request):
            return refusal
        body = await request.json()
        try:
            jsonschema.validate(body, SPECIFICATION)
        except jsonschema.ValidationError as error:
            self.wrong.append(error.message)
            return web.json_response({"code": "invalid"}, status=400)
        self.made.append(body)
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({**body, "klantcontact": {**body["klantcontact"], "uuid": str(uuid4())}}, status=201)


@contextlib.asynccontextmanager
async def registering() -> AsyncIterator[Register]:
    """A register without contacts, while the context is open."""
    register = Register()
    app = web.Application()
    app.router.add_get(f"{ROOT}/klantcontacten", register.find)
    app.router.add_post(f"{ROOT}/maak-klantcontact", register.make)
    runner = web.AppRunner(app)
    await runner.setup()
    with listener() as bound:
        await web.SockSite(runner, bound).start()
        register.url = f"http://127.0.0.1:{bound.getsockname()[1]}{ROOT}"
        try:
            yield register
        finally:
            await runner.cleanup()
