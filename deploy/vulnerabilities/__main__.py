"""Asks a database of vulnerabilities (OSV) about the packages of the images, and whether one is overdue (SECURITY.md).

It sends the names and versions that `requirements/run.txt` has, and nothing else. OSV_URL names another database with
the same interface, such as a mirror. What does not affect the project is in `requirements/not_affected.toml`.
Exit status 0: nothing is overdue; 1: something is; 2: the database could not be asked, or not be understood.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import orjson

from deploy.release.sbom import pins
from deploy.vulnerabilities import (
    NotUnderstood,
    Report,
    Vulnerability,
    grouped,
    not_affected,
    report_of,
    table,
    with_reasons,
)

ROOT = Path(__file__).resolve().parents[2]
PINS, REASONS = ROOT / "requirements" / "run.txt", ROOT / "requirements" / "not_affected.toml"
OSV = "https://api.osv.dev"
LIMIT = 60.0  # seconds for all questions together
MOST_BYTES = 4 * 1024 * 1024  # of one answer
MOST_REPORTS = 500
AT_ONCE = 8
ASKED, OVERDUE, NOT_ASKED = 0, 1, 2


class NotAsked(Exception):
    """The database gives no answer. The text says why."""


def main(environ: Mapping[str, str], today: date, reasons: Path = REASONS) -> int:
    """Print the table. Return the exit status."""
    url = environ.get("OSV_URL") or OSV
    packages = {name: version for name, (version, _) in pins(PINS).items()}
    try:
        known = not_affected(reasons.read_text("utf-8"))
        found = with_reasons(asyncio.run(_ask(url, packages)), known)
    except (NotAsked, NotUnderstood, OSError) as error:
        print(f"not checked: {error}", file=sys.stderr)
        return NOT_ASKED
    if found:
        print(table(found, today))
    stale = sorted(set(known) - {id_ for one in found for id_ in one.ids})
    if stale:
        print(f"requirements/not_affected.toml names what is not found any more: {', '.join(stale)}")
    overdue = [one for one in found if one.is_overdue(today)]
    print(f"{len(packages)} packages, {len(found)} known vulnerabilities, {len(overdue)} overdue")
    return OVERDUE if overdue else ASKED


async def _ask(url: str, packages: Mapping[str, str]) -> list[Vulnerability]:
    """Return the known vulnerabilities of these versions.

    Raises:
        NotAsked: There is no answer in time, or a refusal.
        NotUnderstood: The answer is not as documented.
    """
    try:
        place = urlsplit(url)
    except ValueError as error:
        raise NotAsked("OSV_URL is no address such as https://host") from error
    if place.scheme != "https" and place.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise NotAsked("OSV_URL is no address such as https://host")
    try:
        async with (
            asyncio.timeout(LIMIT),
            aiohttp.ClientSession(trust_env=True, connector=aiohttp.TCPConnector(limit=AT_ONCE)) as http,
        ):
            names = sorted(packages)
            numbers = await _numbers(http, url, names, packages)
            wanted = sorted({number for found in numbers.values() for number in found})
            if len(wanted) > MOST_REPORTS:
                raise NotAsked(f"it names more than {MOST_REPORTS} reports")
            reports = dict(zip(wanted, await asyncio.gather(*(_report(http, url, one) for one in wanted)), strict=True))
    except TimeoutError as error:
        raise NotAsked(f"{place.hostname} did not answer within {LIMIT:.0f} seconds") from error
    except aiohttp.ClientError as error:
        raise NotAsked(f"{place.hostname} cannot be reached ({type(error).__name__})") from error
    found: list[Vulnerability] = []
    for name in names:
        said = [reports[number] for number in numbers[name]]
        found += grouped(name, packages[name], [one for one in said if one is not None])
    return found


async def _numbers(
    http: aiohttp.ClientSession, url: str, names: list[str], packages: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the numbers of the reports on each package; one that has more of them than an answer holds is refused."""
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": packages[name]} for name in names]
    body = await _read(http.post(f"{url}/v1/querybatch", json={"queries": queries}, allow_redirects=False))
    results = body.get("results")
    if not isinstance(results, list) or len(results) != len(names):
        raise NotUnderstood("the database does not answer one result for each package")
    found: dict[str, list[str]] = {}
    for name, result in zip(names, results, strict=True):
        given = result or {}
        if not isinstance(given, dict) or given.get("next_page_token"):
            raise NotUnderstood(f"{name}: its reports do not fit into one answer")
        vulns = given.get("vulns") or []
        ids = [one.get("id") if isinstance(one, dict) else None for one in vulns] if isinstance(vulns, list) else [None]
        if not all(isinstance(one, str) and one for one in ids):
            raise NotUnderstood(f"{name}: a report has no number")
        found[name] = [str(one) for one in ids]
    return found


async def _report(http: aiohttp.ClientSession, url: str, number: str) -> Report | None:
    return report_of(await _read(http.get(f"{url}/v1/vulns/{quote(number, safe='')}", allow_redirects=False)))


async def _read(asked: Any) -> dict[str, Any]:
    """Return the JSON object of an answer."""
    async with asked as answer:
        if answer.status != 200:
            raise NotAsked(f"{answer.url.host} answers with status {answer.status}")
        raw = bytearray()
        async for part in answer.content.iter_chunked(65_536):
            raw += part
            if len(raw) > MOST_BYTES:
                raise NotAsked(f"an answer has more than {MOST_BYTES} bytes")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotUnderstood("the answer is no JSON") from error
    if not isinstance(body, dict):
        raise NotUnderstood("the answer is no JSON object")
    return body


if __name__ == "__main__":
    sys.exit(main(os.environ, datetime.now(UTC).date()))
