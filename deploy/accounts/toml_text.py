"""Changes of the text of an accounts file that leave everything else in it as it is, comments too. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from services.common.config import toml_text
from services.common.config.toml_text import CannotEdit

__all__ = ["CannotEdit", "Value", "added", "changed"]

Value = str | int | bool | list[str]


def added(text: str, account: Mapping[str, Value]) -> str:
    """Return the text with one more account, at its end.

    Args:
        text: A valid TOML document.
        account: The members of the account.

    Raises:
        CannotEdit: The result would not be the file with this account.
    """
    return toml_text.added(text, "accounts", account)


def changed(text: str, username: str, changes: Mapping[str, Value | None]) -> str:
    """Return the text with changes of one account.

    Args:
        text: A valid TOML document.
        username: Whose account it is.
        changes: The members to set; None: to remove.

    Raises:
        CannotEdit: There is no account of this name, or the result would not be the file with these changes.
    """
    return toml_text.changed(text, "accounts", "username", username, changes)
