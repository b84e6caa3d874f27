"""`http_client.py`: who asks at the same time shares a question, and nobody gets an old answer."""

import asyncio

import pytest

from services.gateway.clients import http_client
from services.gateway.clients.http_client import Gathering, acting_for
from tests.support.servers import PATIENCE


class Oracle:
    """Answers with the ids that it was asked for, when it may."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.may = asyncio.Event()

    async def question(self, ids: list[str]) -> list[str]:
        self.asked.append(ids)
        await self.may.wait()
        if "bad" in ids:
            raise LookupError("bad")
        return ids


async def until_asked(oracle: Oracle, times: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(oracle.asked) < times:
            await asyncio.sleep(0)


async def test_a_single_one_is_asked_for_at_once() -> None:
    oracle = Oracle()
    oracle.may.set()
    assert await Gathering(oracle.question, 10).ask("a") == ["a"]


async def test_what_comes_while_questions_are_under_way_shares_the_next_ones() -> None:
    oracle = Oracle()
    gather = Gathering(oracle.question, 10)
    first = [asyncio.create_task(gather.ask(f"first {n}")) for n in range(http_client.UNDER_WAY)]
    await until_asked(oracle, 1)
    rest = [asyncio.create_task(gather.ask(f"{n}")) for n in range(25)]
    rest.append(asyncio.create_task(gather.ask("0")))
    await asyncio.sleep(0)
    before = len(oracle.asked)
    oracle.may.set()
    answers = await asyncio.gather(*first, *rest)
    assert all(len(ids) <= 10 for ids in oracle.asked)
    assert len(oracle.asked) - before <= 3
    assert all(f"{n}" in answer for n, answer in enumerate(answers[http_client.UNDER_WAY :][:25]))
    assert answers[-1] == answers[http_client.UNDER_WAY]


async def test_a_shared_question_is_asked_for_no_agent() -> None:
    asked_for: list[str | None] = []

    async def question(ids: list[str]) -> list[str]:
        asked_for.append(acting_for.get())
        return ids

    acting_for.set("the token of the first")
    assert await Gathering(question, 10).ask("a") == ["a"]
    assert asked_for == [None]
    assert acting_for.get() == "the token of the first", "what they ask alone is for them"


async def test_an_answer_is_never_older_than_the_asking() -> None:
    oracle = Oracle()
    gather = Gathering(oracle.question, 10)
    early = asyncio.create_task(gather.ask("a"))
    await until_asked(oracle, 1)
    late = asyncio.create_task(gather.ask("a"))
    await until_asked(oracle, 2)
    oracle.may.set()
    await asyncio.gather(early, late)
    assert oracle.asked == [["a"], ["a"]]


async def test_a_failure_reaches_all_who_shared_the_request_and_no_other() -> None:
    oracle = Oracle()
    gather = Gathering(oracle.question, 10)
    together = [asyncio.create_task(gather.ask(id_)) for id_ in ("bad", "good")]
    await until_asked(oracle, 1)
    gone = asyncio.create_task(gather.ask("gone"))
    await asyncio.sleep(0)
    gone.cancel()
    oracle.may.set()
    answered = await asyncio.gather(*together, return_exceptions=True)
    assert [type(t) for t in answered] == [LookupError, LookupError]
    assert await gather.ask("good") == ["good"]
    with pytest.raises(asyncio.CancelledError):
        await gone
