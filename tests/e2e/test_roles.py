"""Who may do what: every cell of `services/docgen/role_matrix.py`, over HTTP and websockets on a system of its own."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.common.http.tokens import Keys
from services.docgen.role_matrix import AGENTS, FILE_BODY, FRAMES, NAMES, ROLES, ROUTES, Frame, Route
from tests.presence.conftest import HASH
from tests.support.clients import (
    Agent,
    Citizen,
    Closed,
    Socket,
    citizen,
    http_client,
    new_id,
    pair,
    say,
    until_available,
)
from tests.support.departments import IDENTIFICATION
from tests.support.servers import ROOT, System, running_system

ACCOUNTS = "".join(
    f'[[accounts]]\nusername = "{name}"\nname = "{name.title()}"\ndepartments = ["premies"]\n'
    f'supervisor = {"true" if name == "petra" else "false"}\npassword_hash = "{HASH}"\n'
    for name in ("lien", "lotte", "petra")
) + "".join(
    f'[[accounts]]\nusername = "{name}"\nname = "{name.title()}"\nrole = "{role}"\npassword_hash = "{HASH}"\n'
    for name, role in (("beheer", "administrator"), ("audra", "auditor"))
)
SECRET = "the secret of the system with two offices"
CLIENT_SECRET = "5e" * 32
INTEGRATIONS = f"""
[[clients]]
id = "cijfers"
secret_hashes = ["sha256:{sha256(CLIENT_SECRET.encode()).hexdigest()}"]
scopes = ["statistics:algemeen", "chats:algemeen", "transcripts:algemeen", "questions:algemeen"]
"""
ISSUER = {
    "PUBLIC_URL": "http://127.0.0.1:8000",
    "CITIZEN_OIDC_ISSUER": "http://127.0.0.1:1",
    "CITIZEN_OIDC_CLIENT_ID": "eloket",
}
"""An issuer of citizens, whom nobody asks for anything here."""
INTERNAL = "internal"
"""Who shows the token of a service at the public door. It is no role: it opens nothing there."""
PEOPLE = {
    "agent": "an",
    "colleague": "bert",
    "other agent": "lien",
    "supervisor": "sofie",
    "other supervisor": "petra",
    "administrator": "beheer",
    "auditor": "audra",
}
"""Chat A is of `algemeen` and with an; chat B of `premies` and with lien; question C was left in `premies`.

