"""The job of the cluster: makes an encrypted backup and removes old ones (component `backup`, docs/backup.md).

It knows only the certificate, so it cannot read what it has written. Each backup has a folder of its own, whose name is
its time in UTC. Settings: MONGODB_URL, MONGODB_PREFIX, BACKUP_FOLDER, BACKUP_CERTIFICATE (a PEM file), BACKUP_DAYS.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pymongo.errors import PyMongoError

from deploy.backup import archive as disk
from deploy.backup import encryption
from deploy.backup.dump import Client, connect, dump, print_collection
from deploy.backup.encryption import NotEncrypted
from deploy.backup.errors import explain
from deploy.local.settings import Refusal

NAME = "%Y%m%dT%H%M%SZ"
UNFINISHED = "unfinished-"
ABANDONED = timedelta(days=1)
"""The age at which nobody writes into an unfinished backup any more: the job is ended long before."""


def main() -> int:
    """Run the job once. Return 0 when a backup was made and old ones were removed, 1 when one of them failed."""
    os.umask(0o077)
    refusals = [found for found in (_backup(os.environ), _prune(os.environ)) if found]
    for refusal in refusals:
        print(f"refused: {refusal.text}", file=sys.stderr)
    return 1 if refusals else 0


def _backup(environ: Mapping[str, str]) -> Refusal | None:
    folder = Path(environ.get("BACKUP_FOLDER", ""))
    try:
        with connect(environ["MONGODB_URL"]) as client:
            made = make(client, environ.get("MONGODB_PREFIX", ""), Path(environ["BACKUP_CERTIFICATE"]), folder)
    except KeyError as error:
        return Refusal(f"{error.args[0]} is not set")
    except NotEncrypted as error:
        return Refusal(f"BACKUP_CERTIFICATE is not the certificate of an RSA key ({error})")
    except (PyMongoError, ValueError, OSError) as error:
        return explain(error, folder)
    if isinstance(made, Refusal):
        return made
    print(f"backed up in {made}")
    return None


def make(client: Client, prefix: str, certificate: Path, folder: Path) -> Path | Refusal:
    """Make an encrypted backup below the folder. Return its own folder, or a refusal.

    What is not yet encrypted is in a temporary folder (TMPDIR), which is deleted in any case.

    Raises:
        NotEncrypted: The certificate cannot be used.
        PyMongoError: The databases cannot be read.
        OSError: A folder cannot be written.
    """
    certificate.read_bytes()
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
    try:
        with tempfile.TemporaryDirectory(prefix="backup-") as plain:
            manifest = dump(client, prefix, Path(plain), print_collection)
            if not manifest.collections:
                return Refusal(f"there is nothing to back up: no database called {prefix}transcripts or the like")
            encryption.encrypt(Path(plain), manifest, certificate, unfinished)
        finished = folder / datetime.fromisoformat(manifest.made_at).strftime(NAME)
        unfinished.rename(finished)
        return finished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _prune(environ: Mapping[str, str]) -> Refusal | None:
    days, folder = environ.get("BACKUP_DAYS", ""), Path(environ.get("BACKUP_FOLDER", ""))
    if not re.fullmatch(r"[1-9][0-9]{0,4}", days):
        return Refusal(f"BACKUP_DAYS={days} is not a number of days: give 1 or more; no backup was removed")
    try:
        for removed in prune(folder, int(days), datetime.now(UTC)):
            print(f"removed {removed}")
    except OSError as error:
        return explain(error, folder)
    return None


def prune(folder: Path, days: int, now: datetime) -> list[Path]:
    """Remove backups that are older than so many days, and unfinished ones that nobody writes any more.

    The newest backup whose files are intact stays, whatever its age. When none is intact, all finished ones stay.

    Returns:
        The folders that were removed.

    Raises:
        OSError: One cannot be read or removed.
    """
    finished = sorted((path for path in folder.iterdir() if _made_at(path)), reverse=True)
    good = next((path for path in finished if _is_intact(path)), None)
    old = [path for path in finished if good and path != good and now - (_made_at(path) or now) > timedelta(days=days)]
    old += [
        path
        for path in folder.glob(f"{UNFINISHED}*")
        if now - datetime.fromtimestamp(path.stat().st_mtime, UTC) > ABANDONED
    ]
    for path in old:
        shutil.rmtree(path)
    return old


def _made_at(path: Path) -> datetime | None:
    """Return the time in the name of a backup; None when the name has none."""
    try:
        return datetime.strptime(path.name, NAME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _is_intact(folder: Path) -> bool:
    manifest = disk.read_manifest(folder)
    return not isinstance(manifest, Refusal) and disk.check(folder, manifest) is None


if __name__ == "__main__":
    sys.exit(main())
