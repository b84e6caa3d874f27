"""Reads the services' databases into a folder, all as of one moment, while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from bson import json_util
from pymongo import MongoClient
from pymongo.client_session import ClientSession

from deploy.backup import archive as disk
from deploy.backup.archive import File, Manifest, Writing

Client = MongoClient[dict[str, Any]]
SERVICES = ("routing", "presence", "transcripts")
"""The services with a database, whose name is `MONGODB_PREFIX` + service."""

BATCH = 1_000  # documents in one answer, which has 16 MiB at most
Show = Callable[[str, str, File], None]


def connect(url: str) -> Client:
    """Return a client of the server that is backed up or restored. Close it after use."""
    return MongoClient(url, appname="backup", serverSelectionTimeoutMS=5_000)


def print_collection(service: str, collection: str, file: File) -> None:
    """Print what was copied of a collection: a `Show`."""
    print(f"{service:<12} {collection:<16} {file.documents or 0:>12,} documents {file.bytes:>16,} bytes", flush=True)


def dump(client: Client, prefix: str, folder: Path, show: Show) -> Manifest:
    """Write all collections of the services into the folder, which `claim` created. Holds one answer at a time.

    Every collection is read as it was at the moment of the first read (MongoDB manual, "Read Concern snapshot", and
    `MongoClient.start_session(snapshot=True)`). The server must be a replica set, and the read must end within its
    `minSnapshotHistoryWindowInSeconds` (300).

    Raises:
        PyMongoError: The read failed, and the backup is not finished.
        OSError: The folder cannot be written, and the backup is not finished.
    """
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(made_at, str(client.server_info()["version"]), prefix)
    names = [(service, name) for service in SERVICES for name in _collections(client, prefix + service)]
    with client.start_session(snapshot=True) as session:
        for service, name in names:
            path, metadata = disk.paths(prefix + service, name)
            manifest.files[metadata] = _metadata(client, prefix + service, name, folder)
            manifest.files[path] = _documents(client, prefix + service, name, folder, session)
            show(service, name, manifest.files[path])
    disk.finish(folder, manifest)
    return manifest


def _collections(client: Client, database: str) -> list[str]:
    found = client[database].list_collection_names(filter={"type": "collection"})
    return sorted(name for name in found if not name.startswith("system."))


def _documents(client: Client, database: str, name: str, folder: Path, session: ClientSession) -> File:
    count = 0
    with Writing(folder, disk.paths(database, name)[0]) as file:
        batches = client[database][name].find_raw_batches({}, batch_size=BATCH, session=session)
        for batch in cast(Iterator[bytes], batches):  # the driver's types say otherwise
            count += sum(1 for _ in disk.lengths(batch))
            file.write(batch)
    return file.file(count)


def _metadata(client: Client, database: str, name: str, folder: Path) -> File:
    """Write the metadata as mongodump does: canonical extended JSON, without the namespace that old servers add."""
    (about,) = client[database].list_collections(filter={"name": name})
    indexes = [{k: v for k, v in index.items() if k != "ns"} for index in client[database][name].list_indexes()]
    metadata = {"options": about.get("options", {}), "indexes": indexes, "collectionName": name, "type": "collection"}
    if uuid := about.get("info", {}).get("uuid"):
        metadata["uuid"] = bytes(uuid).hex()
    with Writing(folder, disk.paths(database, name)[1]) as file:
        file.write(json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS).encode())
    return file.file()
