"""HTTP requests as each service counts them: after a few of them every service is scraped."""

import asyncio
from collections.abc import Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.settings import SERVICES
from tests.support.clients import agent, citizen, http_client, pair
from tests.support.servers import PATIENCE, System

Labels = tuple[str, str, str]
Counts = dict[str, dict[Labels, float]]
EXPECTED: dict[str, set[Labels]] = {
    "gateway": {
        ("/api/button", "GET", "200"),
        ("/api/button/events", "GET", "200"),
        ("/api/chats", "POST", "201"),
        ("/api/chats/{chat_id}/transcript", "GET", "200"),
        ("none", "GET", "404"),
    },
    "presence": {("/internal/places/hold", "POST", "200"), ("/internal/sessions/lookup", "POST", "200")},
    "routing": {("/internal/chats", "POST", "200")},
    "transcripts": {("/chats/{chat_id}/transcript", "GET", "200"), ("/internal/history", "POST", "200")},
}


async def scrape(system: System) -> Counts:
    """How many requests each service has counted so far, over all its replicas."""
    counts: Counts = {service: {} for service in SERVICES}
    async with http_client() as session:
        for service in SERVICES:
            for replica in system.replicas(service):
                answer = await session.get(f"{system.url(replica)}/metrics")
                assert answer.status == 200
                for family in text_string_to_metric_families(await answer.text()):
                    for sample in family.samples:
                        if sample.name == "eloket_http_request_seconds_count":
                            labels = (sample.labels["route"], sample.labels["method"], sample.labels["status"])
                            counts[service][labels] = counts[service].get(labels, 0) + sample.value
    return counts


async def scrape_until(system: System, such: Callable[[Counts], bool]) -> Counts:
    """What was counted, as soon as it is such."""
    async with asyncio.timeout(PATIENCE):
        while not such(counts := await scrape(system)):
            await asyncio.sleep(0.1)
    return counts


def missing(before: Counts, after: Counts) -> set[tuple[str, Labels]]:
    """What was expected and not counted in between."""
    return {
        (service, labels)
        for service, expected in EXPECTED.items()
        for labels in expected
        if after[service].get(labels, 0) <= before[service].get(labels, 0)
    }


async def test_every_service_counts_its_requests_by_route(system: System) -> None:
    before = await scrape(system)
    async with citizen(system.base_url) as visitor, agent(system.base_url) as an, http_client() as page:
        await pair(visitor, an)
        assert (await visitor.transcript()).status == 200
        assert (await page.get(f"{system.base_url}/api/button")).status == 200
        assert (await page.get(f"{system.base_url}/nowhere/{visitor.chat_id}?token={visitor.token}")).status == 404
        stream: aiohttp.ClientResponse
        async with page.get(f"{system.base_url}/api/button/events") as stream:
            assert stream.status == 200
            counts = await scrape_until(system, lambda after: not missing(before, after))
        for service in SERVICES:
            routes = {route for route, _, _ in counts[service]}
            assert not {route for route in routes if visitor.chat_id in route or "nowhere" in route}
            assert not routes & {"/healthz", "/readyz", "/metrics", "/ws/citizen", "/ws/agent"}
