"""All checks of one build. No I/O except reading schemas."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.manifests.checks import (
    consistency,
    encryption,
    environment,
    front_door,
    installation,
    network_policies,
    schemas,
)
from deploy.manifests.objects import Object, for_cities


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each problem."""
    checks = [schemas, consistency, installation, network_policies, environment, encryption]
    checks += [] if for_cities(objects) else [front_door]
    return [line for check in checks for line in check.problems(objects)]
