"""What operators look at, in a running system: after a short journey all that dashboard and alerts name is there.

A real Prometheus scrapes the four services each second and answers every query of the dashboard and of the rules.
"""

import asyncio
import functools
import operator
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from deploy.local.settings import SERVICES
from tests.deploy.monitoring import Query, alert_names, shown
from tests.e2e.scraping import NotAnswered, Prometheus, running_prometheus
from tests.support.clients import agent, citizen, pair, say, until_blue
from tests.support.servers import System, wait_for

# What is empty while all is well, beside counters that nothing began yet: shown only above zero.
QUIET = ("Not confirmed by the broker",)
FAILED = 'status=~"5.."'  # requests of which there are none while all is well


def beside(check: Callable[..., None]) -> Callable[..., Awaitable[None]]:
    """The check runs in a thread, while the loop goes on answering for the journey's browsers."""

    @functools.wraps(check)
    async def run(**given: Any) -> None:
        await asyncio.to_thread(check, **given)

    return run


@pytest.fixture(scope="module")
def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), system) as running:
        yield running


CLOSED = 'sum(eloket_routing_closed_total{reason="agent"})'
TO_AGENT, TO_CITIZEN = (f'eloket_gateway_delivery_seconds_%s{{to="{to}"}}' for to in ("agent", "citizen"))
FIRST_ANSWERS = 'eloket_transcripts_first_answer_seconds_count{department="algemeen"}'
NOT_HERE = (
    "rabbitmq_queue_info",  # since RabbitMQ 4.1; promtool plays its rule (tests/deploy)
    "eloket_transcripts_outbox",  # of an installation with webhooks; tests/transcripts/outbox looks at them
)
WAITED = 'eloket_routing_waited_seconds_count{department="algemeen"}'
ONE_MORE = (CLOSED, TO_AGENT % "count", TO_CITIZEN % "count", FIRST_ANSWERS, WAITED)
TOOK = "seconds"  # of the two messages of the journey, as the people who wrote them saw it


@pytest.fixture
async def journey(system: System, prometheus: Prometheus) -> AsyncIterator[dict[str, float]]:
    """A chat from the press to its end, which has been scraped; the agent is still there.

    Gives the numbers before it, since the system may have served other tests, and how long the messages took.
    """
    at = await asyncio.to_thread(prometheus.scraped, sum(len(system.replicas(service)) for service in SERVICES))
    before = {
        name: prometheus.value(f"{name} or vector(0)", at) for name in (*ONE_MORE, TO_AGENT % "sum", TO_CITIZEN % "sum")
    }
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, ours = await pair(visitor, an)
        began = time.monotonic()
        asked = await say(theirs, "Goeiemorgen")
        await ours.expect("message", id=asked["id"])
        answer = await say(ours, "Dag, waarmee kan ik helpen?", visitor.chat_id)
        await theirs.expect("message", id=answer["id"])
        before[TOOK] = time.monotonic() - began
        await asyncio.to_thread(prometheus.until, "sum(eloket_gateway_connections)", lambda n: n >= 2)
        await ours.send(type="close", chat_id=visitor.chat_id)
        assert await theirs.closed() == 1000
        await asyncio.to_thread(prometheus.until, CLOSED, lambda n: n == before[CLOSED] + 1)
        yield before


@pytest.mark.usefixtures("journey")
@beside
def test_every_metric_and_label_that_is_named_is_there(prometheus: Prometheus) -> None:
    queries = [*shown(), *rules(prometheus)]
    assert len(queries) > 60
    for query in queries:
        if any(selector.startswith(NOT_HERE) for selector in query.selectors):
            continue
        series = [labels for selector in query.selectors for labels in wait_for_series(prometheus, selector)]
        known = {label for labels in series for label in labels}
        assert query.labels <= known, f"{query.where}: {query.labels - known} in {query.expression}"


def wait_for_series(prometheus: Prometheus, selector: str) -> list[dict[str, str]]:
    """What is counted each 15 s, or recorded of others, takes a moment."""
    looked_for = selector.replace(FAILED, "")
    prometheus.until(f"count({looked_for})", lambda n: n > 0)
    return prometheus.series(looked_for)


@pytest.mark.usefixtures("journey")
@beside
def test_every_query_of_the_dashboard_is_answered(prometheus: Prometheus) -> None:
    for query in shown():
        try:
            if query.where not in QUIET and not re.search(r"> 0$", query.expression):
                prometheus.until(f"count({query.expression})", lambda n: n > 0)
            prometheus.query(query.expression)
        except NotAnswered as error:
            pytest.fail(f"{query.where}: {error}")


@pytest.mark.usefixtures("journey")
@beside
def test_every_rule_is_evaluated_without_an_error_and_all_is_well(prometheus: Prometheus) -> None:
    found = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in found if rule["type"] == "alerting"] == alert_names()
    for rule in found:
        prometheus.until(
            f'count(ALERTS{{alertname="{rule["name"]}", alertstate="firing"}}) or vector(0)', lambda n: n == 0
        )
    wait_for(lambda: "unknown" not in healths(prometheus).values(), "every rule to be evaluated")
    assert set(healths(prometheus).values()) == {"ok"}, healths(prometheus)


@beside
def test_the_numbers_say_what_happened(prometheus: Prometheus, journey: dict[str, float]) -> None:
    """The journey has one message each way and one first answer; nothing is left without receipt."""
    for name in ONE_MORE:
        prometheus.until(name, partial(operator.eq, journey[name] + 1))
    for to in (TO_AGENT, TO_CITIZEN):
        total = prometheus.until(to % "sum", partial(operator.lt, journey[to % "sum"]))
        assert total - journey[to % "sum"] <= journey[TOOK], "in seconds"
    prometheus.until("eloket_gateway_unreceipted", lambda n: n == 0)
    prometheus.until("sum(eloket_dead_letters)", lambda n: n == 0)
    prometheus.until('eloket_gateway_button{department="algemeen", reason="available"}', lambda n: n == 1)
    prometheus.until('sum(eloket_gateway_button{department="algemeen"})', lambda n: n == 1)  # one reason at a time


async def test_the_reason_of_the_button_changes_with_it(system: System, prometheus: Prometheus) -> None:
    await until_blue(system.base_url, "no_agents")
    prometheus.until('eloket_gateway_button{department="algemeen", reason="no_agents"}', lambda n: n == 1)
    prometheus.until('eloket_button_green{department="algemeen"}', lambda n: n == 0)


def healths(prometheus: Prometheus) -> dict[str, str]:
    """What Prometheus says of each rule: `ok`, `err`, or `unknown` until it was evaluated."""
    groups = prometheus.ask("rules")["groups"]
    return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


def rules(prometheus: Prometheus) -> list[Query]:
    """The expressions of the rules, as Prometheus has read them."""
    found = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    return [Query(rule["name"], rule["query"]) for rule in found]
