"""Backs up what the services keep in MongoDB into a folder, or restores it from one.

The folder has mongodump's format and a manifest with sums. A backup may be made while the services run (at MONGODB_URL:
a replica set); to restore, stop them first. Without MONGODB_URL it is about the data of `make run`, which must be
stopped for both.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import tempfile
from pathlib import Path

from pymongo.errors import PyMongoError

from deploy.backup import archive as disk
from deploy.backup import encryption
from deploy.backup.archive import Manifest
from deploy.backup.dump import Client, connect, dump, print_collection
from deploy.backup.errors import explain
from deploy.backup.restore import drop, not_empty, restore
from deploy.backup.source import Refused, address
from deploy.erasures import receipts, restored
from deploy.erasures.receipts import NotAList
from deploy.local.settings import Refusal
from deploy.refusals import refuse
from services.common.internal_api.erasures import Receipt

ROOT = Path(__file__).resolve().parents[2]
NO_LIST = (
    "note: no erasure list is given (--erased=FILE, or ERASURE_LIST). Chats that were erased by their number after the "
    "backup was made are back, unless the databases that --drop has deleted knew of it"
)


def main() -> int:
    """Run the command. Return 0 when it is done, 1 when it is refused or fails, 2 when the arguments are invalid."""
    options = _parser().parse_args()
    os.umask(0o077)
    folder, prefix = Path(options.folder).absolute(), os.environ.get("MONGODB_PREFIX", "")
    try:
        with address(os.environ, ROOT) as url, connect(url) as client:
            refusal = _backup(client, prefix, folder) if options.command == "backup" else None
            if options.command == "restore":
                key = Path(options.key).absolute() if options.key else None
                listed = options.erased or [path for path in [os.environ.get("ERASURE_LIST")] if path]
                refusal = _restore(client, prefix, folder, options.drop, key, _lists(listed))
                if refusal is None and not listed:
                    print(NO_LIST, file=sys.stderr)
    except NotAList as error:
        refusal = Refusal(f"{error}: nothing was restored")
    except Refused as refused:
        refusal = Refusal(str(refused))
    except (PyMongoError, ValueError, OSError) as error:
        refusal = explain(error, folder)
    return 0 if refusal is None else refuse(refusal.text)


def _backup(client: Client, prefix: str, folder: Path) -> Refusal | None:
    if not not_empty(client, prefix):
        return Refusal(f"there is nothing to back up: no database called {prefix}transcripts or the like")
    if refusal := disk.claim(folder):
        return refusal
    manifest = dump(client, prefix, folder, print_collection)
    print(f"backed up {_size(manifest)} in {folder}")
    return None


def _lists(given: list[str]) -> list[Receipt]:
    """Return the receipts of the erasure lists that are given."""
    return [receipt for path in given for receipt in receipts.read(Path(path))]


def _restore(
    client: Client, prefix: str, folder: Path, dropping: bool, key: Path | None, erased: list[Receipt]
) -> Refusal | None:
    manifest = disk.read_manifest(folder)
    if isinstance(manifest, Refusal):
        return manifest
    if refusal := disk.check(folder, manifest):
        return refusal
    if manifest.encrypted:
        if key is None:
            return Refusal(f"{folder} is encrypted: name the file of the private key, --key=backup.key")
        with tempfile.TemporaryDirectory(prefix="restore-") as plain:
            refusal = encryption.decrypt(folder, manifest, key, _passphrase(key), Path(plain))
            return refusal or _restore(client, prefix, Path(plain), dropping, None, erased)
    if there := not_empty(client, prefix):
        if not dropping:
            names = ", ".join(there)
            return Refusal(f"{names} already there: stop the services, and say --drop to delete what these hold")
        erased = [*erased, *restored.receipts_of(client, prefix)]
        drop(client, prefix)
    if refusal := restore(client, prefix, folder, manifest, print_collection):
        return refusal
    if known := [*erased, *restored.receipts_of(client, prefix)]:
        chats, held = restored.apply(client, prefix, known)
        print(f"applied the erasure list: {chats} chats were erased again, {held} are on hold")
    print(f"restored {_size(manifest)}, as of {manifest.made_at}")
    return None


def _passphrase(key: Path) -> str:
    """Return the passphrase of a private key: BACKUP_PASSPHRASE, else asked for; "" when the key has none."""
    if "ENCRYPTED" not in key.read_text(errors="replace"):
        return ""
    return os.environ.get("BACKUP_PASSPHRASE") or getpass.getpass(f"passphrase of {key}: ")


def _size(manifest: Manifest) -> str:
    return f"{len(manifest.collections)} collections, {manifest.documents:,} documents, {manifest.bytes:,} bytes"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    backing = commands.add_parser("backup", prog="make backup ARGS=…", description=__doc__)
    restoring = commands.add_parser("restore", prog="make restore ARGS=…", description=__doc__)
    backing.add_argument("folder", help="does not exist yet, or is empty")
    restoring.add_argument("folder", help="that `make backup` or the nightly job has written")
    restoring.add_argument("--key", help="the private key of an encrypted backup, a PEM file")
    restoring.add_argument(
        "--erased", action="append", help="an erasure list that is applied (ERASURE_LIST); may be repeated"
    )
    restoring.add_argument("--drop", action="store_true", help="delete what the databases hold now")
    return parser


if __name__ == "__main__":
    sys.exit(main())
