"""What an error of the database or of the disk means to the operator."""

from __future__ import annotations

from pathlib import Path

from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.settings import Refusal

TOO_OLD = 239
HINTS = {
    TOO_OLD: "the reading took longer than the server keeps a moment: raise minSnapshotHistoryWindowInSeconds, or use "
    "mongodump --oplog",
    123: "the server is no replica set, so it cannot be read as of one moment",
    13: "the user of MONGODB_URL has not the right to do that",
    18: "the user or the password of MONGODB_URL is wrong",
}
"""Advice by error code of the server (SnapshotTooOld, NotAReplicaSet, Unauthorized, AuthenticationFailed)."""


def explain(error: PyMongoError | ValueError | OSError, folder: Path) -> Refusal:
    """Return the refusal for an error that ended a backup or a restore of this folder."""
    if isinstance(error, OperationFailure):
        return Refusal(HINTS.get(error.code or 0, f"the database does not do it ({_kind(error)})"))
    if isinstance(error, OSError):
        return Refusal(f"{error.filename or folder}: {error.strerror}")
    return Refusal(f"the database does not answer, or MONGODB_URL is wrong ({type(error).__name__})")


def _kind(error: OperationFailure) -> str:
    """Return the server's name of the error and its code; never its text, which may quote what a participant wrote."""
    name = (error.details or {}).get("codeName") or type(error).__name__
    return f"{name}, code {error.code}"
