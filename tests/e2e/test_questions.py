"""Questions without a chat, over the public protocol: nothing is lost after its 201, and one key is one question."""

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.support.clients import Agent, agent, citizen, http_client, new_id, pair, until_blue
from tests.support.servers import System, running_system

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

DEPARTMENTS = """
default = "algemeen"

[[departments]]
id = "algemeen"
names = { nl = "Algemeen", fr = "Général", de = "Allgemein", en = "General" }
hours = "always"
busy = "queue"
questions = true
answer_within = 3
queue = { longest = 2 }
"""
GIVEN = {"contact": "0470 12 34 56", "text": "Wanneer krijg ik mijn premie?", "locale": "de", "name": "Lien"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    home = tmp_path_factory.mktemp("questions")
    departments = home / "departments.toml"
    departments.write_text(DEPARTMENTS, encoding="utf-8")
    with running_system(home, DEPARTMENTS_FILE=str(departments), **shared_servers) as running:
        yield running


async def ask(http: aiohttp.ClientSession, base: str, key: str, **members: object) -> tuple[int, Any]:
    headers = {"Idempotency-Key": key, "Origin": base}
    async with http.post(f"{base}/api/questions", json={**GIVEN, **members}, headers=headers) as answer:
        return answer.status, await answer.json()


async def listed(person: Agent) -> dict[str, Any]:
    """The questions that agents see, by their numbers."""
    async with person.http.get(f"{person.base}/api/questions") as answer:
        assert answer.status == 200, await answer.text()
        return {question["number"]: question for question in (await answer.json())["questions"]}


async def test_a_question_survives_the_death_of_every_service_after_its_201(system: System) -> None:
    base, key = system.base_url, new_id()
    async with http_client() as http:
        status, receipt = await ask(http, base, key)
        assert status == 201, receipt
        for service in ("transcripts", "gateway"):
            await asyncio.to_thread(system.kill, service)
        await asyncio.to_thread(system.wait_ready)
        assert await ask(http, base, key) == (201, receipt), "a repeat after a crash is the same question"
        status, problem = await ask(http, base, key, text="Iets anders")
        assert (status, problem["code"]) == (422, "invalid")
        async with agent(base) as an:
            question = (await listed(an))[receipt["number"]]
            assert {name: question[name] for name in GIVEN} == GIVEN
            assert (question["source"], receipt["answer_within"]) == ("button", 3)
            assert len([q for q in (await listed(an)).values() if q["text"] == GIVEN["text"]]) == 1


async def test_a_file_of_a_question_is_read_by_who_deals_with_it(system: System) -> None:
    base = system.base_url
    async with http_client() as http, agent(base) as an:
        _, receipt = await ask(http, base, new_id())
        url = f"{base}/api/questions/{receipt['question_id']}/attachments"
        form = aiohttp.FormData()
        form.add_field("file", b"Bedrag: 300 euro", filename="factuur.txt")
        async with http.post(url, data=form, headers={"Authorization": f"Bearer {receipt['token']}"}) as answer:
            assert answer.status == 201, await answer.text()
            file = await answer.json()
        async with an.http.get(f"{url}/{file['id']}") as answer:
            assert answer.status == 403
        claim = f"{base}/api/questions/{receipt['question_id']}/claim"
        async with an.http.post(claim, headers={"Origin": base}) as answer:
            assert (await answer.json())["files"][0]["name"] == "factuur.txt"
        async with an.http.get(f"{url}/{file['id']}") as answer:
            assert (answer.status, await answer.read()) == (200, b"Bedrag: 300 euro")
        async with http.get(f"{url}/{file['id']}", headers={"Authorization": f"Bearer {receipt['token']}"}) as answer:
            assert answer.status == 401


async def test_so_many_wait_for_a_busy_agent_and_the_first_is_next(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as first, citizen(base) as second, citizen(base) as third:
        theirs, ours = await pair(first, an)
        await until_blue(base, "busy")
        async with citizen(base) as impatient:
            answer = await impatient.start()
            assert (answer.status, (await answer.json())["code"]) == (409, "button_blue")
        assert (await second.start(queue=True)).status == 201
        waiting = await second.join()
        await waiting.expect("status", dot="grey", position=1)
        assert (await third.start(queue=True)).status == 201
        await (await third.join()).expect("status", dot="grey", position=2)
        async with citizen(base) as late:
            answer = await late.start(queue=True)
            assert (answer.status, (await answer.json())["code"]) == (409, "queue_full")
        await theirs.send(type="close")
        await ours.expect("closed", chat_id=first.chat_id)
        await waiting.expect("status", dot="green")


async def test_of_two_agents_one_is_done_with_a_question_and_can_undo_it(system: System) -> None:
    base = system.base_url
    async with http_client() as http, agent(base) as an, agent(base, "bert") as bert:
        _, receipt = await ask(http, base, new_id())
        number, path = receipt["number"], f"{base}/api/questions/{receipt['question_id']}"

        async def act(person: Agent, method: str, what: str) -> tuple[int, Any]:
            async with person.http.request(method, f"{path}/{what}", headers={"Origin": base}) as answer:
                return answer.status, await answer.json() if answer.status != 204 else None

        one, two = await asyncio.gather(*(act(person, "POST", "done?once=true") for person in (an, bert)))
        assert sorted([one[0], two[0]]) == [204, 409]
        first, second, refused = (an, bert, two[1]) if one[0] == 204 else (bert, an, one[1])
        async with first.http.get(f"{base}/api/agent/me") as answer:
            id_ = (await answer.json())["id"]
        assert (refused["code"], refused["done"]["agent_id"]) == ("question_done", id_)
        async with second.http.get(f"{base}/api/questions/archive?number={number.lower()}") as answer:
            [found] = (await answer.json())["questions"]
        assert (found["number"], found["done"]["agent_id"]) == (number, id_)
        assert found["done"]["name"]
        status, refused = await act(second, "DELETE", "done")
        assert (status, refused["code"]) == (403, "not_yours")
        status, opened_again = await act(first, "DELETE", f"done?of={id_}")
        assert status == 200
        assert (await listed(second))[number] == opened_again
        async with second.http.get(f"{base}/api/questions/archive?number={number}") as answer:
            assert await answer.json() == {"questions": [], "next": None}
