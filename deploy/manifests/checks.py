"""Everything that is asked of one build. No I/O but reading schemas."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.manifests import consistency, environment, network_policies, schemas
from deploy.manifests.objects import Object


def problems(objects: Sequence[Object]) -> list[str]:
    """One line for each thing that does not fit."""
    return [line for check in (schemas, consistency, network_policies, environment) for line in check.problems(objects)]
