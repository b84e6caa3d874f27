"""A real Prometheus that scrapes a running system each second, with the rules that operators are given."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local import ports
from deploy.local.settings import SERVICES
from tests.support.servers import PATIENCE, ROOT, System, wait_for

Series = dict[str, Any]
EACH = "process_start_time_seconds"  # of each process that was scraped, and answered in time


class NotAnswered(Exception):
    """Prometheus refused the question, and why."""


@dataclass(frozen=True)
class Prometheus:
    """Where it answers."""

    url: str

    def ask(self, path: str, **parameters: Any) -> Any:
        """The data of an answer of its HTTP API. Raises `NotAnswered`."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=PATIENCE) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise NotAnswered(error.read().decode()) from error

    def query(self, expression: str, at: float | None = None) -> list[Series]:
        """What the expression gives at this time, or now."""
        moment = {} if at is None else {"time": at}
        found: list[Series] = self.ask("query", query=expression, **moment)["result"]
        return found

    def series(self, selector: str) -> list[dict[str, str]]:
        """The labels of every series that was scraped and fits."""
        found: list[dict[str, str]] = self.ask("series", **{"match[]": selector})
        return found

    def value(self, expression: str, at: float | None = None) -> float:
        """The only number that it gives; nothing at all is NaN.

        Nothing is known of a process whose last scrape took longer than the time between two.
        """
        found = self.query(expression, at)
        return float(found[0]["value"][1]) if found else float("nan")

    def scraped(self, replicas: int) -> float:
        """A time at which something is known of so many processes that was not known before this call."""
        since, looked_at = time.time(), list[float]()
        known = f"min(timestamp({EACH})) and count({EACH}) == {replicas}"

        def is_known() -> bool:
            looked_at.append(time.time())
            return self.value(known, looked_at[-1]) > since

        wait_for(is_known, "every process to be scraped")
        return looked_at[-1]

    def until(self, expression: str, such: Callable[[float], bool], seconds: float = PATIENCE) -> float:
        """Its number as soon as it is such."""
        found: list[float] = []

        def is_such() -> bool:
            found.append(self.value(expression))
            return such(found[-1])

        try:
            wait_for(is_such, expression, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {found[-1:]}") from None
        return found[-1]


@contextlib.contextmanager
def running_prometheus(home: Path, system: System, every: str = "1s") -> Iterator[Prometheus]:
    """Scrapes each replica of the system while the context is open; the rules of deploy/monitoring/ are evaluated."""
    home.mkdir(parents=True, exist_ok=True)
    rules = (ROOT / "deploy" / "monitoring" / "alerts.yaml").read_text()
    (home / "alerts.yaml").write_text(rules.replace("interval: 30s", f"interval: {every}"))
    jobs = [
        {
            "job_name": service,
            "static_configs": [
                {"targets": [system.url(name).removeprefix("http://") for name in system.replicas(service)]}
            ],
        }
        for service in SERVICES
    ]
    settings = {"global": {"scrape_interval": every, "evaluation_interval": every}, "rule_files": ["alerts.yaml"]}
    (home / "prometheus.yml").write_text(json.dumps({**settings, "scrape_configs": jobs}))  # JSON is YAML
    port = ports.pick()
    command = ["prometheus", f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stdout=log, stderr=log
        )
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        every_one = sum(len(system.replicas(service)) for service in SERVICES)
        wait_for(partial(_has_met, prometheus, every_one), f"Prometheus, see {home / 'log'}")
        yield prometheus
    finally:
        process.kill()
        process.wait(PATIENCE)


def _has_met(prometheus: Prometheus, replicas: int) -> bool:
    with contextlib.suppress(OSError, NotAnswered):
        return prometheus.value("sum(up)") == replicas
    return False
