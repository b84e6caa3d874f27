"""Who may do what: every role on every route, over HTTP and websockets on a system of its own."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.presence.conftest import HASH
from tests.support.clients import Agent, Citizen, Socket, citizen, http_client, new_id, pair, say, until_green
from tests.support.servers import System, running_system

ACCOUNTS = "".join(
    f'[[accounts]]\nusername = "{name}"\nname = "{name.title()}"\ndepartments = ["premies"]\n'
    f'supervisor = {"true" if name == "petra" else "false"}\npassword_hash = "{HASH}"\n'
    for name in ("lien", "lotte", "petra")
)
ROLES = ("anonymous", "citizen A", "citizen B", "an", "bert", "lien", "sofie", "petra")
# Chat A is of `algemeen` and with an; chat B of `premies` and with lien; question C was left in `premies`.
# sofie and petra are supervisors of `algemeen` and of `premies`; bert and lotte took part in nothing.
MATRIX: list[tuple[str, str, list[int]]] = [
    ("POST", "/api/chats/{A}/attachments", [401, 201, 403, 201, 403, 403, 403, 403]),
    ("GET", "/api/chats/{A}/attachments/{posted}", [401, 200, 403, 200, 403, 403, 200, 403]),
    ("GET", "/api/chats/{A}/attachments/{citizens}", [401, 200, 403, 404, 403, 403, 404, 403]),
    ("GET", "/api/chats/{A}/attachments/{agents}", [401, 404, 403, 200, 403, 403, 404, 403]),
    ("GET", "/api/chats/{B}/attachments/{posted}", [401, 403, 404, 403, 403, 404, 403, 404]),
    ("GET", "/api/chats/{A}/transcript?format=json", [401, 200, 403, 200, 403, 403, 200, 403]),
    ("GET", "/api/chats/{A}/transcript?format=pdf", [401, 200, 403, 200, 403, 403, 200, 403]),
    ("GET", "/api/chats/{B}/transcript?format=json", [401, 403, 200, 403, 403, 200, 403, 200]),
    ("GET", "/api/chats/{A}/notes", [401, 403, 403, 200, 403, 403, 200, 403]),
    ("GET", "/api/chats/{B}/notes", [401, 403, 403, 403, 403, 200, 403, 200]),
    ("GET", "/api/chats/{none}/transcript", [401, 403, 403, 404, 404, 404, 404, 404]),
    ("POST", "/api/chats/{A}/question", [401, 409, 403, 401, 401, 401, 401, 401]),
    ("GET", "/api/questions", [401, 401, 401, 200, 200, 200, 200, 200]),
    ("POST", "/api/questions/{none}/done", [401, 401, 401, 404, 404, 404, 404, 404]),
    ("POST", "/api/questions/{none}/claim", [401, 401, 401, 404, 404, 404, 404, 404]),
    ("DELETE", "/api/questions/{none}/claim", [401, 401, 401, 404, 404, 404, 404, 404]),
    ("GET", "/api/assignments", [401, 401, 401, 403, 403, 403, 200, 200]),
    ("GET", "/api/assignments?department=algemeen", [401, 401, 401, 403, 403, 403, 200, 403]),
    ("GET", "/api/assignments?department=premies", [401, 401, 401, 403, 403, 403, 403, 200]),
    ("GET", "/api/assignments?chat_id={A}", [401, 401, 401, 403, 403, 403, 200, 403]),
    ("GET", "/api/assignments?chat_id={B}", [401, 401, 401, 403, 403, 403, 403, 200]),
    ("GET", "/api/agent/reports?from=2026-11-01&until=2026-11-30", [401, 401, 401, 403, 403, 403, 200, 200]),
    (
        "GET",
        "/api/agent/reports?from=2026-11-01&until=2026-11-30&department=premies&format=csv",
        [401, 401, 401, 403, 403, 403, 403, 200],
    ),
    ("GET", "/api/agents?department=algemeen", [401, 401, 401, 200, 200, 200, 200, 200]),
    ("GET", "/api/agent/me", [401, 401, 401, 200, 200, 200, 200, 200]),
    # last, since they change something: of another department, then of the own one
    ("POST", "/api/questions/{C}/claim", [401, 401, 401, 404, 404, 200, 404, 409]),
    ("POST", "/api/questions/{C}/done", [401, 401, 401, 404, 404, 204, 404, 204]),
]


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with agents of two departments."""
    home: Path = tmp_path_factory.mktemp("offices")
    (home / "accounts.toml").write_text(ACCOUNTS)
    with running_system(home, RATE_LIMITS="off", ACCOUNTS_FILE=str(home / "accounts.toml")) as running:
        yield running


