"""Checks that a build's objects match each other: names, labels, ports, times, images, rights of pods. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from deploy.local.service_programs import DRAIN_SECONDS
from deploy.local.settings import SERVICES
from deploy.manifests.objects import (
    WITHOUT_NAMESPACE,
    Object,
    called,
    container,
    for_cities,
    made_by_operators,
    of_kind,
    ours,
    pod_spec,
    pods,
    selects,
    services,
    templates,
)

NEEDED = ("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy")
SECRET_VARIABLES = (
    "TOKEN_SECRET",
    "TOKEN_SECRET_PREVIOUS",
    "SIGNING_KEY",
    "SECOND_FACTOR_KEYS",
    "TRANSCRIPT_KEY",
    "MONGODB_URL",
    "OIDC_CLIENT_SECRET",
    "CITIZEN_OIDC_CLIENT_SECRET",
    "OIDC_CLIENT_KEYS",
    "CITIZEN_OIDC_CLIENT_KEYS",
)
MADE_BY_HAND = ("backup-certificate", "integrations", "oidc")
"""ConfigMaps that an operator makes (docs/kubernetes.md)."""
RABBITMQ = (4, 3)
PROBES = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
_PINNED = re.compile(r"^[\w./:-]+(:[\w.-]*\d[\w.-]*|@sha256:[0-9a-f]{64})$")
_PASSWORD = re.compile(r"://[^/@$]*:[^/@$]+@")


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each problem."""
    checks = (
        _complete,
        _one_place,
        _scaled_once,
        _selected,
        _ports,
        _pods,
        _pinned,
        _secret,
        _references,
        _roles,
        _members,
        _supported,
        _pulled,
        _started,
    )
    return [line for check in checks for line in check(objects)]


def _complete(objects: Sequence[Object]) -> Iterator[str]:
    if for_cities(objects):
        return
    for name in SERVICES:
        yield from (f"{name} has no {kind}" for kind in NEEDED if name not in of_kind(objects, kind))