sofie and petra are supervisors of `algemeen` and of `premies`; bert and lotte took part in nothing.
"""


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    """A system with agents of two departments."""
    home: Path = tmp_path_factory.mktemp("offices")
    (home / "accounts.toml").write_text(ACCOUNTS)
    (home / "integrations.toml").write_text(INTEGRATIONS)
    departments = (ROOT / "deploy" / "departments.toml").read_text(encoding="utf-8")
    assert departments.count('id = "algemeen"\n') == 1
    more = 'id = "algemeen"\nquestions = true\nanswer_within = 5\nidentification = true\n'
    offered = departments.replace('id = "algemeen"\n', more).replace(
        "[[departments]]", IDENTIFICATION + "[[departments]]", 1
    )
    (home / "departments.toml").write_text(offered, encoding="utf-8")
    files = {f"{name.upper()}_FILE": str(home / f"{name}.toml") for name in ("accounts", "departments", "integrations")}
    variables = {"RATE_LIMITS": "off", "TOKEN_SECRET": SECRET, "TOKEN_KEYS": "only", **ISSUER, **files}
    with running_system(home, **variables, **shared_servers) as running:
        yield running


@dataclass
class Cast:
    """All users, with what they log in with."""

    base: str
    agents: dict[str, Agent]
    citizens: dict[str, Citizen]
    ids: dict[str, str]
    sockets: dict[str, Socket]

    question_token: str = ""
    client_token: str = ""

    def bearer(self, role: str) -> str:
        """The token that this role shows; empty: none."""
        match role:
            case "citizen":
                return self.citizens["A"].token
            case "other citizen":
                return self.citizens["B"].token
            case "asker":
                return self.question_token
            case "service":
                return self.client_token
            case "internal":
                return Keys(SECRET).service_token("gateway")
        return ""

    async def ask(self, role: str, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """The status and the body of the answer; the names of ids in the path are replaced."""
        url, person = self.base + path.format(**self.ids), PEOPLE.get(role, role)
        if person in self.agents:
            client, headers = self.agents[person].http, {"Origin": self.base}
        else:
            client, token = self.citizens["A"].http, self.bearer(role)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
        given: dict[str, Any] = {"json": body} if body is not None else {}
        if body == FILE_BODY:
            form = aiohttp.FormData()
            form.add_field("file", io.BytesIO(b"een regel\n"), filename="a.txt", content_type="text/plain")
            given = {"data": form}
        elif isinstance(body, bytes):
            given = {"data": body}
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with client.request(method, url, headers=headers, allow_redirects=False, **given) as answer:
            return answer.status, b"" if answer.content_type == "text/event-stream" else await answer.read()

    async def connect(self, role: str, socket: str) -> Socket:
        """A websocket of this role on which the hello was said, whatever the answer."""
        person = PEOPLE.get(role, role)
        client = self.agents[person].http if person in self.agents else self.citizens["A"].http
        token = self.bearer(role)
        headers = {"Origin": self.base} | ({"Authorization": f"Bearer {token}"} if token else {})
        made = Socket(await client.ws_connect(f"{self.base}/ws/{socket}", headers=headers))
        with contextlib.suppress(ConnectionError):
            await made.send(**({"type": "hello", "token": token} if socket == "citizen" else {"type": "hello"}))
        return made

    async def send(self, role: str, row: Frame) -> int | str:
        """What this role gets for this frame about chat A: the code of an error or of the close, `yes`, `own chat`."""
        socket = await self.connect(role, row.socket)
        try:
            welcome = await socket.expect("welcome")
            ids = {"id": new_id()} if row.frame["type"] in ("message", "note", "identify") else {}
            await socket.send(**row.frame, **ids, chat_id=self.ids["A"])
            if row.frame["type"] == "close" and (role == "agent" or row.socket == "citizen"):
                await socket.expect("closed")
                return "yes" if welcome.get("chat_id", self.ids["A"]) == self.ids["A"] else "own chat"
            if row.frame["type"] in ("transfer", "refuse"):  # answered by an error alone, after other frames
                return str((await socket.expect("error"))["code"])
            last = new_id()
            named = {"chat_id": self.ids["none"]} if row.socket == "agent" else {}
            await socket.send(type="message", id=last, text=f"van {role}", **named)
            refused = ""
            while (frame := await socket.expect_any("error", "message")).get("id") != last:
                if frame["type"] == "error":
                    refused = frame["code"]
            return refused or ("own chat" if role == "other citizen" else "yes")
        except Closed as closed:
            return closed.code or 0
        finally:
            await socket.close()


@contextlib.asynccontextmanager
async def cast(base: str) -> AsyncIterator[Cast]:
    async with contextlib.AsyncExitStack() as stack:
        agents: dict[str, Agent] = {}
        for name in ("an", "bert", "lien", "lotte", "sofie", "petra", "beheer", "audra"):
            http = await stack.enter_async_context(http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)))
            agents[name] = Agent(base, http, name)
            assert (await agents[name].log_in()).status == 204
        users = {name: await stack.enter_async_context(citizen(base)) for name in "ABC"}
        await agents["an"].connect()  # first: `pair` waits for the green button of `algemeen`
        await agents["lien"].connect()
        waiting, _ = await pair(users["C"], agents["lien"], department="premies")
        await agents["lien"].log_out()
        await waiting.expect("message", event="agent_left")
        left = await users["C"].http.post(
            f"{base}/api/chats/{users['C'].chat_id}/question",
            json={"contact": "02 123", "text": "Waar is mijn premie?"},
            headers=users["C"].bearer,
        )
        assert left.status == 201, await left.text()
        assert await waiting.closed() == 1000, "else the agent would be given this chat again"
        assert (await agents["lien"].log_in()).status == 204
        await agents["lien"].connect()
        with_lien, _ = await pair(users["B"], agents["lien"], department="premies")
        with_an, _ = await pair(users["A"], agents["an"])
        ids = {name: participant.chat_id for name, participant in users.items()} | {"none": new_id()}
        made = Cast(base, agents, users, ids, {"A": with_an, "B": with_lien})
        asked = {"department": "algemeen", "contact": "an@example.be", "text": "Wanneer?"}
        status, body = await made.ask("nobody", "POST", "/api/questions", asked)
        assert status == 201, body
        question = json.loads(body)
        ids["Q"], made.question_token = question["question_id"], question["token"]
        async with users["A"].http.post(
            f"{base}/api/integration/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": aiohttp.encode_basic_auth("cijfers", CLIENT_SECRET)},
        ) as answer:
            assert answer.status == 200, await answer.text()
            made.client_token = (await answer.json())["access_token"]
        status, body = await made.ask("asker", "POST", "/api/questions/{Q}/attachments", FILE_BODY)
        assert status == 201, body
        ids["asked"] = json.loads(body)["id"]
        for name, role in (("posted", "citizen"), ("citizens", "citizen"), ("agents", "agent")):
            status, body = await made.ask(role, "POST", "/api/chats/{A}/attachments", FILE_BODY)
            assert status == 201
            ids[name] = json.loads(body)["id"]
        id_ = new_id()
        await with_an.send(type="message", id=id_, attachment=ids["posted"])
        await with_an.expect("message", id=id_)
        await agents["an"].socket.send(type="note", chat_id=ids["A"], id=new_id(), text="nota van an")
        await agents["an"].socket.expect("note", text="nota van an")
        try:
            yield made
        finally:
            for one in agents.values():
                await one.leave()


def path_of(row: Route) -> str:
    """The path and the query of a row, with the names of ids in braces."""
    path = row.route
    for parameter, name in {**NAMES, **row.names}.items():
        value = name if parameter in ("department", "name:path", "version", "client") else f"{{{name}}}"
        path = path.replace(f"{{{parameter}}}", value)
    return f"{path}?{row.query}" if row.query else path


async def test_every_role_on_every_route(offices: System) -> None:
    async with cast(offices.base_url) as users:
        wrong = []
        for row in ROUTES:
            path = path_of(row)
            cells = [*zip(ROLES, row.cells, strict=True)]
            if row.refused_first:
                cells.sort(key=lambda cell: int(cell[1]) < 400)
            for role, status in cells:
                got, body = await users.ask(role, row.method, path, row.body)
                if got != status:
                    wrong.append(f"{row.method} {path} as {role}: {got} instead of {status}: {body[:200]!r}")
                if role not in AGENTS:
                    assert b"nota van an" not in body
        assert not wrong, "\n".join(wrong)


async def test_the_token_of_a_service_opens_nothing_at_the_public_door(offices: System) -> None:
    async with cast(offices.base_url) as users:
        for row in ROUTES:
            if row.cells[0] == 401:
                status, _ = await users.ask(INTERNAL, row.method, path_of(row), row.body)
                assert status == 401, f"{row.method} {path_of(row)}"


async def test_every_role_with_every_frame(offices: System) -> None:
    async with cast(offices.base_url) as users:
        wrong = []
        for row in FRAMES:
            for role, expected in reversed([*zip(ROLES, row.cells, strict=True)]):
                if (got := await users.send(role, row)) != expected:
                    wrong.append(f"{row.frame['type']} on /ws/{row.socket} as {role}: {got} instead of {expected}")
            if row == FRAMES[-2]:  # it has ended chat A
                _, body = await users.ask("citizen", "GET", "/api/chats/{A}/transcript?format=json")
                said = [message.get("text") for message in json.loads(body)["messages"]]
                assert said.count("van citizen") > 0
                assert "van other citizen" not in said, "another citizen wrote in this chat"
                await pair(users.citizens["A"], users.agents["an"])
                users.ids["A"] = users.citizens["A"].chat_id
        assert not wrong, "\n".join(wrong)


async def test_a_hello_that_names_the_chat_of_another_does_not_show_it(offices: System) -> None:
    async with cast(offices.base_url) as users:
        chat = users.ids["A"]
        for name in ("lien", "petra"):
            welcome = await users.agents[name].connect({chat: 0})
            assert chat not in [c["chat_id"] for c in welcome["chats"]]


async def test_who_passed_a_chat_on_reads_it_up_to_then_and_a_question_is_read_by_who_claims_it(
    offices: System,
) -> None:
    async with cast(offices.base_url) as users:
        an, bert, path = users.agents["an"], users.agents["bert"], "/api/chats/{A}/transcript?format=json"
        await bert.connect()
        await until_available(an, bert)
        before = await say(users.sockets["A"], "voor de overdracht")
        await an.socket.expect("message", id=before["id"])
        await an.socket.send(type="transfer", chat_id=users.ids["A"], to={"agent": bert.id}, note="een nota")
        await an.socket.expect("unassigned", chat_id=users.ids["A"])
        await bert.socket.expect("assigned")
        await bert.socket.expect("note", text="een nota")
        answer = await say(bert.socket, "na de overdracht", users.ids["A"])
        await users.sockets["A"].expect("message", id=answer["id"])
        read = {
            name: [m.get("text") for m in json.loads((await users.ask(name, "GET", path))[1])["messages"]]
            for name in ("an", "bert", "sofie", "citizen")
        }
        assert "voor de overdracht" in read["an"]
        assert "na de overdracht" not in read["an"]
        assert all("na de overdracht" in read[name] for name in ("bert", "sofie", "citizen"))
        assert (await users.ask("an", "POST", "/api/chats/{A}/attachments", FILE_BODY))[0] == 403
        notes = json.loads((await users.ask("bert", "GET", "/api/chats/{A}/notes"))[1])["notes"]
        assert [n["text"] for n in notes] == ["nota van an", "een nota"]

        question = "/api/chats/{C}/transcript?format=json"
        assert (await users.ask("lotte", "GET", question))[0] == 403
        claims = await asyncio.gather(
            *(users.ask(name, "POST", "/api/questions/{C}/claim") for name in ("lotte", "petra") * 3)
        )
        assert {status for status, _ in claims} == {200, 409}
        winner, loser = ("lotte", "petra") if claims[0][0] == 200 or claims[2][0] == 200 else ("petra", "lotte")
        assert [s for (s, _), n in zip(claims, ("lotte", "petra") * 3, strict=True) if n == loser] == [409] * 3
        status, body = await users.ask(loser, "GET", "/api/questions")
        (listed,) = [q for q in json.loads(body)["questions"] if q["chat_id"] == users.ids["C"]]
        assert (status, listed["claimed"]["name"]) == (200, winner.title())
        assert (await users.ask(winner, "GET", question))[0] == 200
        assert (await users.ask("lien", "POST", "/api/questions/{C}/done"))[0] == 409
        assert (await users.ask(winner, "DELETE", "/api/questions/{C}/claim"))[0] == 204
        assert (await users.ask("lotte", "GET", question))[0] == 403
