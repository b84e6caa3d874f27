"""The accounts of agents for a system under test, all with the password `demo`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import argon2


@dataclass(frozen=True)
class Account:
    """An agent, a supervisor, or with a `role` an officer; `name` is the username with a capital."""

    username: str
    capacity: int = 1
    departments: Sequence[str] = ("algemeen", "premies")
    supervisor: bool = False
    role: str = ""

    @property
    def name(self) -> str:
        return self.username.title()


@cache
def weak_hash(password: str = "demo") -> str:
    """A hash that is checked quickly: logging in is not what is tested."""
    return argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(password)


def write_accounts(file: Path, accounts: Iterable[Account]) -> Path:
    """Write the accounts file, the value of ACCOUNTS_FILE."""
    file.write_text("\n".join(_table(account) for account in accounts))
    return file


def _table(account: Account) -> str:
    departments = ", ".join(f'"{department}"' for department in account.departments)
    rows = [
        "[[accounts]]",
        f'username = "{account.username}"',
        f'name = "{account.name}"',
        *([f'role = "{account.role}"'] if account.role else []),
        *([] if account.role else [f"departments = [{departments}]", f"capacity = {account.capacity}"]),
        f'password_hash = "{weak_hash()}"',
        *(["supervisor = true"] if account.supervisor else []),
    ]
    return "\n".join(rows) + "\n"
