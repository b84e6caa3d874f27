"""Files under deploy/ that are generated from others, so that no event is written twice by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from deploy.manifests import promql, rights
from deploy.manifests.objects import SERVERS, Object
from services.common.messaging import topology

DEPLOY = Path(__file__).resolve().parents[1]
ALERTS = DEPLOY / "monitoring" / "alerts.yaml"
KUBERNETES_ALERTS = DEPLOY / "monitoring" / "kubernetes.yaml"
NAMESPACE = "eloket-chat"  # of deploy/base; deploy/replacements writes an overlay's own
OF_SERVERS = (
    "EloketQueueUnderReplicated",
    "EloketMembersNotReady",
    "EloketBrokerAlarm",
    "EloketDatabaseWithoutPrimary",
    "EloketDatabaseLag",
    "EloketDiskFull",
)
"""The alerts on broker and database, which several cities may share."""
DEPARTMENTS = DEPLOY / "departments.toml"
_CLUSTER = {"rabbitmqClusterReference": {"name": "rabbitmq"}}


def files() -> dict[Path, str]:
    """Return each generated file with its content."""
    return {
        DEPLOY / "base" / DEPARTMENTS.name: _made_of("deploy/departments.toml", DEPARTMENTS.read_text()),
        DEPLOY / "components" / "monitoring" / "rules.yaml": _written([rules()], "deploy/monitoring"),
        DEPLOY / "servers" / "rules.yaml": _written([rules(SERVERS, OF_SERVERS)], "deploy/monitoring"),
        DEPLOY / "replacements" / "rules.yaml": _written(replacements(), "deploy/monitoring"),
        DEPLOY / "components" / "rabbitmq" / "topology.yaml": _written(
            declared(), "services/common/messaging/topology.py"
        ),
        DEPLOY / "components" / "rabbitmq" / "users.yaml": _written(users(), "services/common/messaging/topology.py"),
    }


def problems() -> list[str]:
    """Return one line for each file that differs from what it is generated from."""
    return [
        f"{path.relative_to(DEPLOY.parent)} is out of date: make manifests ARGS=--write"
        for path, text in files().items()
        if not path.is_file() or path.read_text() != text
    ]


def write() -> None:
    """Generate the files again."""
    for path, text in files().items():
        path.write_text(text)


def rules(namespace: str = NAMESPACE, only: Sequence[str] = ()) -> Object:
    """Return the alert rules as the Prometheus operator needs them: each for the pods of one namespace.

    Args:
        namespace: The namespace.
        only: The alerts that are wanted; all rules when empty.
    """
    groups = [g for file in (ALERTS, KUBERNETES_ALERTS) for g in yaml.safe_load(file.read_text())["groups"]]
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if not only or rule.get("alert") in only]
        for rule in group["rules"]:
            rule["expr"] = promql.within(rule["expr"], namespace)
            rule["labels"] = {**rule.get("labels", {}), "namespace": namespace}
    groups = [group for group in groups if group["rules"]]
    return _resource("monitoring.coreos.com/v1", "PrometheusRule", "eloket", {"groups": groups})


def replacements() -> list[Object]:
    """Return what writes the namespace and the address of the runbook of an installation into its alert rules.

    An expression is split at its quotation marks: kustomize replaces the part with this number (`index`).
    """
    namespaces: dict[int, list[str]] = {}
    labels, links = [], []
    for group in rules()["spec"]["groups"]:
        for rule in group["rules"]:
            kind = "alert" if "alert" in rule else "record"
            place = f"spec.groups.[name={group['name']}].rules.[{kind}={rule[kind]}]"
            labels.append(f"{place}.labels.namespace")
            links += [f"{place}.annotations.runbook_url"] if kind == "alert" else []
            for index, part in enumerate(rule["expr"].split('"')):
                if part == NAMESPACE:
                    namespaces.setdefault(index, []).append(f"{place}.expr")
    select = {"kind": "PrometheusRule", "name": "eloket"}
    targets: list[Object] = [{"select": select, "fieldPaths": labels}]
    targets += [
        {"select": select, "fieldPaths": namespaces[index], "options": {"delimiter": '"', "index": index}}
        for index in sorted(namespaces)
    ]
    runbook = {"select": select, "fieldPaths": links, "options": {"delimiter": "#", "index": 0}}
    return [
        _replacement("rules", {"kind": "Namespace", "fieldPath": "metadata.name"}, targets),
        _replacement("runbook", {"kind": "ConfigMap", "name": "installation", "fieldPath": "data.runbook"}, [runbook]),
    ]


def _replacement(name: str, source: Object, targets: list[Object]) -> Object:
    found = {"apiVersion": "builtin", "kind": "ReplacementTransformer", "metadata": {"name": name}}
    return {**found, "replacements": [{"source": source, "targets": targets}]}


def declared() -> list[Object]:
    """Return exchanges, queues and bindings as the messaging topology operator needs them.

    Deleting one of these objects deletes the queue from the cluster unless it says `retain`.
    """
    found = [_exchange(topology.EXCHANGE, "topic"), _exchange(topology.DEAD_EXCHANGE, "direct")]
    for service in sorted({queue.service for queue in topology.QUEUES}):
        letters = f"{service}.dead-letters"
        found += [_queue(letters, topology.DEAD_LETTER_DECLARATION), _binding(topology.DEAD_EXCHANGE, letters, service)]
    for queue in topology.QUEUES:
        found += [_queue(queue.name, queue.declaration)]
        found += [_binding(topology.EXCHANGE, queue.name, key) for key in queue.keys]
    return found


def users() -> list[Object]:
    """Return a user for each service with its rights (`deploy/manifests/rights.py`), and one for `make dead-letters`.

    The operator creates names and passwords: Secrets `<name>-user-credentials`.
    """
    found: list[Object] = []
    for service in topology.PUBLISHED:
        topics = {"exchange": topology.EXCHANGE, **rights.topic_permissions(service)}
        found += [_user(service), _permission(service, rights.permissions(service))]
        found += [_topology("TopicPermission", service, {"userReference": {"name": service}, "permissions": topics})]
    by_hand = {"configure": r"^eloket\.operator\.", "write": r"^amq\.default$", "read": r"\.dead-letters$"}
    return [*found, _user("operator"), _permission("operator", by_hand)]


def _user(name: str) -> Object:
    return _resource("rabbitmq.com/v1beta1", "User", name, _CLUSTER)


def _permission(name: str, permissions: dict[str, str]) -> Object:
    return _topology("Permission", name, {"userReference": {"name": name}, "permissions": permissions})


def _exchange(name: str, kind: str) -> Object:
    return _topology("Exchange", name, {"name": name, "type": kind, "durable": True, "autoDelete": False})


def _queue(name: str, declaration: Object) -> Object:
    arguments = {k: v for k, v in declaration.items() if k != "x-queue-type"}
    spec: Object = {"name": name, "type": declaration["x-queue-type"], "durable": True, "autoDelete": False}
    spec["deletionPolicy"] = "retain"
    return _topology("Queue", name, spec | ({"arguments": arguments} if arguments else {}))


def _binding(exchange: str, queue: str, key: str) -> Object:
    spec = {"source": exchange, "destination": queue, "destinationType": "queue", "routingKey": key}
    return _topology("Binding", f"{queue}.{key.replace('*', 'any')}", spec)


def _topology(kind: str, name: str, spec: Object) -> Object:
    return _resource("rabbitmq.com/v1beta1", kind, name, {"vhost": "/"} | spec | _CLUSTER)


def _resource(version: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _written(things: list[Object], source: str) -> str:
    plain = type("Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    text = "---\n".join(yaml.dump(t, Dumper=plain, sort_keys=False, width=100, allow_unicode=True) for t in things)
    return _made_of(source, text)


def _made_of(source: str, text: str) -> str:
    return f"# Made of {source} by `make manifests ARGS=--write`; do not edit.\n{text}"
