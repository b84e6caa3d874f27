"""What an installation requests of a cluster in all, pods that operators make too. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from deploy.manifests.objects import Object, of_kind, pod_spec

_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
GIB = 2.0**30


class Size(NamedTuple):
    """Cores, and bytes of memory."""

    cores: float
    memory: float

    def __str__(self) -> str:
        """Return it as operators read it: `1.52 CPU, 4.75 GiB`."""
        return f"{self.cores:.2f} CPU, {self.memory / GIB:.2f} GiB"


MOST = {"small": Size(2.0, 5 * GIB)}
"""What an overlay promises to request at most."""
# The defaults of MongoDB's operator for a container of a member that names no resources.
MONGODB_DEFAULT = {"requests": {"cpu": "0.5", "memory": "400M"}}
MONGODB_INIT = ("mongod-posthook", "mongodb-agent-readinessprobe")
MONGODB_CONTAINERS = ("mongod", "mongodb-agent")


def problems(objects: Sequence[Object], overlay: str) -> list[str]:
    """Return a line when an overlay requests more than it promises."""
    size, most = total(objects), MOST.get(overlay)
    if most and (size.cores > most.cores or size.memory > most.memory):
        return [f"requests {size}: more than {most}"]
    return []


def total(objects: Sequence[Object]) -> Size:
    """Return the sum of what all pods request, with the fewest replicas that the autoscalers allow."""
    sizes = list(_sizes(objects))
    return Size(sum(size.cores for size in sizes), sum(size.memory for size in sizes))


def _sizes(objects: Sequence[Object]) -> Iterator[Size]:
    fewest = {
        scaler["spec"]["scaleTargetRef"]["name"]: scaler["spec"].get(
            "minReplicas", scaler["spec"].get("minReplicaCount")
        )
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for scaler in of_kind(objects, kind).values()
    }
    for name, thing in of_kind(objects, "Deployment").items():
        spec = pod_spec(thing)
        yield _times(
            _pod(spec["containers"], spec.get("initContainers", ())),
            fewest.get(name) or thing["spec"].get("replicas", 1),
        )
    for thing in of_kind(objects, "CronJob").values():
        yield _pod(pod_spec(thing)["containers"], ())
    for thing in of_kind(objects, "RabbitmqCluster").values():
        yield _times(_pod([thing["spec"]], ()), thing["spec"].get("replicas", 1))
    for thing in of_kind(objects, "MongoDBCommunity").values():
        spec = thing["spec"]["statefulSet"]["spec"].get("template", {}).get("spec", {})
        yield _times(
            _pod(
                _named(MONGODB_CONTAINERS, spec.get("containers", ())),
                _named(MONGODB_INIT, spec.get("initContainers", ())),
            ),
            thing["spec"]["members"],
        )
    for thing in of_kind(objects, "OpenTelemetryCollector").values():
        yield _times(_pod([thing["spec"]], ()), thing["spec"].get("replicas", 1))


def _named(names: Sequence[str], given: Sequence[Object]) -> list[Object]:
    known = {one["name"]: one for one in given}
    return [
        known.get(name, {}) if known.get(name, {}).get("resources") else {"resources": MONGODB_DEFAULT}
        for name in names
    ]


def _pod(containers: Sequence[Object], before: Sequence[Object]) -> Size:
    """Return what a pod requests: its containers together, or one that runs before them, whichever is more."""
    parts = [_of(one) for one in containers]
    first = [_of(one) for one in before]
    return Size(
        max([sum(p.cores for p in parts), *(p.cores for p in first)]),
        max([sum(p.memory for p in parts), *(p.memory for p in first)]),
    )


def _of(container: Object) -> Size:
    requests = container.get("resources", {}).get("requests", {})
    return Size(quantity(requests.get("cpu", 0)), quantity(requests.get("memory", 0)))


def _times(size: Size, number: int) -> Size:
    return Size(size.cores * number, size.memory * number)


def quantity(text: object) -> float:
    """Return a quantity of Kubernetes as a number, in cores or bytes.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|k|M|G|Ki|Mi|Gi)?", str(text))
    if not match:
        raise ValueError(f"{text} is no quantity")
    return float(match[1]) * _UNITS[match[2] or ""]
