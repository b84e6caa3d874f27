"""`services/common/runtime/server.py`: a port of one's own, and one that replicas share."""

import json
import signal
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from deploy.local import ports
from tests.real import wait_for


def test_a_port_that_is_taken_ends_it_with_an_error(start: Any) -> None:
    one = start()
    one.wait_until_it_lives()
    two = start(ROUTING_PORT=str(one.port))
    assert two.process.wait(30) not in (0, 78)


def shared() -> dict[str, str]:
    """What the replicas of one service are told, save for each one's own port."""
    return {"PORT_SHARED": "on", "ROUTING_PORT": str(ports.pick())}


def own() -> dict[str, str]:
    return {"OWN_PORT": str(ports.pick())}


def who_answers(together: dict[str, str], times: int = 1) -> set[int]:
    """The processes that answer on the shared port, each time over a new connection."""
    url = f"http://127.0.0.1:{together['ROUTING_PORT']}/pid"
    return {int(urllib.request.urlopen(url, timeout=10).read()) for _ in range(times)}


def test_replicas_answer_on_one_port_and_each_on_its_own(start: Any) -> None:
    together = shared()
    pair = [start(**together, **own()) for _ in range(2)]
    for one in pair:
        wait_for(lambda one=one: one.lives() and one.get("/readyz")[0] == 200, "a replica", 30)
        assert one.get("/pid") == (200, str(one.process.pid))
    pids = {one.process.pid for one in pair}
    seen: set[int] = set()
    wait_for(lambda: seen.update(who_answers(together)) or seen == pids, "both to answer", 10)
    pair[0].process.kill()
    pair[0].process.wait(10)
    assert who_answers(together, 20) == {pair[1].process.pid}


def test_a_replica_takes_connections_from_when_it_is_ready(start: Any, tmp_path: Path) -> None:
    together, ready = shared(), tmp_path / "ready"
    one = start(**together, **own(), READY_WHEN=str(ready))
    one.wait_until_it_lives()
    assert json.loads(one.get("/readyz")[1])["checks"] == {"task_forever": "ok", "file": "not_yet", "port": "not_yet"}
    with pytest.raises(OSError, match="refused"):
        who_answers(together)
    two = start(**together, **own())
    wait_for(lambda: two.lives() and two.get("/readyz")[0] == 200, "another, that is ready", 30)
    assert who_answers(together, 20) == {two.process.pid}
    ready.touch()
    wait_for(lambda: one.get("/readyz")[0] == 200, "the replica to be ready", 10)
    two.process.kill()
    two.process.wait(10)
    ready.unlink()  # later it may be unready like any service: it can say so
    assert one.get("/readyz")[0] == 503
    assert who_answers(together) == {one.process.pid}


def test_a_replica_that_drains_finishes_and_leaves_what_is_new_to_the_others(start: Any) -> None:
    together = shared()
    leaving = start(**together, **own(), DRAIN="1.5")
    wait_for(lambda: leaving.lives() and leaving.get("/readyz")[0] == 200, "the first", 30)
    kept = HTTPConnection("127.0.0.1", int(together["ROUTING_PORT"]), timeout=10)
    kept.connect()
    staying = start(**together, **own())
    wait_for(lambda: staying.lives() and staying.get("/readyz")[0] == 200, "the second", 30)
    kept.request("GET", "/pid?after=1")
    wait_for(lambda: "asked" in leaving.out.read_text(), "the question", 10)
    leaving.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "in_drain" in leaving.out.read_text(), "the drain", 5)
    assert who_answers(together, 30) == {staying.process.pid}
    assert leaving.get("/readyz")[0] == 503
    assert int(kept.getresponse().read()) == leaving.process.pid
    kept.close()
    assert leaving.process.wait(10) == 0


def test_a_port_that_another_has_for_itself_cannot_be_shared(start: Any) -> None:
    one = start()
    one.wait_until_it_lives()
    two = start(PORT_SHARED="on", ROUTING_PORT=str(one.port), **own())
    assert two.process.wait(30) not in (0, 78)
    assert two.err.read_text() == f"routing: port {one.port} cannot be shared: Address already in use\n"
