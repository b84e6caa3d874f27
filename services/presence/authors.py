"""Who may change the configuration that presence stores: an administrator, or the operator with a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from services.common.http.problems import Problem
from services.common.http.service_tokens import Caller
from services.common.http.tokens import OPERATOR
from services.common.internal_api.configuration import Author, AuthorRole


def known_author(stored: Mapping[str, Any]) -> Author:
    """Return the author of a stored change. One with a role that only a later release knows is an administrator here.

    Raises:
        ValidationError: It is no author.
    """
    role = stored.get("role")
    return Author.model_validate({**stored, "role": role if role in get_args(AuthorRole) else "administrator"})


def require_author(asks: Caller, by: Author) -> None:
    """Check that the author of a change is who asks: an administrator, or the operator.

    Raises:
        Problem: 403 `forbidden`.
    """
    asks.require_agent(by.id, role="administrator")
    if (by.role == "operator") != (asks.service == OPERATOR):
        raise Problem(403, "forbidden", "The author of a change is the administrator or the operator who asks.")
