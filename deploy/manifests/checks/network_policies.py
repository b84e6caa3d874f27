"""Connections between pods: compares what the NetworkPolicies allow with what the design says. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from deploy.local.settings import SERVICES
from deploy.manifests.objects import SERVERS, Object, Pod, for_cities, of_kind, on_shared_servers, pods, selects


class Arrow(NamedTuple):
    """A connection: source, target and port."""

    source: str
    target: str
    port: int


@dataclass(frozen=True)
class End:
    """One end of a connection. `namespace` None: no pod but an address outside the cluster.

    Attributes:
        labels: Those of its namespace, beside its name.
    """

    pod: Pod
    namespace: str | None
    address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


HERE = "here"
STRANGER = Pod("a stranger here", {"app.kubernetes.io/name": "stranger"})
FRONT = "in front"  # the pods of the Gateway API's implementation, or of the ingress controller
CITY = {service: f"{service} of a city" for service in (*SERVICES, "backup")}  # its pods, as shared servers see them
BROKER, DATABASE = "the shared broker", "the shared database"
OUTSIDE = (
    *(
        End(Pod(name, {"app.kubernetes.io/name": service}), "a-city", labels={"eloket-chat/servers": "shared"})
        for service, name in CITY.items()
    ),
    End(Pod(BROKER, {"app.kubernetes.io/component": "rabbitmq"}), SERVERS),
    End(Pod(DATABASE, {"app": "mongodb-svc"}), SERVERS),
    End(Pod("prometheus", {"app.kubernetes.io/name": "prometheus"}), "monitoring"),
    End(Pod("another in monitoring", {"app.kubernetes.io/name": "grafana"}), "monitoring"),
    End(Pod("keda", {"app": "keda-operator"}), "keda"),
    End(Pod("rabbitmq operators", {"app.kubernetes.io/component": "rabbitmq-operator"}), "rabbitmq-system"),
    End(Pod("dns", {"k8s-app": "kube-dns"}), "kube-system"),
    End(Pod("a stranger elsewhere", {"app.kubernetes.io/name": "gateway"}), "elsewhere"),
    End(Pod("internet", {}), None, "203.0.113.9"),
    End(Pod("private network", {}), None, "10.99.99.99"),
)
NOT_ASKED = (FRONT, "prometheus", "another in monitoring", "keda", "rabbitmq operators", *CITY.values())
ANYWHERE = tuple(end.pod.name for end in OUTSIDE if end.pod.name not in NOT_ASKED)
DOORS = ("HTTPRoute", "Ingress")
WITH_DATABASE = ("presence", "routing", "transcripts")
MORE_PORTS = {22, 80, 8080}  # ports that no policy mentions: a policy without ports shows there


def drawn(present: set[str]) -> set[Arrow]:
    """Return the connections of the design between the pods whose names are in `present`, and the outside."""
    rows: list[tuple[Sequence[str], Sequence[str], Sequence[int]]] = [
        ([FRONT], ["http01 solver"], [8089]),
        *((["gateway"], [name], [SERVICES[name]]) for name in WITH_DATABASE),
        (list(SERVICES), ["rabbitmq"], [5671, 5672]),
        (WITH_DATABASE, ["mongodb"], [27017]),
        (["backup"], ["mongodb"], [27017]),
        (["rabbitmq"], ["rabbitmq"], [4369, 25672, 35672, 35682]),
        (["rabbitmq operators"], ["rabbitmq"], [15672]),
        (["mongodb"], ["mongodb"], [27017]),
        (["mongodb"], ANYWHERE, [443, 6443]),  # the Kubernetes API
        (["transcripts"], ["clamav"], [3310]),
        (["clamav"], ["internet"], [443]),
        (list(SERVICES), ["otel-collector"], [4318]),
        (["otel-collector"], ANYWHERE, [443, 4318]),
        ([*present, STRANGER.name], ["dns"], [53]),
    ]
    everywhere = present | {end.pod.name for end in OUTSIDE} | {STRANGER.name, FRONT}
    both = [(s, t, p) for sources, targets, ports in rows for s in sources for t in targets for p in ports]
    return {Arrow(s, t, p) for s, t, p in both if {s, t} <= everywhere}


def of_door(objects: Sequence[Object]) -> set[Arrow]:
    """Return the connection that the public door needs: the component `gateway-api` or `ingress`."""
    there = any(of_kind(objects, kind) for kind in DOORS)
    return {Arrow(FRONT, "gateway", SERVICES["gateway"])} if there else set()


def of_monitoring(present: set[str]) -> set[Arrow]:
    """Return the connections that the component `monitoring` adds."""
    ports = {**SERVICES, "rabbitmq": 15692}
    return {Arrow("prometheus", name, port) for name, port in ports.items() if name in present}


def of_tls(objects: Sequence[Object]) -> set[Arrow]:
    """Return the connections that the component `tls` adds: to ports beside those without TLS, where nobody listens."""
    arrows = {Arrow("rabbitmq operators", "rabbitmq", 15671)}
    arrows |= {Arrow("keda", "rabbitmq", 15671)} if of_kind(objects, "ScaledObject") else set()
    arrows |= {Arrow("prometheus", "rabbitmq", 15691)} if of_kind(objects, "PrometheusRule") else set()
    arrows |= {Arrow("gateway", pod.name, pod.ports["https"]) for pod in pods(objects) if "https" in pod.ports}
    return arrows if any("tls" in thing["spec"] for thing in of_kind(objects, "RabbitmqCluster").values()) else set()


def of_exporters(objects: Sequence[Object]) -> set[Arrow]:
    """Return the connections that the component `mongodb-metrics` adds."""
    asked = any("prometheus" in thing["spec"] for thing in of_kind(objects, "MongoDBCommunity").values())
    return {Arrow("prometheus", "mongodb", 9216)} if asked else set()


def of_issuer(objects: Sequence[Object]) -> set[Arrow]:
    """Return the connections that the component `oidc` adds: to an issuer whose address the installation knows."""
    there = "issuer" in of_kind(objects, "NetworkPolicy")
    return {Arrow("presence", target, 443) for target in ANYWHERE} if there else set()


def of_webhooks(objects: Sequence[Object]) -> set[Arrow]:
    """Return the connections that the component `webhooks` adds: to targets whose addresses the installation knows."""
    there = "webhooks" in of_kind(objects, "NetworkPolicy")
    return {Arrow("transcripts", target, 443) for target in ANYWHERE} if there else set()


def of_mail(objects: Sequence[Object]) -> set[Arrow]:
    """Return the connections that the component `mail` adds: to a server whose address the installation knows."""
    there = "mail" in of_kind(objects, "NetworkPolicy")
    return {Arrow("transcripts", target, port) for target in ANYWHERE for port in (465, 587)} if there else set()


def of_keda(present: set[str]) -> set[Arrow]:
    """Return the connections that the component `keda` adds."""
    return {Arrow("keda", "rabbitmq", 15672)} if "rabbitmq" in present else set()


def of_sharing(objects: Sequence[Object], present: set[str]) -> set[Arrow]:
    """Return the connections of cities with the servers that they share: those of a city, or those of the servers."""
    if on_shared_servers(objects):
        asking = {name for name in WITH_DATABASE if name in present} | ({"backup"} & present)
        arrows = {Arrow(name, BROKER, 5672) for name in SERVICES if name in present}
        return arrows | {Arrow(name, DATABASE, 27017) for name in asking}
    if for_cities(objects):
        arrows = {Arrow(CITY[name], "rabbitmq", 5672) for name in SERVICES} | of_keda(present)
        return arrows | {Arrow(CITY[name], "mongodb", 27017) for name in (*WITH_DATABASE, "backup")}
    return set()


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each connection that is allowed and not in the design, or in the design and not allowed."""
    present = {pod.name for pod in pods(objects)}
    wanted = drawn(present) | of_door(objects)
    wanted |= of_monitoring(present) if of_kind(objects, "PrometheusRule") else set()
    wanted |= of_exporters(objects) | of_tls(objects) | of_issuer(objects) | of_webhooks(objects)
    wanted |= of_mail(objects)
    wanted |= of_keda(present) if of_kind(objects, "ScaledObject") else set()
    wanted |= of_sharing(objects, present)
    given = allowed(objects)
    more = [f"allowed, but not in the design: {a.source} -> {a.target}:{a.port}" for a in sorted(given - wanted)]
    return more + [f"in the design, but not allowed: {a.source} -> {a.target}:{a.port}" for a in sorted(wanted - given)]


