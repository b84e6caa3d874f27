"""The accounts that this process holds, where `CONFIG_SOURCE` is `database`.

The watch of the configuration compares their revisions. So what it reads has no hash and no secret.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import IO, Literal

import structlog

from services.common.config.departments import Departments
from services.presence.accounts.store import StoredAccount
from services.presence.agents.accounts import Account

log = structlog.get_logger()


class HeldAccounts:
    """The newest accounts that this process knows."""

    def __init__(self) -> None:
        self.revisions: dict[str, int] | None = None
        """The revisions by username; None: nothing is known yet."""
        self.accounts: tuple[Account, ...] = ()

    def __str__(self) -> str:
        """Return how messages name them."""
        return "of the database"

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Return the revisions."""
        known = sorted((self.revisions or {}).items())
        return io.BytesIO("".join(f"{username} {revision}\n" for username, revision in known).encode())

    def take(self, found: Sequence[StoredAccount], revisions: Mapping[str, int]) -> None:
        """Hold these accounts, which are all that this release can read.

        Args:
            found: The accounts.
            revisions: The revisions of all by username, also of those that it cannot read.
        """
        self.accounts = tuple(one.account for one in found if one.account is not None)
        self.revisions = dict(revisions)


def without_unknown_departments(accounts: Sequence[Account], departments: Departments) -> tuple[Account, ...]:
    """Return the accounts without departments that do not exist. An account that serves no other one is disabled.

    A change of the departments and one of an account may each be valid alone, and not together.
    """
    found = []
    for account in accounts:
        served = tuple(id_ for id_ in account.departments if departments.get(id_) is not None)
        if served != account.departments:
            log.error("account_serves_no_such_department", account_id=account.id)
            account = account.model_copy(update={"departments": served, "disabled": account.disabled or not served})
        found.append(account)
    return tuple(found)
