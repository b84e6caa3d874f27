"""Checks of TLS (component `tls`): each client verifies the CA and the host of broker, database or service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

from deploy.manifests.checks import installation
from deploy.manifests.checks.environment import environment
from deploy.manifests.objects import (
    Object,
    called,
    certificates,
    container,
    of_kind,
    pod_spec,
    pods,
    private_issuers,
    selects,
    services,
)

CA_KEY = "ca.crt"


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each problem."""
    return [line for check in (_issuers, _broker, _database, _services, _scalers, _monitors) for line in check(objects)]


def _issuers(objects: Sequence[Object]) -> Iterator[str]:
    """The CA of an Issuer is in the Secret of a certificate of the build, which may sign."""
    signing = {c["spec"]["secretName"] for c in of_kind(objects, "Certificate").values() if c["spec"].get("isCA")}
    for thing in private_issuers(objects).values():
        if "ca" in thing["spec"] and thing["spec"]["ca"]["secretName"] not in signing:
            yield f"{called(thing)}: no certificate of a CA is in Secret {thing['spec']['ca']['secretName']}"


def _broker(objects: Sequence[Object]) -> Iterator[str]:
    for name, thing in of_kind(objects, "RabbitmqCluster").items():
        secret = thing["spec"].get("tls", {}).get("secretName")
        if secret and not thing["spec"]["tls"].get("disableNonTLSListeners"):
            yield f"{called(thing)} answers without TLS too"
        for service, deployment in services(objects):
            address = urlsplit(environment(objects, deployment)[0].get("RABBITMQ_URL", ""))
            if address.hostname != name:
                continue
            if address.port not in _ports(objects, name) or (address.scheme == "amqps") != bool(secret):
                yield f"{service}: {called(thing)} does not listen at {address.scheme} port {address.port}"
            if secret:
                file = parse_qs(address.query).get("cafile", [""])[0]
                yield from _verifies(objects, service, deployment, thing, secret, name, file)


def _database(objects: Sequence[Object]) -> Iterator[str]:
    for name, thing in of_kind(objects, "MongoDBCommunity").items():
        tls = thing["spec"]["security"].get("tls", {})
        if not tls.get("enabled"):
            continue
        secret = tls["certificateKeySecretRef"]["name"]
        if tls.get("optional"):
            yield f"{called(thing)} answers without TLS too"
        host = f"*.{name}-svc.{installation.namespace(objects)}.svc.cluster.local"
        file = thing["spec"].get("additionalConnectionStringConfig", {}).get("tlsCAFile", "")
        for service, deployment in services(objects):
            asked = [e for e in container(deployment).get("env", ()) if e["name"] == "MONGODB_URL"]
            if any(e.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == f"{service}-{name}" for e in asked):
                yield from _verifies(objects, service, deployment, thing, secret, host, file)
        if "prometheus" in thing["spec"] and "tlsSecretKeyRef" not in thing["spec"]["prometheus"]:
            yield f"{called(thing)}: its exporter answers without TLS"


def _services(objects: Sequence[Object]) -> Iterator[str]:
    """The gateway asks a service by TLS where it answers so, and verifies it."""
    deployments = dict(services(objects))
    asking = environment(objects, deployments["gateway"])[0] if "gateway" in deployments else {}
    for name, deployment in deployments.items():
        address = urlsplit(asking.get(f"{name.upper()}_URL", ""))
        given = environment(objects, deployment)[0]
        port = given.get("TLS_PORT", "")
        if (address.scheme == "https") != bool(port) and name != "gateway":
            yield (
                f"gateway: {name} does not answer by {address.scheme}"
                if not port
                else f"gateway: asks {name} without TLS"
            )
        if not port:
            continue
        if {"name": "https", "containerPort": int(port)} not in container(deployment).get("ports", ()):
            yield f"{name}: its container does not say that it listens at {port}"
        secrets = [_whole(deployment, given.get(variable, "")) for variable in ("TLS_CERTIFICATE", "TLS_KEY")]
        if secrets[0] is None or secrets != [secrets[0]] * 2:
            yield f"{name}: its certificate and key are not mounted from one Secret"
        elif name != "gateway":
            file = asking.get("TLS_CA", "")
            yield from _verifies(objects, "gateway", deployments["gateway"], deployment, secrets[0], name, file)


def _whole(deployment: Object, file: str) -> str | None:
    """Return the Secret of which this file is mounted, all of it."""
    volumes = {v["name"]: v.get("secret", {}) for v in pod_spec(deployment).get("volumes", ())}
    for mount in container(deployment).get("volumeMounts", ()):
        volume = volumes[mount["name"]]
        if file.rpartition("/")[0] == mount["mountPath"] and "secretName" in volume and "items" not in volume:
            found: str = volume["secretName"]
            return found
    return None