def allowed(objects: Sequence[Object]) -> set[Arrow]:
    """Return every connection that the policies allow, among all pods of the build and some outside it."""
    policies = list(of_kind(objects, "NetworkPolicy").values())
    outside = [*OUTSIDE, End(Pod(FRONT, {}), _front_namespace(policies))]
    inside = [End(pod, HERE) for pod in [*pods(objects), STRANGER]]
    targets = [*inside, *(end for end in OUTSIDE if end.pod.name in ANYWHERE)]
    ports = sorted(_spoken_of(policies) | {p for end in inside for p in end.pod.ports.values()} | MORE_PORTS)
    return {
        Arrow(source.pod.name, target.pod.name, port)
        for source in [*inside, *outside]
        for target in targets
        for port in ports
        if HERE in (source.namespace, target.namespace)
        and _lets(policies, "Egress", source, target, target, port)
        and _lets(policies, "Ingress", target, source, target, port)
    }


def _front_namespace(policies: Sequence[Object]) -> str:
    """Return the namespace of the pods in front, which the policy `front-door`, else `http01-solver`, names."""
    named = {p["metadata"]["name"]: p["spec"]["ingress"] for p in policies if p["spec"].get("ingress")}
    for policy in ("front-door", "http01-solver"):
        for peer in (peer for rule in named.get(policy, ()) for peer in rule.get("from", ())):
            labels: dict[str, str] = peer.get("namespaceSelector", {}).get("matchLabels", {})
            return labels.get("kubernetes.io/metadata.name", "nowhere")
    return "nowhere"


