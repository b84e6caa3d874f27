"""`make backup` and `make restore` on a real database: what comes back is what was there; what is wrong is refused."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pymongo
import pytest
from pymongo import IndexModel, MongoClient, monitoring

from deploy.backup.dump import dump
from deploy.local import preflight
from deploy.local.settings import Refusal
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT, running_database

Client = MongoClient[dict[str, Any]]
WORDS = "mijn rijksregisternummer is 85.07.30-033.28"
INDEXES = (
    IndexModel([("chat_id", 1), ("seq", 1)], unique=True, name="log"),
    IndexModel([("silence_at", -1)], sparse=True, name="silence"),
    IndexModel([("expires_at", 1)], expireAfterSeconds=0, name="expiry"),
)
MEASURED = """
import resource, sys
from deploy.backup.__main__ import main
status = main()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""
"""The command, which then says how many KiB it has held at most."""


@dataclass
class Terminal:
    """An operator's terminal; the databases that he backs up."""

    url: str
    prefix: str
    client: Client
    folder: Path

    def do(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command; nothing of what a person wrote is in any output."""
        return self.run(("-m", "deploy.backup"), *arguments, **environ)

    def run(self, program: tuple[str, ...], *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Like `do`, by another program than the command itself."""
        kept = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
        env = {**kept, "MONGODB_URL": self.url, "MONGODB_PREFIX": self.prefix, **environ}
        command = [sys.executable, *program, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=5 * PATIENCE)
        assert "Traceback" not in done.stderr
        assert "rijksregister" not in done.stdout + done.stderr
        return done

    def backup(self) -> None:
        done = self.do("backup", str(self.folder))
        assert done.returncode == 0, done.stderr

    def refused(self, *arguments: str, **environ: str) -> str:
        """The one line with which the command ends."""
        done = self.do(*arguments, **environ)
        assert done.returncode == 1, done.stdout
        (line,) = done.stderr.splitlines()
        assert line.startswith("refused: ")
        return line

    def everything(self, prefix: str | None = None) -> dict[str, Any]:
        """Documents, byte for byte, and indexes of every collection, with the service's name before it."""
        found: dict[str, Any] = {}
        for service in ("presence", "routing", "transcripts"):
            database = self.client[(self.prefix if prefix is None else prefix) + service]
            for name in sorted(database.list_collection_names()):
                rows = b"".join(database[name].find_raw_batches({}, sort=[("_id", 1)]))  # type: ignore[arg-type]
                indexes = {
                    index["name"]: {k: v for k, v in index.items() if k not in ("ns", "v")}
                    for index in database[name].list_indexes()
                }
                found[f"{service}.{name}"] = (rows, indexes)
        return found


@pytest.fixture
def terminal(mongodb_url: str, mongodb_prefix: str, mongodb_client: Client, tmp_path: Path) -> Terminal:
    filled = Terminal(mongodb_url, mongodb_prefix, mongodb_client, tmp_path / "backup")
    chats = mongodb_client[f"{mongodb_prefix}transcripts"]
    chats["entries"].insert_many(
        {"_id": f"c:{n}", "chat_id": "c", "seq": n, "text": WORDS, "at": datetime(2026, 1, 1, tzinfo=UTC)}
        for n in range(2_500)
    )
    chats["entries"].create_indexes(list(INDEXES))
    chats["files.chunks"].insert_many({"n": n, "data": bson.Binary(os.urandom(255 * 1024))} for n in range(8))
    chats.create_collection("notes")
    mongodb_client[f"{mongodb_prefix}presence"]["agents"].insert_one({"_id": "an", "v": bson.Int64(7), "free": 1.5})
    mongodb_client[f"{mongodb_prefix}routing"]["chats"].insert_one({"_id": "c", "state": "assigned", "of": None})
    return filled


def test_what_was_lost_comes_back_byte_for_byte_with_its_indexes(terminal: Terminal) -> None:
    before = terminal.everything()
    terminal.backup()
    for service in ("presence", "routing", "transcripts"):
        terminal.client.drop_database(terminal.prefix + service)
    done = terminal.do("restore", str(terminal.folder))
    assert done.returncode == 0, done.stderr
    assert terminal.everything() == before
    assert re.search(r"^transcripts +entries +2,500 documents", done.stdout, re.M)
    assert "restored 5 collections, 2,510 documents" in done.stdout


def test_a_restore_is_rehearsed_beside_the_databases_in_use(terminal: Terminal) -> None:
    terminal.backup()
    before = terminal.everything()
    assert terminal.do("restore", str(terminal.folder), MONGODB_PREFIX=f"{terminal.prefix}again_").returncode == 0
    assert terminal.everything(f"{terminal.prefix}again_") == before == terminal.everything()


def test_databases_in_use_are_not_touched_unless_asked_to(terminal: Terminal) -> None:
    terminal.backup()
    then = terminal.everything()
    terminal.client[f"{terminal.prefix}routing"]["chats"].insert_one({"_id": "later"})
    terminal.client[f"{terminal.prefix}routing"]["other"].insert_one({"_id": "later"})
    now = terminal.everything()
    assert "--drop" in terminal.refused("restore", str(terminal.folder))
    assert terminal.everything() == now
    assert terminal.do("restore", str(terminal.folder), "--drop").returncode == 0
    assert terminal.everything() == then


def flip(folder: Path, prefix: str) -> None:
    file = folder / f"{prefix}transcripts" / "entries.bson"
    with file.open("r+b") as opened:
        opened.seek(1_000)
        byte = opened.read(1)
        opened.seek(1_000)
        opened.write(bytes([byte[0] ^ 1]))


def shorten(folder: Path, prefix: str) -> None:
    file = folder / f"{prefix}transcripts" / "entries.bson"
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 1)


