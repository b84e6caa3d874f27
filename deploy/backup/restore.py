"""Writes a backup into empty databases, and counts the documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bson import SON, json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from deploy.backup import archive as disk
from deploy.backup.archive import Manifest
from deploy.backup.dump import SERVICES, Client, Show
from deploy.local.settings import Refusal

ROUND = 8 << 20  # bytes of documents of one insert
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
ORDERED = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, document_class=SON)


def not_empty(client: Client, prefix: str) -> list[str]:
    """Return the services' databases that contain anything."""
    names = [prefix + service for service in SERVICES]
    return [name for name in names if client[name].list_collection_names()]


def restore(client: Client, prefix: str, folder: Path, manifest: Manifest, show: Show) -> Refusal | None:
    """Fill the databases (`prefix` + service), which must be empty, from a folder that `check` found intact.

    Each document is written byte for byte as it was. Indexes are created last, so that no TTL index deletes an expired
    document before it was counted.

    Returns:
        A refusal when a collection has another number of documents; else None.

    Raises:
        PyMongoError: The write failed, and the databases are incomplete.
        OSError: The folder cannot be read, and the databases are incomplete.
    """
    for database, path in manifest.collections:
        service = database.removeprefix(manifest.prefix)
        name = unquote(Path(path).name.removesuffix(".bson"))
        metadata = json_util.loads((folder / disk.metadata_path(path)).read_text(), json_options=ORDERED)
        target = client[prefix + service]
        target.command(SON([("create", name), *metadata["options"].items()]))
        _fill(target.with_options(codec_options=RAW)[name], folder / path)
        there, wanted = target[name].count_documents({}), manifest.files[path].documents
        if there != wanted:
            return Refusal(f"{prefix + service}.{name} has {there} documents and not {wanted}: is somebody writing?")
        show(service, name, manifest.files[path])
    for database, path in manifest.collections:
        _make_indexes(client, prefix + database.removeprefix(manifest.prefix), folder / disk.metadata_path(path))
    return None


def drop(client: Client, prefix: str) -> None:
    """Delete the services' databases."""
    for service in SERVICES:
        client.drop_database(prefix + service)


def _fill(collection: Collection[RawBSONDocument], file: Path) -> None:
    with file.open("rb") as opened:
        rows = disk.documents(opened)
        while some := list(_round(rows)):
            collection.insert_many(some, ordered=False)


def _round(rows: Iterator[bytes]) -> Iterator[RawBSONDocument]:
    size = 0
    for row in rows:
        size += len(row)
        yield RawBSONDocument(row)
        if size >= ROUND:
            return


def _make_indexes(client: Client, database: str, metadata: Path) -> None:
    stored = json_util.loads(metadata.read_text(), json_options=ORDERED)
    indexes: list[Any] = [index for index in stored["indexes"] if index["name"] != "_id_"]
    if indexes:
        client[database].command(SON([("createIndexes", stored["collectionName"]), ("indexes", indexes)]))