def _spoken_of(policies: Sequence[Object]) -> set[int]:
    rules = [rule for p in policies for way in ("ingress", "egress") for rule in p["spec"].get(way, ())]
    ports = [port for rule in rules for port in rule.get("ports", ())]
    return {p[end] for p in ports for end in ("port", "endPort") if isinstance(p.get(end), int)}


def _lets(policies: Sequence[Object], way: str, subject: End, other: End, target: End, port: int) -> bool:
    """Return whether the policies of this direction that select `subject` allow a connection with `other`."""
    if subject.namespace != HERE:
        return True
    about = [
        p["spec"]
        for p in policies
        if way in p["spec"]["policyTypes"] and selects(p["spec"]["podSelector"], subject.pod.labels)
    ]
    rules = [rule for spec in about for rule in spec.get(way.lower(), ())]
    side = "from" if way == "Ingress" else "to"
    return not about or any(
        (side not in rule or any(_is_peer(peer, other) for peer in rule[side])) and _is_port(rule, target, port)
        for rule in rules
    )


def _is_peer(peer: Object, end: End) -> bool:
    if "ipBlock" in peer:
        return bool(end.address) and any(_within(end.address, peer["ipBlock"]))
    if end.namespace is None:
        return False
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": end.namespace, **end.labels}
        return selects(peer["namespaceSelector"], labels) and selects(peer.get("podSelector", {}), end.pod.labels)
    return end.namespace == HERE and selects(peer["podSelector"], end.pod.labels)


def _within(address: str, block: Object) -> Iterator[bool]:
    inside = ip_address(address) in ip_network(block["cidr"])
    yield inside and not any(ip_address(address) in ip_network(part) for part in block.get("except", ()))


def _is_port(rule: Object, target: End, port: int) -> bool:
    for one in rule.get("ports", [{"port": port}]):
        first = target.pod.ports.get(one["port"]) if isinstance(one["port"], str) else one["port"]
        if first is not None and first <= port <= one.get("endPort", first):
            return True
    return False