def lose(folder: Path, prefix: str) -> None:
    (folder / f"{prefix}presence" / "agents.metadata.json").unlink()


def leave_unfinished(folder: Path, prefix: str) -> None:
    (folder / "manifest.json").unlink()


def garble(folder: Path, prefix: str) -> None:
    (folder / "manifest.json").write_text('{"format": 1, "files": 3}')


def be_of_later(folder: Path, prefix: str) -> None:
    (folder / "manifest.json").write_text('{"format": 3}')


@pytest.mark.parametrize("harm", [flip, shorten, lose, leave_unfinished, garble, be_of_later])
def test_a_damaged_backup_is_refused_before_anything_is_deleted(
    terminal: Terminal, harm: Callable[[Path, str], None]
) -> None:
    terminal.backup()
    before = terminal.everything()
    harm(terminal.folder, terminal.prefix)
    assert str(terminal.folder) in terminal.refused("restore", str(terminal.folder), "--drop")
    assert terminal.everything() == before


def test_what_the_database_refuses_is_reported_without_what_participants_wrote(terminal: Terminal) -> None:
    """An index that the documents contradict: the server's own words quote one of them."""
    terminal.backup()
    path = f"{terminal.prefix}transcripts/entries.metadata.json"
    text = (terminal.folder / path).read_text().replace('"chat_id"', '"text"').replace('"seq": {"$numberInt": "1"}', "")
    (terminal.folder / path).write_text(text.replace('"1"}, }', '"1"}}'))
    manifest = json.loads((terminal.folder / "manifest.json").read_text())
    data = (terminal.folder / path).read_bytes()
    manifest["files"][path] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (terminal.folder / "manifest.json").write_text(json.dumps(manifest))
    line = terminal.refused("restore", str(terminal.folder), MONGODB_PREFIX=f"{terminal.prefix}again_")
    assert "code 11000" in line


def test_a_folder_that_holds_anything_is_not_written_into(terminal: Terminal) -> None:
    terminal.folder.mkdir()
    (terminal.folder / "thesis.txt").write_text("mine")
    assert "not empty" in terminal.refused("backup", str(terminal.folder))
    assert "cannot be used" in terminal.refused("backup", str(terminal.folder / "thesis.txt" / "below"))
    assert [file.name for file in terminal.folder.iterdir()] == ["thesis.txt"]


