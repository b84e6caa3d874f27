"""The content of a build: Kubernetes objects, and the pods that result from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.local.settings import SERVICES

Object = dict[str, Any]
# Accounts of pods that an operator creates with an account of its own choice.
ACCOUNTS = {"MongoDBCommunity": "mongodb-kubernetes-appdb"}
WITHOUT_NAMESPACE = ("Namespace",)
SERVERS = "eloket-servers"  # the namespace of deploy/servers
ALLOWED = "rabbitmq.com/topology-allowed-namespaces"
"""The annotation of a broker with the namespaces whose objects are declared on it, separated by commas."""


@dataclass(frozen=True)
class Pod:
    """Pods of one kind: their name, their labels, and their named ports."""

    name: str
    labels: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)


def for_cities(objects: Sequence[Object]) -> bool:
    """Return whether this is a build of the servers that several cities share (deploy/servers): it has no services."""
    return any(ALLOWED in o["metadata"].get("annotations", {}) for o in objects if o["kind"] == "RabbitmqCluster")


def on_shared_servers(objects: Sequence[Object]) -> bool:
    """Return whether this is a build of a city that uses them (component shared-servers)."""
    return any(o["kind"] == "Vhost" for o in objects)


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """Return the objects of this kind by name."""
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


def called(thing: Object) -> str:
    """Return the name of an object in messages: `Deployment gateway`."""
    return f"{thing['kind']} {thing['metadata']['name']}"


def pod_spec(deployment: Object) -> Object:
    """Return the pod specification of a deployment, or of a job that is scheduled."""
    spec: Object = _template(deployment)["spec"]
    return spec


def _template(thing: Object) -> Any:
    spec = thing["spec"]["jobTemplate"]["spec"] if thing["kind"] == "CronJob" else thing["spec"]
    return spec["template"]


def container(deployment: Object) -> Object:
    """Return the one container of a deployment or of a scheduled job of ours."""
    only: Object = pod_spec(deployment)["containers"][0]
    return only


def services(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield each of the four services that has a Deployment, with it."""
    deployments = of_kind(objects, "Deployment")
    yield from ((name, deployments[name]) for name in SERVICES if name in deployments)


def ours(objects: Sequence[Object]) -> list[Object]:
    """Return the objects whose pods this repository describes in full: deployments and scheduled jobs."""
    return [thing for thing in objects if thing["kind"] in ("Deployment", "CronJob")]


def pods(objects: Sequence[Object]) -> list[Pod]:
    """Return all pods of a build, including those that operators create from their resources."""
    found = []
    for thing in ours(objects):
        ports = {p["name"]: p["containerPort"] for p in container(thing).get("ports", ())}
        found.append(Pod(thing["metadata"]["name"], _template(thing)["metadata"]["labels"], ports))
    for name, thing in of_kind(objects, "RabbitmqCluster").items():
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "rabbitmq"}
        found.append(Pod(name, labels, _broker_ports(thing["spec"].get("tls", {}))))
    for name, thing in of_kind(objects, "MongoDBCommunity").items():
        ports = {"mongodb": 27017} | ({"prometheus": 9216} if "prometheus" in thing["spec"] else {})
        found.append(Pod(name, {"app": f"{name}-svc"}, ports))
    if certificates(objects, private=False):
        found.append(Pod("http01 solver", {"acme.cert-manager.io/http01-solver": "true"}, {"http": 8089}))
    for name in of_kind(objects, "OpenTelemetryCollector"):
        found.append(Pod(f"{name}-collector", {"app.kubernetes.io/name": f"{name}-collector"}, {"otlp-http": 4318}))
    return found


def _broker_ports(tls: Object) -> dict[str, int]:
    """Return the ports that the cluster operator opens (internal/resource/statefulset.go)."""
    plain = {"amqp": 5672, "management": 15672, "prometheus": 15692}
    encrypted = {"amqps": 5671, "management-tls": 15671, "prometheus-tls": 15691}
    closed = tls.get("disableNonTLSListeners", False)
    return ({} if closed else plain) | (encrypted if tls.get("secretName") else {})


def private_issuers(objects: Sequence[Object]) -> dict[str, Object]:
    """Return the Issuers of the build that no public CA stands behind: self-signed, or a CA in a Secret."""
    issuers = of_kind(objects, "Issuer").items()
    return {name: thing for name, thing in issuers if {"selfSigned", "ca"} & set(thing["spec"])}


def certificates(objects: Sequence[Object], private: bool) -> dict[str, Object]:
    """Return the certificates by private issuers of the build, or the others, which are for the public door."""
    known = private_issuers(objects)
    return {
        name: thing for name, thing in of_kind(objects, "Certificate").items() if private == (_issuer(thing) in known)
    }


def _issuer(certificate: Object) -> str:
    """Return the name of the certificate's Issuer; "" for a ClusterIssuer."""
    reference = certificate["spec"]["issuerRef"]
    return reference["name"] if reference.get("kind", "Issuer") == "Issuer" else ""


def made_by_operators(objects: Sequence[Object]) -> Iterator[Object]:
    """Yield the Services that operators create, as far as monitors ask for them."""
    for name, thing in of_kind(objects, "MongoDBCommunity").items():
        ports = [{"name": "mongodb", "port": 27017}]
        ports += [{"name": "prometheus", "port": 9216}] if "prometheus" in thing["spec"] else []
        labels = {"app": f"{name}-svc"}
        yield {"kind": "Service", "metadata": {"name": f"{name}-svc", "labels": labels}, "spec": {"ports": ports}}


def texts(value: Any) -> Iterator[str]:
    """Yield every text in an object, and the names of its fields."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def templates(thing: Object) -> list[tuple[str, Object]]:
    """Return the specifications of all pods of this object, each with the account that it runs as."""
    account = ACCOUNTS.get(thing["kind"], "default")
    specs = list(_specs(thing)) or [{}] * (thing["kind"] in ACCOUNTS)
    return [(spec.get("serviceAccountName", account), spec) for spec in specs]


def _specs(value: Any) -> Iterator[Object]:
    if isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _specs(part)


def selects(selector: Object | None, labels: dict[str, str]) -> bool:
    """Return whether a label selector matches these labels (Kubernetes, "Labels and Selectors")."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in selector.get("matchLabels", {}).items()):
        return False
    return all(_expressed(e, labels) for e in selector.get("matchExpressions", ()))


def _expressed(expression: Object, labels: dict[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    if operator == "In":
        return labels.get(key) in expression["values"]
    if operator == "NotIn":
        return labels.get(key) not in expression["values"]
    present = key in labels
    return present if operator == "Exists" else not present