@dataclass
class Cast:
    """Everybody, with what they show at the door."""

    base: str
    agents: dict[str, Agent]
    citizens: dict[str, Citizen]
    ids: dict[str, str]
    sockets: dict[str, Socket]

    async def ask(self, role: str, method: str, path: str) -> tuple[int, Any]:
        url = self.base + path.format(**self.ids)
        headers, body = {}, self._body(path)
        if role in self.agents:
            client, headers = self.agents[role].http, {"Origin": self.base}
        else:
            client = self.citizens["A"].http
        if role.startswith("citizen"):
            headers = self.citizens[role[-1]].bearer
        async with client.request(method, url, headers=headers, **body) as answer:
            return answer.status, await answer.read()

    @staticmethod
    def _body(path: str) -> dict[str, Any]:
        if path.endswith("/attachments"):
            form = aiohttp.FormData()
            form.add_field("file", io.BytesIO(b"een regel\n"), filename="a.txt", content_type="text/plain")
            return {"data": form}
        return {"json": {"contact": "02 123", "text": "Wanneer?"}} if path.endswith("/question") else {}


@contextlib.asynccontextmanager
async def cast(base: str) -> AsyncIterator[Cast]:
    async with contextlib.AsyncExitStack() as stack:
        agents: dict[str, Agent] = {}
        for name in ("an", "bert", "lien", "lotte", "sofie", "petra"):
            http = await stack.enter_async_context(http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)))
            agents[name] = Agent(base, http, name)
            assert (await agents[name].log_in()).status == 204
        people = {name: await stack.enter_async_context(citizen(base)) for name in "ABC"}
        await agents["an"].connect()  # first: `pair` waits for the green button of `algemeen`
        await agents["lien"].connect()
        waiting, _ = await pair(people["C"], agents["lien"], department="premies")
        await agents["lien"].log_out()
        await waiting.expect("message", event="agent_left")
        left = await people["C"].http.post(
            f"{base}/api/chats/{people['C'].chat_id}/question",
            json={"contact": "02 123", "text": "Waar is mijn premie?"},
            headers=people["C"].bearer,
        )
        assert left.status == 201, await left.text()
        assert await waiting.closed() == 1000, "else the agent would be given this chat again"
        assert (await agents["lien"].log_in()).status == 204
        await agents["lien"].connect()
        with_lien, _ = await pair(people["B"], agents["lien"], department="premies")
        with_an, _ = await pair(people["A"], agents["an"])
        ids = {name: someone.chat_id for name, someone in people.items()} | {"none": new_id()}
        made = Cast(base, agents, people, ids, {"A": with_an, "B": with_lien})
        for name, role in (("posted", "citizen A"), ("citizens", "citizen A"), ("agents", "an")):
            status, body = await made.ask(role, "POST", "/api/chats/{A}/attachments")
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


async def test_every_role_on_every_route(offices: System) -> None:
    async with cast(offices.base_url) as people:
        wrong = []
        for method, path, expected in MATRIX:
            for role, status in zip(ROLES, expected, strict=True):
                got, body = await people.ask(role, method, path)
                if got != status:
                    wrong.append(f"{method} {path} as {role}: {got} instead of {status}: {body[:200]!r}")
                if role.startswith("citizen") or role == "anonymous":
                    assert b"nota van an" not in body
        assert not wrong, "\n".join(wrong)


