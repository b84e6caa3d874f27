"""Checks of the public door, by Gateway API or Ingress: hosts, certificates, and which paths are public. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deploy.manifests.objects import Object, called, certificates, of_kind

OPERATORS = ("/metrics", "/healthz", "/readyz")
PLACEHOLDER = "no host"


@dataclass
class Door:
    """A public door: the object that routes, its hosts, the Secrets of its certificates and the hosts that have one."""

    thing: Object
    hosts: set[str]
    tls_hosts: set[str]
    secrets: set[str]
    paths: list[tuple[str, str, bool]] = field(default_factory=list)
    """Each public path, its type, and whether it leads to the gateway."""


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each problem."""
    return [line for check in (_paths, _hosts, _routes, _lasting) for line in check(objects)]


def hosts(objects: Sequence[Object]) -> set[str]:
    """Return every host that is served."""
    return {host for door in _doors(objects) for host in door.hosts}


def _doors(objects: Sequence[Object]) -> Iterator[Door]:
    ports = {p["name"]: p["port"] for p in of_kind(objects, "Service")["gateway"]["spec"]["ports"]}
    for thing in of_kind(objects, "Ingress").values():
        tls = thing["spec"].get("tls", ())
        door = Door(
            thing,
            {rule["host"] for rule in thing["spec"]["rules"]},
            {host for one in tls for host in one["hosts"]},
            {one["secretName"] for one in tls},
        )
        for path in (p for rule in thing["spec"]["rules"] for p in rule.get("http", {}).get("paths", ())):
            backend = path["backend"]["service"]
            right = backend["name"] == "gateway" and backend["port"].get("name") in ports
            door.paths.append((path["path"], path["pathType"], right))
        yield door
    for thing in of_kind(objects, "HTTPRoute").values():
        listeners = list(_listeners(objects, thing))
        secure = [one for one in listeners if one["protocol"] == "HTTPS"]
        door = Door(
            thing,
            set(thing["spec"].get("hostnames", [PLACEHOLDER])),
            {one.get("hostname", PLACEHOLDER) for one in secure},
            {ref["name"] for one in secure for ref in one.get("tls", {}).get("certificateRefs", ())},
        )
        for rule in (r for r in thing["spec"]["rules"] if not _redirects(r)):
            right = [(b["name"], b.get("port")) for b in rule.get("backendRefs", ())] == [("gateway", ports["http"])]
            for match in rule.get("matches", [{"path": {"type": "PathPrefix", "value": "/"}}]):
                path = match.get("path", {"type": "PathPrefix", "value": "/"})
                door.paths.append((path["value"], path["type"], right))
        yield door


def _listeners(objects: Sequence[Object], route: Object) -> Iterator[Object]:
    gateways = of_kind(objects, "Gateway")
    for parent in route["spec"]["parentRefs"]:
        for listener in gateways.get(parent["name"], {"spec": {"listeners": ()}})["spec"]["listeners"]:
            if parent.get("sectionName", listener["name"]) == listener["name"]:
                yield listener


def _redirects(rule: Object) -> bool:
    return any(one["type"] == "RequestRedirect" for one in rule.get("filters", ()))


def _paths(objects: Sequence[Object]) -> Iterator[str]:
    """The door leads to the gateway only, never to operators' paths."""
    for door in _doors(objects):
        for path, kind, right in door.paths:
            if not right:
                yield f"{called(door.thing)}: {path} does not lead to the gateway"
            if (path == "/" and kind != "Exact") or path in OPERATORS:
                yield f"{called(door.thing)}: {path} is public"


def _hosts(objects: Sequence[Object]) -> Iterator[str]:
    """TLS and certificates are for the hosts that are served. Certificates of a private CA are for other servers."""
    public = certificates(objects, private=False)
    secrets: set[str] = set()
    for door in _doors(objects):
        secrets |= door.secrets
        served = ", ".join(sorted(door.hosts))
        if door.tls_hosts and door.tls_hosts != door.hosts:
            yield f"{called(door.thing)} serves {served}, and has TLS for {', '.join(sorted(door.tls_hosts))}"
        for certificate in public.values():
            if set(certificate["spec"].get("dnsNames", ())) != door.hosts:
                yield f"{called(certificate)} is not for {served}"
    for certificate in public.values():
        if secrets and certificate["spec"]["secretName"] not in secrets:
            yield f"{called(certificate)} makes a Secret that no public door uses"


def _routes(objects: Sequence[Object]) -> Iterator[str]:
    """A route is attached to a listener of the build that has its host."""
    for thing in of_kind(objects, "HTTPRoute").values():
        here = [p for p in thing["spec"]["parentRefs"] if p.get("namespace") is None]
        found = list(_listeners(objects, thing))
        if here and not found:
            yield f"{called(thing)} is attached to no listener"
        for listener in found:
            if not {listener.get("hostname")} & {None, *thing["spec"].get("hostnames", ())}:
                yield f"{called(thing)}: its listener {listener['name']} has another host"


def _lasting(objects: Sequence[Object]) -> Iterator[str]:
    """A websocket is one request that lasts for hours: a route to the gateway has no time limit."""
    for thing in of_kind(objects, "HTTPRoute").values():
        for rule in (r for r in thing["spec"]["rules"] if not _redirects(r)):
            if rule.get("timeouts", {}).get("request") != "0s":
                yield f"{called(thing)}: its requests are cut off (timeouts.request is not 0s)"
