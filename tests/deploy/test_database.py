"""The embedded database server."""

import os
import signal
from pathlib import Path

import pymongo

from deploy.local import embedded_mongodb, ports, processes
from tests.support.servers import in_thread, running, wait_for


def test_its_address_asks_for_journalled_writes() -> None:
    url = embedded_mongodb.url(1234)
    assert url.startswith("mongodb://127.0.0.1:1234/?")
    for option in ("directConnection=true", "retryWrites=false", "w=majority", "journal=true"):
        assert option in url


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    port = ports.pick()
    program = embedded_mongodb.program(tmp_path / "database", port, tmp_path / "database.log")
    process = processes.start(program)
    wait_for(lambda: in_thread(program.ready) is None, "the database")
    with pymongo.MongoClient[dict[str, int]](embedded_mongodb.url(port)) as client:
        for number in range(20):
            client["test"]["entries"].insert_one({"_id": number})
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with running([program]), pymongo.MongoClient[dict[str, int]](embedded_mongodb.url(port)) as client:
        assert [entry["_id"] for entry in client["test"]["entries"].find().sort("_id")] == list(range(20))


def test_it_keeps_no_memory_for_each_of_its_threads(tmp_path: Path) -> None:
    program = embedded_mongodb.program(tmp_path, 1234, tmp_path / "database.log")
    assert program.env["MALLOC_ARENA_MAX"] == os.environ.get("MALLOC_ARENA_MAX", "1")
