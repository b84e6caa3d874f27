"""`make vulnerabilities`: what a database says of the pinned packages, what is overdue, and what SECURITY.md promises.

The database is a server of this test: no test asks a network.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.release.sbom import pins
from deploy.vulnerabilities import PERIODS, UNKNOWN, NotUnderstood, Report, grouped, not_affected, report_of
from deploy.vulnerabilities import __main__ as program
from tests.support.servers import ROOT

NAMES = sorted(pins(ROOT / "requirements" / "run.txt"))
PUBLISHED = date(2026, 11, 1)
Documents = dict[str, dict[str, Any]]


def document(id_: str = "GHSA-1", severity: str | None = "CRITICAL", **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "published": f"{PUBLISHED}T10:00:00Z",
        "aliases": ["CVE-2026-1"],
        "summary": "a request of many parts takes long",
        "database_specific": {"severity": severity} if severity else {},
        **more,
    }


class Database:
    """A server with the interface of OSV. `says`: the numbers of the reports on each package."""

    def __init__(self) -> None:
        self.says: dict[str, list[str]] = {}
        self.documents: Documents = {}
        self.status = 200
        self.results: Any = None
        self.raw: bytes | None = None
        self.asked: list[tuple[str, Any]] = []

    def answer(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        if path == "/v1/querybatch":
            if self.results is not None:
                return {"results": self.results}
            names = [query["package"]["name"] for query in body["queries"]]
            return {"results": [{"vulns": [{"id": one} for one in self.says.get(n, [])]} for n in names]}
        return self.documents[path.rpartition("/")[2]]


@contextmanager
def serving(database: Database) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body: Any) -> None:
            given = json.dumps(database.answer(self.path, body)).encode() if database.raw is None else database.raw
            self.send_response(database.status)
            self.send_header("Content-Length", str(len(given)))
            self.end_headers()
            self.wfile.write(given)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._answer(None)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def database() -> Database:
    return Database()


def run(database: Database, today: date, reasons: Path = program.REASONS) -> int:
    with serving(database) as url:
        return program.main({"OSV_URL": url}, today, reasons)


def test_nothing_is_known_of_the_packages(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(database, PUBLISHED) == 0
    assert f"{len(NAMES)} packages, 0 known vulnerabilities, 0 overdue" in capsys.readouterr().out
    [(path, body)] = database.asked
    assert path == "/v1/querybatch"
    assert [query["package"]["name"] for query in body["queries"]] == NAMES, "every pinned package is asked about"
    assert all(set(query) == {"package", "version"} and query["version"] for query in body["queries"])


@pytest.mark.parametrize(("severity", "word"), [("CRITICAL", "critical"), ("MODERATE", "moderate"), (None, UNKNOWN)])
def test_a_vulnerability_is_overdue_the_day_after_its_period(
    database: Database, capsys: pytest.CaptureFixture[str], severity: str | None, word: str
) -> None:
    database.says, database.documents = {"aiohttp": ["GHSA-1"]}, {"GHSA-1": document(severity=severity)}
    last = date.fromordinal(PUBLISHED.toordinal() + PERIODS[word])
    assert run(database, last) == 0
    assert f"open          {word:<8}  until {last}  aiohttp" in capsys.readouterr().out
    assert run(database, date.fromordinal(last.toordinal() + 1)) == 1
    said = capsys.readouterr().out
    assert f"OVERDUE       {word:<8}  until {last}  aiohttp" in said
    assert "1 known vulnerabilities, 1 overdue" in said


def test_a_reason_says_why_one_does_not_count_and_is_named_when_it_is_stale(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database.says, database.documents = {"aiohttp": ["GHSA-1"]}, {"GHSA-1": document()}
    file = tmp_path / "reasons.toml"
    rows = "".join(f'[[not_affected]]\nid = "{one}"\nreason = "no such server"\n' for one in ("CVE-2026-1", "GHSA-9"))
    file.write_text(rows)
    assert run(database, date(2027, 6, 1), file) == 0
    said = capsys.readouterr().out
    assert re.search(r"^not affected .*GHSA-1$", said, re.MULTILINE), "by any of its numbers"
    assert "names what is not found any more: GHSA-9" in said


def test_reports_of_one_vulnerability_are_one_with_the_highest_severity_and_the_earliest_day() -> None:
    def report(id_: str, aliases: tuple[str, ...], severity: str | None, day: int) -> Report:
        return Report(id_, aliases, severity, date(2026, 11, day), "")

    found = grouped(
        "x",
        "1",
        [
            report("PYSEC-1", ("CVE-1",), None, 9),
            report("GHSA-2", ("CVE-2",), "low", 5),
            report("OTHER-1", ("GHSA-1",), "high", 7),
            report("GHSA-1", ("CVE-1", "PYSEC-1"), "moderate", 8),
        ],
    )
    assert [(one.severity, one.published.day) for one in found] == [("low", 5), ("high", 7)]
    assert set(found[1].ids) == {"PYSEC-1", "CVE-1", "GHSA-1", "OTHER-1"}


def test_a_report_that_was_withdrawn_is_none(database: Database) -> None:
    database.says = {"aiohttp": ["GHSA-1"]}
    database.documents = {"GHSA-1": document(withdrawn="2026-11-02T00:00:00Z")}
    assert run(database, date(2027, 6, 1)) == 0


def test_a_report_is_shown_without_what_moves_a_terminal(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.says = {"aiohttp": ["GHSA-1"]}
    database.documents = {"GHSA-1": document(summary="\x1b[2J" + "x" * 1_000)}
    run(database, PUBLISHED)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) < 130


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": 503}, "answers with status 503"),
        ({"status": 302}, "answers with status 302"),
        ({"raw": b"<html>"}, "the answer is no JSON"),
        ({"raw": b"[]"}, "the answer is no JSON object"),
        ({"raw": b" " * (program.MOST_BYTES + 1)}, "more than 4194304 bytes"),
        ({"results": []}, "one result for each package"),
        ({"results": [{"vulns": [{}]}] * len(NAMES)}, "a report has no number"),
        ({"results": [{"next_page_token": "x"}] * len(NAMES)}, "do not fit into one answer"),
        ({"results": [{"vulns": [{"id": f"A-{n}"} for n in range(501)]}] * len(NAMES)}, "more than 500 reports"),
        ({"says": {"aiohttp": ["X"]}, "documents": {"X": {"id": "X"}}}, "no day of its publication"),
    ],
)
def test_what_could_not_be_checked_is_said_and_is_no_success(
    database: Database, capsys: pytest.CaptureFixture[str], change: dict[str, Any], says: str
) -> None:
    vars(database).update(change)
    assert run(database, PUBLISHED) == 2
    said = capsys.readouterr()
    assert said.err.startswith("not checked: ")
    assert says in said.err
    assert "0 overdue" not in said.out


def test_a_database_that_is_away_or_without_tls_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Database()) as gone:
        pass
    assert program.main({"OSV_URL": gone}, PUBLISHED) == 2
    assert "cannot be reached" in capsys.readouterr().err
    for wrong in ("http://osv.example", "https://[osv"):
        assert program.main({"OSV_URL": wrong}, PUBLISHED) == 2
        assert "is no address such as https://host" in capsys.readouterr().err


@pytest.mark.parametrize("day", ["2026-13-01T00:00:00Z", "yesterday", 7, None])
def test_a_report_without_a_day_is_refused(day: Any) -> None:
    with pytest.raises(NotUnderstood):
        report_of(document(published=day))


@pytest.mark.parametrize("text", ["[[not_affected]]\nid = 'x'", "[[not_affected]]\nid = ''\nreason = 'y'", "x ="])
def test_a_list_of_reasons_without_a_reason_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood):
        not_affected(text)


def test_the_list_of_reasons_is_read_and_each_has_a_reason() -> None:
    assert all(reason.strip() for reason in not_affected(program.REASONS.read_text("utf-8")).values())


def test_the_periods_are_those_that_are_promised() -> None:
    rows = re.findall(r"^\| ([a-z, ]+) \| (\d+) days \|$", (ROOT / "SECURITY.md").read_text("utf-8"), re.MULTILINE)
    promised = {word.strip(): int(days) for words, days in rows for word in words.split(",")}
    assert promised.pop("or not said") == PERIODS[UNKNOWN]
    assert promised == PERIODS
