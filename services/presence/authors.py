"""Who may change the configuration that presence stores: an administrator, or the operator with a command."""

from __future__ import annotations

from services.common.http.problems import Problem
from services.common.http.service_tokens import Caller
from services.common.http.tokens import OPERATOR
from services.common.internal_api.configuration import Author


def require_author(asks: Caller, by: Author) -> None:
    """Check that the author of a change is who asks: an administrator, or the operator.

    Raises:
        Problem: 403 `forbidden`.
    """
    asks.require_agent(by.id, role="administrator")
    if (by.role == "operator") != (asks.service == OPERATOR):
        raise Problem(403, "forbidden", "The author of a change is the administrator or the operator who asks.")
