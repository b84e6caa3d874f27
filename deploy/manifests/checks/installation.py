"""Checks of an installation's namespace and names, and that two installations share nothing. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from deploy.manifests import promql
from deploy.manifests.checks import front_door
from deploy.manifests.objects import SERVERS, WITHOUT_NAMESPACE, Object, called, of_kind, texts

FOUND_BY_LABEL = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
_ADDRESS = re.compile(r"\b(?:[a-z0-9-]+\.)+([a-z0-9-]+)\.svc\b")
OTHERS = ("monitoring", SERVERS)  # namespaces that are no installation's, whose services are asked


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each problem."""
    return [line for check in (_labels, _queries, _rules, _addresses) for line in check(objects)]


def namespace(objects: Sequence[Object]) -> str:
    """Return the namespace of a build; "" when there is not exactly one."""
    names = list(of_kind(objects, "Namespace"))
    return names[0] if len(names) == 1 else ""


def _labels(objects: Sequence[Object]) -> Iterator[str]:
    """A Prometheus of kube-prometheus-stack loads only what has the label `release`."""
    found = [thing for thing in objects if thing["kind"] in FOUND_BY_LABEL]
    releases = {thing["metadata"].get("labels", {}).get("release", "") for thing in found}
    for thing in found:
        if not thing["metadata"].get("labels", {}).get("release"):
            yield f"{called(thing)} has no label `release`, so that Prometheus does not find it"
    if len(releases) > 1:
        yield f"monitors and rules are for more than one Prometheus: {', '.join(sorted(releases))}"


def _queries(objects: Sequence[Object]) -> Iterator[str]:
    """Every query asks for the series of this namespace alone."""
    own = namespace(objects)
    for thing, where, query in _expressions(objects):
        yield from (f"{called(thing)}: {where}: {s} is not of {own} alone" for s in promql.elsewhere(query, own))


def _expressions(objects: Sequence[Object]) -> Iterator[tuple[Object, str, str]]:
    for thing in of_kind(objects, "PrometheusRule").values():
        for rule in (rule for group in thing["spec"]["groups"] for rule in group["rules"]):
            yield thing, rule.get("alert") or rule["record"], str(rule["expr"])
    for thing in of_kind(objects, "ScaledObject").values():
        for trigger in (t for t in thing["spec"]["triggers"] if t["type"] == "prometheus"):
            yield thing, "query", trigger["metadata"]["query"]


def _rules(objects: Sequence[Object]) -> Iterator[str]:
    """What a rule says has the namespace of its installation; all alerts link to one runbook."""
    runbooks = set()
    for thing in of_kind(objects, "PrometheusRule").values():
        for rule in (rule for group in thing["spec"]["groups"] for rule in group["rules"]):
            name = rule.get("alert") or rule["record"]
            if rule.get("labels", {}).get("namespace") != namespace(objects):
                yield f"{called(thing)}: {name} does not say that it is of {namespace(objects)}"
            if "alert" in rule:
                page, _, section = rule.get("annotations", {}).get("runbook_url", "").partition("#")
                runbooks.add(page)
                if section != name.lower():
                    yield f"{called(thing)}: {name} does not link to its section of the runbook"
    if len(runbooks) > 1:
        yield f"alerts link to more than one runbook: {', '.join(sorted(runbooks))}"


def _addresses(objects: Sequence[Object]) -> Iterator[str]:
    """An address inside the cluster is of this namespace, or of those that are no installation's."""
    known = {namespace(objects), *OTHERS}
    for thing in objects:
        for space in {m for text in texts(thing) for m in _ADDRESS.findall(text)} - known:
            yield f"{called(thing)}: an address in the namespace {space}"


def collisions(first: Sequence[Object], second: Sequence[Object]) -> list[str]:
    """Return one line for each thing that two installations on one cluster share or dispute."""
    found = [f"both have {name}" for name in sorted(_names(first) & _names(second))]
    found += [f"both serve {host}" for host in sorted(front_door.hosts(first) & front_door.hosts(second))]
    for one, other in ((first, second), (second, first)):
        own = namespace(other)
        spoken = re.compile(rf"(?<![\w/-]){re.escape(own)}(?![\w-])")
        found += [
            f"{called(thing)} of {namespace(one)} names {own}: {text.strip()[:80]}"
            for thing in one
            for text in texts(thing)
            if own and spoken.search(text)
        ]
    return found


def _names(objects: Sequence[Object]) -> set[str]:
    """Return what is unique in a cluster: objects by kind, namespace and name."""
    found = set()
    for thing in objects:
        space: Any = "" if thing["kind"] in WITHOUT_NAMESPACE else thing["metadata"].get("namespace", "")
        found.add(f"{thing['kind']} {space}/{thing['metadata']['name']}".replace(" /", " "))
    return found