def test_only_its_owner_may_read_it(terminal: Terminal) -> None:
    terminal.backup()
    for path in (terminal.folder, *terminal.folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_it_is_what_mongodump_writes(terminal: Terminal) -> None:
    """As MongoDB's own tools have it: rows of documents, and canonical extended JSON beside them."""
    terminal.backup()
    folder = terminal.folder / f"{terminal.prefix}transcripts"
    assert sorted(file.name for file in folder.iterdir()) == [
        *("entries.bson", "entries.metadata.json"),
        *("files.chunks.bson", "files.chunks.metadata.json"),
        *("notes.bson", "notes.metadata.json"),
    ]
    rows = bson.decode_all((folder / "entries.bson").read_bytes())
    assert [row["seq"] for row in rows] == list(range(2_500))
    metadata = json.loads((folder / "entries.metadata.json").read_text())
    assert metadata["collectionName"] == "entries"
    assert metadata["type"] == "collection"
    assert re.fullmatch(r"[0-9a-f]{32}", metadata["uuid"])
    indexes = {index["name"]: index for index in metadata["indexes"]}
    assert indexes["_id_"]["key"] == {"_id": {"$numberInt": "1"}}
    assert indexes["log"]["key"] == {"chat_id": {"$numberInt": "1"}, "seq": {"$numberInt": "1"}}
    assert indexes["log"]["unique"] is True
    assert indexes["expiry"]["expireAfterSeconds"] == {"$numberInt": "0"}


class FindListener(monitoring.CommandListener):
    """What was asked of the server for reading documents."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.asked.append((event.database_name, event.command["find"], event.command.get("readConcern")))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def test_everything_is_asked_for_as_of_one_moment(terminal: Terminal) -> None:
    finds = FindListener()
    terminal.folder.mkdir()
    with pymongo.MongoClient[dict[str, Any]](terminal.url, event_listeners=[finds]) as client:
        dump(client, terminal.prefix, terminal.folder, lambda *_: None)
    assert len(finds.asked) == 5
    assert {concern["level"] for _, _, concern in finds.asked} == {"snapshot"}
    assert len({str(concern["atClusterTime"]) for _, _, concern in finds.asked[1:]}) == 1


def test_its_memory_does_not_grow_with_what_there_is(terminal: Terminal, tmp_path: Path) -> None:
    def peak(*arguments: str, **environ: str) -> int:
        done = terminal.run(("-c", MEASURED), *arguments, **environ)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[-1]) // 1024

    other = f"{terminal.prefix}again_"
    small = peak("backup", str(tmp_path / "a")), peak("restore", str(tmp_path / "a"), MONGODB_PREFIX=other)
    chunks = terminal.client[f"{terminal.prefix}transcripts"]["files.chunks"]
    for _ in range(7):
        chunks.insert_many({"data": bson.Binary(os.urandom(255 * 1024))} for _ in range(40))
    large = peak("backup", str(tmp_path / "b")), peak("restore", str(tmp_path / "b"), "--drop", MONGODB_PREFIX=other)
    assert (tmp_path / "b" / f"{terminal.prefix}transcripts" / "files.chunks.bson").stat().st_size > 70 << 20
    assert large[0] - small[0] < 40
    assert large[1] - small[1] < 40


def test_where_nothing_is_there_is_nothing_to_back_up(terminal: Terminal) -> None:
    assert "nothing to back up" in terminal.refused("backup", str(terminal.folder), MONGODB_PREFIX="nobody_")
    assert not terminal.folder.exists()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", "mongodb://["]
)
def test_without_a_database_it_says_so(terminal: Terminal, url: str) -> None:
    assert re.search("MONGODB_URL|does not answer", terminal.refused("backup", str(terminal.folder), MONGODB_URL=url))


def test_nonsense_is_not_understood(terminal: Terminal) -> None:
    assert terminal.do("backup").returncode == 2
    assert terminal.do("restore", "a", "b").returncode == 2


# ── without MONGODB_URL: the data of `make run` ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Data as `make run` leaves them: it is stopped."""
    with (
        running_database(tmp_path / "run") as url,
        pymongo.MongoClient[dict[str, Any]](url, journal=True) as client,
    ):
        client["transcripts"]["entries"].insert_many([{"_id": f"c:{n}", "text": WORDS} for n in range(10)])
    return tmp_path / "run"


def ids(home: Path) -> list[str]:
    with running_database(home) as url, pymongo.MongoClient[dict[str, Any]](url) as client:
        return [row["_id"] for row in client["transcripts"]["entries"].find()]


def test_the_data_of_make_run_is_backed_up_and_restored_while_it_is_stopped(terminal: Terminal, home: Path) -> None:
    variables = {"MONGODB_URL": "", "MONGODB_PREFIX": "", "DATA_DIR": str(home)}
    done = terminal.do("backup", str(terminal.folder), **variables)
    assert done.returncode == 0, done.stderr
    assert terminal.do("restore", str(terminal.folder), "--drop", **variables).returncode == 0
    assert ids(home) == [f"c:{n}" for n in range(10)]
    fresh = home.parent / "fresh"
    assert terminal.do("restore", str(terminal.folder), **{**variables, "DATA_DIR": str(fresh)}).returncode == 0
    assert ids(fresh) == [f"c:{n}" for n in range(10)]


def test_while_make_run_is_running_it_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    held = preflight.lock(tmp_path / "run")
    assert not isinstance(held, Refusal)
    with held:
        line = terminal.refused("backup", str(terminal.folder), MONGODB_URL="", DATA_DIR=str(tmp_path / "run"))
    assert "stop it" in line


def receipt(act: str, chat_id: str, at: datetime, **more: Any) -> str:
    made = {"id": f"{act}-{chat_id}-{at:%d}", "act": act, "chat_id": chat_id, "by": "griffie", "reason": "verzoek"}
    return json.dumps({**made, "at": at.isoformat(), **more})


def test_the_erasure_list_is_applied_after_a_restore_and_a_damaged_one_before_anything_else(terminal: Terminal) -> None:
    day = datetime(2026, 11, 1, tzinfo=UTC)
    chats = terminal.client[f"{terminal.prefix}transcripts"]["chats"]
    chats.insert_many({"_id": chat, "department": "algemeen"} for chat in ("c", "held", "free"))
    terminal.backup()
    before = terminal.everything()
    acts = terminal.folder.parent / "erasures.jsonl"
    acts.write_text("no receipt\n")
    assert "line 1 is no receipt" in terminal.refused("restore", str(terminal.folder), "--drop", f"--erased={acts}")
    assert terminal.everything() == before
    until = (day + timedelta(days=99)).isoformat()
    lines = [
        receipt("erase", "c", day),
        *(receipt("hold", chat, day, until=until) for chat in ("held", "free")),
        receipt("lift", "free", day + timedelta(days=1)),
    ]
    acts.write_text("\n".join(lines) + "\n")
    done = terminal.do("restore", str(terminal.folder), "--drop", f"--erased={acts}")
    assert done.returncode == 0, done.stderr
    assert "1 chats were erased again, 1 are on hold" in done.stdout
    assert {d["_id"]: "hold" in d for d in chats.find({})} == {"held": True, "free": False}
    database = terminal.client[f"{terminal.prefix}transcripts"]
    assert database["entries"].count_documents({}) == 0
    assert [d["_id"] for d in database["erased"].find({})] == ["c"]
    assert database["receipts"].count_documents({}) == 4
    assert terminal.client[f"{terminal.prefix}routing"]["chats"].count_documents({}) == 0

    # What the databases know that are deleted now is applied too, without a list.
    done = terminal.do("restore", str(terminal.folder), "--drop")
    assert "no erasure list is given" in done.stderr
    assert "1 chats were erased again, 1 are on hold" in done.stdout