async def test_frames_for_the_chat_of_another_are_not_yours(offices: System) -> None:
    async with cast(offices.base_url) as people:
        chat = people.ids["A"]
        frames: list[dict[str, Any]] = [
            {"type": "message", "id": new_id(), "text": "x"},
            {"type": "note", "id": new_id(), "text": "x"},
            {"type": "typing", "active": True},
            {"type": "read", "seq": 1},
            {"type": "transfer", "to": {"department": "premies"}},
            {"type": "accept"},
            {"type": "refuse"},
            {"type": "close"},
        ]
        for name in ("lien", "petra"):
            welcome = await people.agents[name].connect({chat: 0})
            assert chat not in [c["chat_id"] for c in welcome["chats"]]
            for frame in frames:
                await people.agents[name].socket.send(**frame, chat_id=chat)
                assert (await people.agents[name].socket.expect("error"))["code"] == "not_yours", frame


async def test_who_passed_a_chat_on_reads_it_up_to_then_and_a_question_is_read_by_who_claims_it(
    offices: System,
) -> None:
    async with cast(offices.base_url) as people:
        an, bert, path = people.agents["an"], people.agents["bert"], "/api/chats/{A}/transcript?format=json"
        await bert.connect()
        await until_green(offices.base_url)  # a colleague who can take a chat
        before = await say(people.sockets["A"], "voor de overdracht")
        await an.socket.expect("message", id=before["id"])
        await an.socket.send(type="transfer", chat_id=people.ids["A"], to={"agent": bert.id}, note="een nota")
        await an.socket.expect("unassigned", chat_id=people.ids["A"])
        await bert.socket.expect("assigned")
        await bert.socket.expect("note", text="een nota")
        answer = await say(bert.socket, "na de overdracht", people.ids["A"])
        await people.sockets["A"].expect("message", id=answer["id"])
        read = {
            name: [m.get("text") for m in json.loads((await people.ask(name, "GET", path))[1])["messages"]]
            for name in ("an", "bert", "sofie", "citizen A")
        }
        assert "voor de overdracht" in read["an"]
        assert "na de overdracht" not in read["an"]
        assert all("na de overdracht" in read[name] for name in ("bert", "sofie", "citizen A"))
        assert (await people.ask("an", "POST", "/api/chats/{A}/attachments"))[0] == 403
        notes = json.loads((await people.ask("bert", "GET", "/api/chats/{A}/notes"))[1])["notes"]
        assert [n["text"] for n in notes] == ["nota van an", "een nota"]

        question = "/api/chats/{C}/transcript?format=json"
        assert (await people.ask("lotte", "GET", question))[0] == 403
        claims = await asyncio.gather(
            *(people.ask(name, "POST", "/api/questions/{C}/claim") for name in ("lotte", "petra") * 3)
        )
        assert {status for status, _ in claims} == {200, 409}
        winner, loser = ("lotte", "petra") if claims[0][0] == 200 or claims[2][0] == 200 else ("petra", "lotte")
        assert [s for (s, _), n in zip(claims, ("lotte", "petra") * 3, strict=True) if n == loser] == [409] * 3
        status, body = await people.ask(loser, "GET", "/api/questions")
        (listed,) = [q for q in json.loads(body)["questions"] if q["chat_id"] == people.ids["C"]]
        assert (status, listed["claimed"]["name"]) == (200, winner.title())
        assert (await people.ask(winner, "GET", question))[0] == 200
        assert (await people.ask("lien", "POST", "/api/questions/{C}/done"))[0] == 409
        assert (await people.ask(winner, "DELETE", "/api/questions/{C}/claim"))[0] == 204
        assert (await people.ask("lotte", "GET", question))[0] == 403
