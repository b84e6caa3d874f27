"""`services/common/runtime/server.py`: a port of one's own, and one that replicas share."""

import asyncio
import json
import signal
import urllib.request
from http.client import HTTPConnection
from pathlib import Path

import pytest
from fastapi import FastAPI

from deploy.local import ports
from services.common.runtime import server as runtime_server
from tests.support.programs.service_process import Start
from tests.support.servers import PATIENCE, wait_for


async def test_it_ends_without_the_next_look_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_server, "DATE_EVERY", 10 * PATIENCE)
    one = runtime_server.server(FastAPI(), "none", host="127.0.0.1", port=0)
    serving = asyncio.create_task(one.serve())
    async with asyncio.timeout(PATIENCE):
        while not one.started:
            await asyncio.sleep(0.01)
        one.end()
        await serving


async def test_the_date_of_its_answers_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_server, "DATE_EVERY", 0.01)
    one = runtime_server.server(FastAPI(), "none", host="127.0.0.1", port=0)
    serving = asyncio.create_task(one.serve())
    async with asyncio.timeout(PATIENCE):
        while not one.started:
            await asyncio.sleep(0.01)
        one.server_state.default_headers = []
        while not one.server_state.default_headers:
            await asyncio.sleep(0.01)
        one.end()
        await serving
    assert one.server_state.default_headers[0][0] == b"date"


def test_a_port_that_is_taken_ends_it_with_an_error(start: Start) -> None:
    one = start()
    one.wait_until_it_lives()
    two = start(ROUTING_PORT=str(one.port))
    assert two.status() not in (0, 78)


def shared() -> dict[str, str]:
    """The settings of the replicas of one service, save for each one's own port."""
    return {"PORT_SHARED": "on", "ROUTING_PORT": str(ports.pick())}


def own() -> dict[str, str]:
    return {"OWN_PORT": str(ports.pick())}


def who_answers(together: dict[str, str], times: int = 1) -> set[int]:
    """The processes that answer on the shared port, each time over a new connection."""
    url = f"http://127.0.0.1:{together['ROUTING_PORT']}/pid"
    return {int(urllib.request.urlopen(url, timeout=PATIENCE).read()) for _ in range(times)}


def test_replicas_answer_on_one_port_and_each_on_its_own(start: Start) -> None:
    together = shared()
    pair = [start(**together, **own()) for _ in range(2)]
    for one in pair:
        one.wait_until_it_is_ready()
        assert one.get("/pid") == (200, str(one.process.pid))
    pids = {one.process.pid for one in pair}
    seen: set[int] = set()

    def both_answered() -> bool:
        seen.update(who_answers(together))
        return seen == pids

    wait_for(both_answered, "both to answer")
    pair[0].process.kill()
    pair[0].status()
    assert who_answers(together, 20) == {pair[1].process.pid}


def test_a_replica_takes_connections_from_when_it_is_ready(start: Start, tmp_path: Path) -> None:
    together, ready = shared(), tmp_path / "ready"
    one = start(**together, **own(), READY_WHEN=str(ready))
    one.wait_until_it_lives()
    assert json.loads(one.get("/readyz")[1])["checks"] == {"task_forever": "ok", "file": "not_yet", "port": "not_yet"}
    with pytest.raises(OSError, match="refused"):
        who_answers(together)
    two = start(**together, **own())
    two.wait_until_it_is_ready()
    assert who_answers(together, 20) == {two.process.pid}
    ready.touch()
    one.wait_until_it_is_ready()
    two.process.kill()
    two.status()
    ready.unlink()  # later it may be unready like any service: it can say so
    assert one.get("/readyz")[0] == 503
    assert who_answers(together) == {one.process.pid}


def test_a_replica_that_drains_finishes_and_leaves_what_is_new_to_the_others(start: Start, tmp_path: Path) -> None:
    together, answered, drained = shared(), tmp_path / "answered", tmp_path / "drained"
    leaving = start(**together, **own(), DRAIN_UNTIL=str(drained))
    leaving.wait_until_it_is_ready()
    kept = HTTPConnection("127.0.0.1", int(together["ROUTING_PORT"]), timeout=PATIENCE)
    kept.request("GET", f"/pid?until={answered}")
    leaving.wait_until_it_says("asked")
    staying = start(**together, **own())
    staying.wait_until_it_is_ready()
    leaving.process.send_signal(signal.SIGTERM)
    leaving.wait_until_it_says("in_drain")
    assert who_answers(together, 30) == {staying.process.pid}
    assert leaving.get("/readyz")[0] == 503
    answered.touch()
    assert int(kept.getresponse().read()) == leaving.process.pid
    kept.close()
    drained.touch()
    assert leaving.status() == 0


def test_a_port_that_another_has_for_itself_cannot_be_shared(start: Start) -> None:
    one = start()
    one.wait_until_it_lives()
    two = start(PORT_SHARED="on", ROUTING_PORT=str(one.port), **own())
    assert two.status() not in (0, 78)
    assert two.err.read_text() == f"routing: port {one.port} cannot be shared: Address already in use\n"
