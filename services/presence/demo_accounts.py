"""The demonstration accounts, with a password that everyone knows. No image has this module unless it is built for it.

`make run` uses it, and images that are built with `DEMO=on` (`deploy/Dockerfile`).
"""

from __future__ import annotations

from services.common.config.departments import Departments
from services.presence.agents.accounts import Account
from services.presence.agents.passwords import Passwords

DEPARTMENT = "algemeen"
SUPERVISOR = "sofie"
PASSWORD = "demo"  # noqa: S105 - public by design
_SALT = b"eloket demo salt"  # the password is public; a constant hash lets sessions outlive a restart


async def password_hash(passwords: Passwords) -> str:
    """Return the hash of the password. It is always the same."""
    return await passwords.hash(PASSWORD, _SALT)


def demo_accounts(more: int, departments: Departments, password_hash: str) -> tuple[Account, ...]:
    """Return the accounts `an`, `bert`, `sofie` and `agent1` to `agent<more>`.

    They have this password hash, the department of demonstrations and capacity 1. `sofie` is a supervisor.
    """
    known = departments.get(DEPARTMENT)
    names = [("an", "An"), ("bert", "Bert"), (SUPERVISOR, "Sofie")]
    names += [(f"agent{n}", f"Agent {n}") for n in range(1, more + 1)]
    return tuple(
        Account(
            username=username,
            name=name,
            password_hash=password_hash,
            departments=(known.id if known else departments.default,),
            supervisor=username == SUPERVISOR,
        )
        for username, name in names
    )
