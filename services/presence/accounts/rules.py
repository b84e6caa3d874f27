"""RULES of changes of accounts: what administrators see and give, and what is wrong with it. No I/O."""

from __future__ import annotations

import re
import secrets
from collections.abc import Container, Mapping
from typing import Any
from unicodedata import category

from services.common.config.departments import LOCALES
from services.common.internal_api.accounts import AccountForm, Role
from services.presence.agents.accounts import USERNAME, Account
from services.presence.agents.roles import MOST_CAPACITY

FIELDS = ("name", "role", "departments", "capacity", "locales", "break_glass")
"""The fields of a form, in the order of the page."""
_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without those that look alike
_NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")  # control characters and ends of lines
PASSWORD = 20  # characters of a password that is made


def is_username(text: str) -> bool:
    """Return whether an account may have this username."""
    return re.fullmatch(USERNAME, text) is not None


def new_password() -> str:
    """Return a random password, with more than 110 bits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(PASSWORD))


def view_of(account: Account) -> dict[str, Any]:
    """Return what administrators see of an account, and what the history has of it: never a hash or a secret."""
    role: Role = account.role or ("supervisor" if account.supervisor else "agent")
    return {
        "name": account.name,
        "role": role,
        "departments": list(account.departments),
        "capacity": 0 if account.role else account.capacity,
        "locales": list(account.locales),
        "break_glass": account.break_glass,
        "disabled": account.disabled,
        "totp": account.totp_secret is not None,
    }


def form_of(view: dict[str, Any]) -> AccountForm:
    """Return the form of a view."""
    return AccountForm(**{name: view[name] for name in FIELDS})


def fault_of(form: AccountForm, departments: Container[str], has_second_factor: bool) -> tuple[str, str, str] | None:
    """Return what is wrong with a form: a stable code, the field and the words; None: nothing.

    Args:
        form: The form.
        departments: The departments that exist.
        has_second_factor: Whether the account has a secret for one-time passwords.
    """
    if (
        not form.name.strip()
        or len(form.name.strip()) > 100
        or any(category(one) in _NOT_IN_NAMES for one in form.name)
    ):
        return "name_wrong", "name", "Give a name of at most 100 characters, in one line."
    if form.break_glass and not has_second_factor:
        return "second_factor_missing", "break_glass", "An account for emergencies needs one-time passwords first."
    if form.role in ("administrator", "auditor"):
        return None
    if not form.departments:
        return "department_missing", "departments", "Choose at least one department."
    if any(one not in departments for one in form.departments):
        return "department_unknown", "departments", "One of the departments does not exist (any more)."
    least = 0 if form.role == "supervisor" else 1
    if not least <= form.capacity <= MOST_CAPACITY:
        return "capacity_wrong", "capacity", f"Give a number of chats from {least} to {MOST_CAPACITY}."
    if not form.locales or any(one not in LOCALES for one in form.locales):
        return "locale_wrong", "locales", "Choose at least one of the languages."
    return None


def members_of(form: AccountForm) -> dict[str, Any]:
    """Return the members of an account that a form without faults gives. What an officer does not have is left out."""
    members: dict[str, Any] = {"name": form.name.strip(), "break_glass": form.break_glass}
    if form.role in ("administrator", "auditor"):
        return members | {"role": form.role}
    return members | {
        "departments": tuple(dict.fromkeys(form.departments)),
        "capacity": form.capacity,
        "supervisor": form.role == "supervisor",
        "locales": tuple(dict.fromkeys(form.locales)),
    }


def differing(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of two views that differ, as they were and as they are. An empty view: there is no account."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def may_administer(account: Account | None, only_break_glass: bool) -> bool:
    """Return whether an administrator can log in with this account.

    `only_break_glass`: other accounts have to use the issuer.
    """
    return account is not None and administers(view_of(account), only_break_glass)


def administers(view: Mapping[str, Any], only_break_glass: bool) -> bool:
    """Return whether an administrator can log in with the account of this view."""
    if view["role"] != "administrator" or view["disabled"]:
        return False
    return bool(view["break_glass"]) or not only_break_glass
