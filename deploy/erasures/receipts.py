"""The erasure list: a file of receipts, one JSON object in each line, that a restore applies (docs/backup.md).

A backup holds what was erased after it was made. The list is therefore kept apart from the databases.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from services.common.internal_api.erasures import Receipt


class NotAList(Exception):
    """The file cannot be read as an erasure list; the exception names the line."""


def append(path: Path, receipts: Iterable[Receipt]) -> None:
    """Add receipts at the end of the list, durably. Those that it has already are left out.

    Raises:
        OSError: The file cannot be written.
        NotAList: It has a line that is no receipt.
    """
    known = {receipt.id for receipt in read(path)} if path.exists() else set()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
        for receipt in receipts:
            if receipt.id not in known:
                file.write(receipt.model_dump_json(exclude_none=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Receipt]:
    """Return the receipts of a list in order.

    Raises:
        OSError: The file cannot be read.
        NotAList: It has a line that is no receipt.
    """
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            found.append(Receipt.model_validate_json(line))
        except ValidationError:
            raise NotAList(f"{path}: line {number} is no receipt of `make erase`") from None
    return found


def to_apply(receipts: Iterable[Receipt]) -> tuple[dict[str, Receipt], dict[str, Receipt]]:
    """Return the last erasure of each chat that was erased, and the holds that are in force at the end of the list."""
    erased: dict[str, Receipt] = {}
    holds: dict[str, Receipt] = {}
    for receipt in sorted({r.id: r for r in receipts}.values(), key=lambda r: r.at):
        match receipt.act:
            case "erase":
                erased[receipt.chat_id] = receipt
                holds.pop(receipt.chat_id, None)
            case "hold":
                holds[receipt.chat_id] = receipt
            case "lift":
                holds.pop(receipt.chat_id, None)
    return erased, holds
