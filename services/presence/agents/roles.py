"""RULES of roles: what an account of an agent, and one of an officer, may have. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.common.internal_api.presence import OfficerRole

MOST_CAPACITY = 50  # chats of one agent at a time


@dataclass(frozen=True)
class Officer:
    """A person who logs in without being an agent. They have no state, no slots and no departments."""

    id: str
    username: str
    name: str
    role: OfficerRole


def require_consistent(
    role: OfficerRole | None, departments: Sequence[str], capacity: int, supervisor: bool, capacity_given: bool
) -> None:
    """Check that an account, or a role of an issuer, is one of an agent or one of an officer.

    Args:
        role: The role of an officer, or None.
        departments: The departments that it serves.
        capacity: Chats at a time.
        supervisor: Whether it is a supervisor's.
        capacity_given: Whether the file names the capacity.

    Raises:
        ValueError: It is neither.
    """
    if role is None:
        if not departments:
            raise ValueError("departments: at least one is needed, except with role = auditor or administrator")
        if capacity == 0 and not supervisor:
            raise ValueError("capacity = 0 is for a supervisor who takes no chats")
        return
    if departments or supervisor or (capacity_given and capacity):
        raise ValueError(f"role = {role} has no departments and no capacity, and is no supervisor")