def _one_place(objects: Sequence[Object]) -> Iterator[str]:
    """Everything is in one namespace, which enforces the restricted Pod Security Standard."""
    spaces = of_kind(objects, "Namespace")
    for thing in objects:
        if thing["kind"] not in WITHOUT_NAMESPACE and thing["metadata"].get("namespace") not in spaces:
            yield f"{called(thing)} is not in the namespace of the build"
    for thing in spaces.values():
        if thing["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{called(thing)} does not hold its pods to the restricted standard"


def _scaled_once(objects: Sequence[Object]) -> Iterator[str]:
    """Each service has exactly one scaler."""
    scalers = [*of_kind(objects, "HorizontalPodAutoscaler").values(), *of_kind(objects, "ScaledObject").values()]
    for name, deployment in services(objects):
        found = [called(s) for s in scalers if s["spec"]["scaleTargetRef"]["name"] == name]
        if len(found) != 1:
            yield f"{name} is scaled by {' and '.join(found) or 'nothing'}"
        if found and "replicas" in deployment["spec"]:
            yield f"{name} has `replicas`, which each update would set against {found[0]}"  # noqa: S608 - no query
    known = of_kind(objects, "Deployment")
    for scaler in scalers:
        if (target := scaler["spec"]["scaleTargetRef"]["name"]) not in known:
            yield f"{called(scaler)} scales {target}, which is not there"


def _selected(objects: Sequence[Object]) -> Iterator[str]:
    """Each selector selects a pod, and a Deployment selects only its own."""
    labels = {pod.name: pod.labels for pod in pods(objects)}
    for thing in objects:
        if thing["kind"] not in ("Service", "PodDisruptionBudget", "PodMonitor", "NetworkPolicy", "Deployment"):
            continue
        spec = thing["spec"]
        selector = spec["podSelector"] if thing["kind"] == "NetworkPolicy" else spec.get("selector", {})
        selector = {"matchLabels": selector} if thing["kind"] == "Service" else selector
        chosen = [name for name in labels if selects(selector, labels[name])]
        name = thing["metadata"]["name"]
        if thing["kind"] in ("Service", "PodDisruptionBudget", "Deployment") and chosen != [name]:
            yield f"{called(thing)} selects {', '.join(chosen) or 'no pod'}"
        for constraint in pod_spec(thing).get("topologySpreadConstraints", ()) if thing["kind"] == "Deployment" else ():
            if not selects(constraint.get("labelSelector"), labels[name]):
                yield f"{called(thing)} spreads other pods than its own"


def _ports(objects: Sequence[Object]) -> Iterator[str]:
    """A service listens, is served and is requested at one port. A port that is named exists."""
    ports = {pod.name: pod.ports for pod in pods(objects)}
    served = of_kind(objects, "Service")
    for name, deployment in services(objects):
        if ports[name].get("http") != SERVICES[name]:
            yield f"{name} listens at {SERVICES[name]}, its container says {ports[name].get('http')}"
        for one in container(deployment).get("env", ()):
            asked = re.fullmatch(r"https?://([\w-]+):(\d+)", one.get("value", ""))
            if asked and asked[1] in served and int(asked[2]) not in _offered(served[asked[1]]).values():
                yield f"{name}: {one['name']}: Service {asked[1]} has no port {asked[2]}"
    for name, thing in served.items():
        for port in thing["spec"]["ports"]:
            target, there = port.get("targetPort", port["port"]), ports.get(name, {})
            if target not in there and target not in there.values():
                yield f"{called(thing)}: its pods have no port {target}"
    for thing in of_kind(objects, "ServiceMonitor").values():
        every = [*served.values(), *made_by_operators(objects)]
        found = [s for s in every if selects(thing["spec"]["selector"], s["metadata"].get("labels", {}))]
        for endpoint in thing["spec"]["endpoints"]:
            if len(found) != 1 or endpoint["port"] not in _offered(found[0]):
                yield f"{called(thing)} does not find one Service with a port {endpoint['port']}"


def _offered(service: Object) -> dict[str, int]:
    return {port["name"]: port["port"] for port in service["spec"]["ports"]}


def _pods(objects: Sequence[Object]) -> Iterator[str]:
    """Rights, resources, probes and times of every pod are as required."""
    for thing in ours(objects):
        spec, only = pod_spec(thing), container(thing)
        rights = only.get("securityContext", {})
        demands = {
            "no token of the Kubernetes API": spec.get("automountServiceAccountToken") is False,
            "no service links (GATEWAY_PORT=tcp://…)": spec.get("enableServiceLinks") is False,
            "one container": len(spec["containers"]) == 1,
            "not root": spec.get("securityContext", {}).get("runAsNonRoot") is True,
            "seccomp": spec.get("securityContext", {}).get("seccompProfile") == {"type": "RuntimeDefault"},
            "no more rights before": all(i.get("securityContext") == rights for i in spec.get("initContainers", ())),
            "no more rights": rights.get("allowPrivilegeEscalation") is False,
            "no capabilities": rights.get("capabilities") == {"drop": ["ALL"]},
            "a root filesystem to read only": rights.get("readOnlyRootFilesystem") is True,
        } | (_of_job(thing) if thing["kind"] == "CronJob" else _of_deployment(thing))
        yield from (f"{called(thing)} must have {what}" for what, has in demands.items() if not has)
        for side in ("requests", "limits"):
            for what in {"cpu", "memory"} - set(only.get("resources", {}).get(side, {})):
                yield f"{called(thing)} has no {side} of {what}"
    for name, deployment in services(objects):
        yield from _times(name, pod_spec(deployment), container(deployment))


def _of_deployment(thing: Object) -> dict[str, bool]:
    strategy = thing["spec"]["strategy"]
    return {"an update that takes none away first": strategy["rollingUpdate"]["maxUnavailable"] == 0}


def _of_job(thing: Object) -> dict[str, bool]:
    spec = thing["spec"]
    return {
        "one job at a time": spec.get("concurrencyPolicy") == "Forbid",
        "a deadline": spec["jobTemplate"]["spec"].get("activeDeadlineSeconds", 0) > 0,
    }


def _times(name: str, spec: Object, only: Object) -> Iterator[str]:
    for probe, path in PROBES.items():
        if only.get(probe, {}).get("httpGet") != {"path": path, "port": "http"}:
            yield f"{name}: its {probe} is not {path}"
    pause = only.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if spec["terminationGracePeriodSeconds"] < pause + DRAIN_SECONDS + 1:
        yield f"{name} needs {pause} s and {DRAIN_SECONDS:.0f} s to end, and a second to spare"
    # Before that the kube-proxies may still send new connections.
    if pause < 3:
        yield f"{name} ends before it is out of its Service"


def _pinned(objects: Sequence[Object]) -> Iterator[str]:
    for thing in objects:
        for image in _images(thing):
            if not _PINNED.match(image) or image.endswith(":latest"):
                yield f"{called(thing)}: {image} does not name a version"


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (v for k, v in value.items() if k == "image" and isinstance(v, str))
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _images(part)


def _secret(objects: Sequence[Object]) -> Iterator[str]:
    """No secret is written in a manifest: neither as a Secret, nor in a variable, nor in an address."""
    yield from (f"{called(thing)} is written down" for thing in of_kind(objects, "Secret").values())
    for _, deployment in services(objects):
        for one in container(deployment).get("env", ()):
            if one["name"] in SECRET_VARIABLES and one.get("value"):
                yield f"{called(deployment)}: {one['name']} is written down"
    yield from (f"{called(thing)}: an address with a password" for thing in objects if _PASSWORD.search(str(thing)))


def _references(objects: Sequence[Object]) -> Iterator[str]:
    """ConfigMaps, claims and accounts that are named exist."""
    maps, accounts = {*of_kind(objects, "ConfigMap"), *MADE_BY_HAND}, of_kind(objects, "ServiceAccount")
    claims = of_kind(objects, "PersistentVolumeClaim")
    for thing in ours(objects):
        spec = pod_spec(thing)
        named = [s["configMapRef"]["name"] for s in container(thing).get("envFrom", ())]
        named += [v["configMap"]["name"] for v in spec.get("volumes", ()) if "configMap" in v]
        yield from (f"{called(thing)}: there is no ConfigMap {name}" for name in named if name not in maps)
        claimed = [
            v["persistentVolumeClaim"]["claimName"] for v in spec.get("volumes", ()) if "persistentVolumeClaim" in v
        ]
        yield from (f"{called(thing)}: there is no claim {name}" for name in claimed if name not in claims)
        if spec.get("serviceAccountName") not in accounts:
            yield f"{called(thing)}: there is no ServiceAccount {spec.get('serviceAccountName')}"
        mounted = {m["name"] for m in container(thing).get("volumeMounts", ())}
        if mounted != {v["name"] for v in spec.get("volumes", ())}:
            yield f"{called(thing)}: volumes and mounts differ"


def _roles(objects: Sequence[Object]) -> Iterator[str]:
    """The account of a role binding exists, and its pods get its token, without which they have no rights."""
    accounts = of_kind(objects, "ServiceAccount")
    running = [one for thing in objects for one in templates(thing)]
    bindings = [*of_kind(objects, "RoleBinding").values(), *of_kind(objects, "ClusterRoleBinding").values()]
    for thing in bindings:
        for subject in (s for s in thing.get("subjects", ()) if s["kind"] == "ServiceAccount"):
            account = accounts.get(subject["name"])
            if account is None or account["metadata"].get("namespace") != subject.get("namespace"):
                yield f"{called(thing)} is for an account that is not in this build: {subject['name']}"
                continue
            usual = account.get("automountServiceAccountToken", True)
            given = [
                spec.get("automountServiceAccountToken", usual) for name, spec in running if name == subject["name"]
            ]
            if not given or not all(given):
                yield f"{called(thing)} is for ServiceAccount {subject['name']}, whose pods get no token"


def _members(objects: Sequence[Object]) -> Iterator[str]:
    """A RabbitMQ cluster gives each quorum queue as many members as it has nodes, whenever it was declared."""
    for thing in of_kind(objects, "RabbitmqCluster").values():
        nodes, key = thing["spec"].get("replicas", 1), "quorum_queue.continuous_membership_reconciliation"
        lines = thing["spec"].get("rabbitmq", {}).get("additionalConfig", "").splitlines()
        declared = dict(
            re.split(r"\s*=\s*", line.strip(), maxsplit=1) for line in lines if re.match(r"\s*[^#\s].*=", line)
        )
        if nodes > 1 and (declared.get(f"{key}.enabled"), declared.get(f"{key}.target_group_size")) != (
            "true",
            str(nodes),
        ):
            yield f"{called(thing)} does not bring its queues to {nodes} members"


def _supported(objects: Sequence[Object]) -> Iterator[str]:
    """The broker's version is one that is maintained (www.rabbitmq.com/release-information)."""
    for thing in of_kind(objects, "RabbitmqCluster").values():
        version = re.search(r":(\d+)\.(\d+)", thing["spec"].get("image", ""))
        if version is None or (int(version[1]), int(version[2])) < RABBITMQ:
            yield f"{called(thing)}: RabbitMQ {'.'.join(map(str, RABBITMQ))} is the oldest that is maintained"


def _pulled(objects: Sequence[Object]) -> Iterator[str]:
    """When one pod names a Secret for its registry, all do, those that operators make too."""
    places = [(thing, thing) for thing in of_kind(objects, "ServiceAccount").values()]
    places += [(thing, thing["spec"]) for thing in of_kind(objects, "RabbitmqCluster").values()]
    if any(place.get("imagePullSecrets") for _, place in places):
        yield from (
            f"{called(t)} pulls without the registry's Secret" for t, p in places if not p.get("imagePullSecrets")
        )
        for thing in of_kind(objects, "OpenTelemetryCollector").values():
            if thing["spec"].get("serviceAccount") not in of_kind(objects, "ServiceAccount"):
                yield f"{called(thing)} pulls without the registry's Secret"


def _started(objects: Sequence[Object]) -> Iterator[str]:
    """The scanner has signatures before it starts: its volume hides those of its image."""
    for thing in of_kind(objects, "Deployment").values():
        spec = pod_spec(thing)
        for mount in container(thing).get("volumeMounts", ()):
            filled = {m["name"] for i in spec.get("initContainers", ()) for m in i.get("volumeMounts", ())}
            if mount["mountPath"] == "/var/lib/clamav" and mount["name"] not in filled:
                yield f"{called(thing)} starts without signatures"
