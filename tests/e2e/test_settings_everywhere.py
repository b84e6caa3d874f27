"""A system with other values than the defaults obeys and shows them everywhere."""

import asyncio
from pathlib import Path

import aiohttp

from tests.support.clients import agent, citizen, pair, until_green
from tests.support.servers import running_system

KIB = 1024


async def test_time_zone_file_sizes_and_access(tmp_path: Path, shared_servers: dict[str, str]) -> None:
    published = {
        "TIMEZONE": "America/New_York",
        "ATTACHMENT_BYTES": str(200 * KIB),
        "ATTACHMENT_COUNT": "2",
        "ATTACHMENT_TOTAL": str(300 * KIB),
        "CITIZEN_ACCESS": "1",
        "RATE_LIMITS": "off",
    }
    with running_system(tmp_path, **published, **shared_servers) as system:
        base = system.base_url
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{base}/api/settings") as answer:
                assert await answer.json() == {
                    "timezone": "America/New_York",
                    "attachment_bytes": 200 * KIB,
                    "attachment_count": 2,
                    "attachment_total": 300 * KIB,
                    "citizen_access": 1,
                }
            async with http.get(f"{base}/infofiche/algemeen?lang=nl") as answer:
                page = await answer.text()
            assert "America/New_York" in page
        async with agent(base) as an, citizen(base) as visitor:
            await until_green(base)
            theirs, _ = await pair(visitor, an)
            for size, status in ((201 * KIB, 413), (200 * KIB, 201), (101 * KIB, 413), (100 * KIB, 201), (1, 413)):
                while (answer_ := await visitor.upload("a.txt", b"x" * size)).status == 429:  # a full machine
                    await asyncio.sleep(0.5)
                assert answer_.status == status, size
                if status == 413:
                    body = await answer_.json()
                    assert (body["limit_bytes"], body["limit_files"]) == (200 * KIB, 2)
            text = await (await visitor.transcript("txt")).text()
            assert "-05:00" in text or "-04:00" in text, "times are those of New York"
            await theirs.send(type="close")
            assert await theirs.closed() == 1000
            while (late := await visitor.transcript("json")).status in (200, 503):  # 503: a full machine, for a moment
                await asyncio.sleep(0.1)
            assert (late.status, (await late.json())["code"]) == (401, "unauthenticated")