def _verifies(
    objects: Sequence[Object], service: str, deployment: Object, server: Object, secret: str, host: str, file: str
) -> Iterator[str]:
    """The server's certificate is for this host, and the file is the certificate of its CA."""
    if host not in _hosts(objects, secret):
        yield f"{service}: no certificate in Secret {secret} of {called(server)} is for {host}"
    ours = [mounted for mounted in _mounted(deployment, file) if _issuer(objects, mounted) == _issuer(objects, secret)]
    if not ours:
        yield f"{service}: the CA of {called(server)} is not mounted as {file or 'a file'}"


def _mounted(deployment: Object, file: str) -> Iterator[str]:
    """Yield the Secret whose CA is mounted as this file, and nothing else of it."""
    volumes = {v["name"]: v.get("secret", {}) for v in pod_spec(deployment).get("volumes", ())}
    for mount in container(deployment).get("volumeMounts", ()):
        volume = volumes[mount["name"]]
        for item in volume.get("items", ()):
            if f"{mount['mountPath']}/{item['path']}" == file and volume["items"] == [item] and item["key"] == CA_KEY:
                yield volume["secretName"]


def _hosts(objects: Sequence[Object], secret: str) -> set[str]:
    found = certificates(objects, private=True).values()
    return {host for c in found if c["spec"]["secretName"] == secret for host in c["spec"].get("dnsNames", ())}


def _issuer(objects: Sequence[Object], secret: str) -> str | None:
    found = certificates(objects, private=True).values()
    return next((c["spec"]["issuerRef"]["name"] for c in found if c["spec"]["secretName"] == secret), None)


def _ports(objects: Sequence[Object], name: str) -> set[int]:
    return {port for pod in pods(objects) if pod.name == name for port in pod.ports.values()}


def _scalers(objects: Sequence[Object]) -> Iterator[str]:
    """KEDA asks the broker's management API where it listens, and verifies it."""
    logins = of_kind(objects, "TriggerAuthentication")
    for scaler in of_kind(objects, "ScaledObject").values():
        for trigger in (t for t in scaler["spec"]["triggers"] if t["type"] == "rabbitmq"):
            address = urlsplit(trigger["metadata"]["host"])
            login = logins[trigger["authenticationRef"]["name"]]["spec"]
            for name, thing in of_kind(objects, "RabbitmqCluster").items():
                secret = thing["spec"].get("tls", {}).get("secretName")
                if address.port not in _ports(objects, name) or (address.scheme == "https") != bool(secret):
                    yield f"{called(scaler)}: {called(thing)} does not listen at {address.scheme} port {address.port}"
                elif secret and address.hostname not in _hosts(objects, secret):
                    yield f"{called(scaler)}: no certificate in Secret {secret} is for {address.hostname}"
                given = {(one["parameter"], one["name"], one["key"]) for one in login.get("secretTargetRef", ())}
                maps = {one["parameter"]: (one["name"], one["key"]) for one in login.get("configMapTargetRef", ())}
                map_name, key = maps.get("tls", ("", ""))
                enabled = of_kind(objects, "ConfigMap").get(map_name, {}).get("data", {}).get(key) == "enable"
                if secret and not (enabled and ("ca", secret, CA_KEY) in given):
                    yield f"{called(scaler)}: KEDA does not verify {called(thing)}"


def _monitors(objects: Sequence[Object]) -> Iterator[str]:
    """Prometheus scrapes broker and database where they answer, and verifies them."""
    labels = {pod.name: (pod.labels, pod.ports) for pod in pods(objects)}
    secrets = {
        name: thing["spec"].get("tls", {}).get("secretName")
        for name, thing in of_kind(objects, "RabbitmqCluster").items()
    } | {
        name: thing["spec"].get("prometheus", {}).get("tlsSecretKeyRef", {}).get("name")
        for name, thing in of_kind(objects, "MongoDBCommunity").items()
    }
    for kind, field in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")):
        for monitor in of_kind(objects, kind).values():
            for name, secret in secrets.items():
                if not selects(monitor["spec"]["selector"], labels[name][0]):
                    continue
                for endpoint in monitor["spec"][field]:
                    if endpoint["port"] not in labels[name][1]:
                        yield f"{called(monitor)}: {name} has no port {endpoint['port']}"
                    tls = endpoint.get("tlsConfig", {})
                    verified = tls.get("ca", {}).get("secret") == {"name": secret, "key": CA_KEY}
                    if (endpoint.get("scheme", "http") == "https") != bool(secret):
                        yield f"{called(monitor)}: {name} does not answer by {endpoint.get('scheme', 'http')}"
                    elif secret and not (verified and tls.get("serverName") in _hosts(objects, secret)):
                        yield f"{called(monitor)}: Prometheus does not verify {name}"
