"""The manifests fit the code, and each check sees what it is for: every planted fault is reported."""

import copy
import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.manifests import checkov, codegen, kustomize
from deploy.manifests.checks import schemas, sizes
from deploy.manifests.checks.build import problems
from deploy.manifests.checks.installation import collisions
from deploy.manifests.kustomize import DEPLOY, REPLACEMENTS, assembled, components, overlays, parse
from deploy.manifests.objects import Object, container, of_kind, pod_spec, selects
from tests.deploy.builds import city, text_of
from tests.deploy.monitoring import alert_names

BUILDS = [*overlays(), *components()]


@pytest.mark.parametrize("folder", BUILDS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_a_build_fits(folder: Path) -> None:
    objects = parse(text_of(folder))
    assert len(objects) > 20
    assert problems(objects) == []
    assert sizes.problems(objects, folder.name) == []


def test_there_are_the_overlays_and_components_that_operators_were_promised() -> None:
    assert {"dev", "small", "production", "large", "example-city"} <= {folder.name for folder in overlays()}
    promised = {"rabbitmq", "mongodb", "keda", "monitoring", "cert-manager", "clamav", "opentelemetry"}
    promised |= {"gateway-api", "ingress", "mongodb-metrics", "pull-secret", "tls", "backup", "shared-servers"}
    promised |= {"console-host"}
    assert promised <= {folder.name for folder in components()}


def test_what_is_made_of_other_files_is_up_to_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert codegen.problems() == []
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(codegen.ALERTS.read_text().replace("for: 5m", "for: 6m"))
    monkeypatch.setattr(codegen, "ALERTS", alerts)
    assert codegen.problems() == ["deploy/components/monitoring/rules.yaml is out of date: make manifests ARGS=--write"]


PRODUCTION = DEPLOY / "overlays" / "production"
CITIES = {"chat-gent": "chat.gent.example", "chat-brugge": "chat.brugge.example"}


def test_two_cities_on_one_cluster_share_nothing() -> None:
    gent, brugge = (parse(city(name, PRODUCTION, host=host)) for name, host in CITIES.items())
    assert [problems(gent), problems(brugge)] == [[], []]
    assert collisions(gent, brugge) == []
    assert collisions(gent, gent), "what they would share is seen"


def test_the_console_has_a_host_of_its_own_with_its_component() -> None:
    hosts = {"host": "chat.gent.example", "console_host": "console.gent.example"}
    component, more = DEPLOY / "components" / "console-host", ("console-host",)
    built = parse(city("chat-gent", PRODUCTION, component, more=more, **hosts))
    assert problems(built) == []
    both = list(hosts.values())
    listeners = of_kind(built, "Gateway")["public"]["spec"]["listeners"]
    assert [(one["name"], one["hostname"]) for one in listeners] == [
        ("http", both[0]),
        ("https", both[0]),
        ("console-http", both[1]),
        ("console-https", both[1]),
    ]
    routes = of_kind(built, "HTTPRoute")
    assert [routes[name]["spec"]["hostnames"] for name in ("gateway", "redirect")] == [both, both]
    assert of_kind(built, "Certificate")["gateway"]["spec"]["dnsNames"] == both
    for name in ("gateway", "presence"):
        (container,) = of_kind(built, "Deployment")[name]["spec"]["template"]["spec"]["containers"]
        values = [(one["name"], one.get("value")) for one in container["env"] if one["name"].startswith("CONSOLE_")]
        assert values == [("CONSOLE_HOST", both[1]), ("CONSOLE_ORIGIN", "https://$(CONSOLE_HOST)")], "in this order"
    doors = [DEPLOY / "components" / name for name in ("ingress", "cert-manager")]
    (ingress,) = of_kind(parse(assembled(*doors, component, more=more)), "Ingress").values()
    first, second = ingress["spec"]["rules"]
    assert (second["host"], second["http"]) == ("console.example.be", first["http"])
    assert ingress["spec"]["tls"][0]["hosts"] == ["chat.example.be", "console.example.be"]
    without = parse(city("chat-gent", PRODUCTION, **hosts))
    assert "CONSOLE_ORIGIN" not in str(without), "it is off by default"
    assert [len(one["spec"]["hostnames"]) for one in of_kind(without, "HTTPRoute").values()] == [1, 1]


def test_two_cities_may_not_have_one_host() -> None:
    gent, brugge = (parse(city(name, PRODUCTION)) for name in CITIES)
    assert collisions(gent, brugge) == ["both serve chat.example.be"]


def test_a_city_that_asks_for_the_other_is_seen() -> None:
    gent, brugge = (parse(city(name, PRODUCTION, host=host)) for name, host in CITIES.items())
    of_kind(gent, "ScaledObject")["routing"]["spec"]["triggers"][0]["metadata"]["host"] = (
        "http://rabbitmq.chat-brugge.svc:15672/"
    )
    assert [line for line in collisions(gent, brugge) if "ScaledObject routing of chat-gent names chat-brugge" in line]


def test_the_names_of_an_installation_are_in_every_object_that_has_them() -> None:
    names = {
        "host": "chat.gent.example",
        "gateway_class": "cilium",
        "front_namespace": "front",
        "trusted_proxies": "10.9.0.0/16",
        "issuer": "our-own",
        "prometheus_release": "prom",
        "runbook": "https://gent.example/runbook",
    }
    objects = parse(city("chat-gent", PRODUCTION, **names))
    assert problems(objects) == []
    text = str(objects)
    times = (6, 1, 2, 1, 1, 7, len(alert_names()) + len(alert_names("kubernetes.yaml")))
    assert [text.count(f"'{value}'") + text.count(f"'{value}#") for value in names.values()] == list(times)
    assert "example.be'" not in text


def test_the_ingress_may_stand_in_place_of_the_gateway_api() -> None:
    chosen = ("ingress", "rabbitmq", "mongodb", "keda", "monitoring", "cert-manager", "clamav")
    objects = parse(assembled(*(DEPLOY / "components" / name for name in chosen)))
    assert problems(objects) == []
    everything_public(objects)
    assert "Ingress gateway: / is public" in problems(objects)


@pytest.fixture(scope="module")
def production() -> list[Object]:
    return parse(text_of(DEPLOY / "overlays" / "production"))


def deployment(objects: list[Object], name: str = "routing") -> Any:
    return of_kind(objects, "Deployment")[name]


def without(kind: str, name: str) -> Callable[[list[Object]], None]:
    def plant(objects: list[Object]) -> None:
        objects[:] = [o for o in objects if (o["kind"], o["metadata"]["name"]) != (kind, name)]

    return plant


def of_container(**fields: Any) -> Callable[[list[Object]], None]:
    return lambda objects: container(deployment(objects)).update(fields)


def variable(name: str, value: str) -> Callable[[list[Object]], None]:
    return lambda objects: container(deployment(objects))["env"].append({"name": name, "value": value})


def ports_of_service(objects: list[Object]) -> None:
    of_kind(objects, "Service")["presence"]["spec"]["ports"][0]["targetPort"] = 9999


def labels_of_pods(objects: list[Object]) -> None:
    deployment(objects)["spec"]["template"]["metadata"]["labels"] = {"app.kubernetes.io/name": "else"}


def misspelled_field(objects: list[Object]) -> None:
    pod_spec(deployment(objects))["terminationGracePeriod"] = 30


def of_an_operator(objects: list[Object]) -> None:
    of_kind(objects, "RabbitmqCluster")["rabbitmq"]["spec"]["replica"] = 3


def of_no_kind(objects: list[Object]) -> None:
    space = next(iter(of_kind(objects, "Namespace")))
    objects.append({"apiVersion": "apps/v1", "kind": "Deploiment", "metadata": {"name": "x", "namespace": space}})


def less_grace(objects: list[Object]) -> None:
    pod_spec(deployment(objects))["terminationGracePeriodSeconds"] = 10


def everything_public(objects: list[Object]) -> None:
    for thing in of_kind(objects, "Ingress").values():
        thing["spec"]["rules"][0]["http"]["paths"][0].update(path="/", pathType="Prefix")
    for thing in of_kind(objects, "HTTPRoute").values():
        thing["spec"]["rules"][0]["matches"] = [{"path": {"type": "PathPrefix", "value": "/"}}]


def route(**fields: Any) -> Callable[[list[Object]], None]:
    return lambda objects: of_kind(objects, "HTTPRoute")["gateway"]["spec"].update(fields)


def cut_off(objects: list[Object]) -> None:
    of_kind(objects, "HTTPRoute")["gateway"]["spec"]["rules"][0]["timeouts"] = {"request": "60s"}


def another_listener(objects: list[Object]) -> None:
    of_kind(objects, "Gateway")["public"]["spec"]["listeners"][1]["hostname"] = "chat.elsewhere.example"


def another_certificate(objects: list[Object]) -> None:
    of_kind(objects, "Certificate")["gateway"]["spec"]["secretName"] = "tls"


def no_release(objects: list[Object]) -> None:
    del of_kind(objects, "PrometheusRule")["eloket"]["metadata"]["labels"]


def rule(number: int, **fields: Any) -> Callable[[list[Object]], None]:
    return lambda objects: of_kind(objects, "PrometheusRule")["eloket"]["spec"]["groups"][1]["rules"][number].update(
        fields
    )


def scaled_by_all_cities(objects: list[Object]) -> None:
    query = "sum(eloket_gateway_connections)"
    of_kind(objects, "ScaledObject")["gateway"]["spec"]["triggers"][0]["metadata"]["query"] = query


def an_old_broker(objects: list[Object]) -> None:
    of_kind(objects, "RabbitmqCluster")["rabbitmq"]["spec"]["image"] = "rabbitmq:4.2.9-management"


def no_signatures(objects: list[Object]) -> None:
    del pod_spec(deployment(objects, "clamav"))["initContainers"]


def a_root_before(objects: list[Object]) -> None:
    pod_spec(deployment(objects, "clamav"))["initContainers"][0]["securityContext"] = {}


def one_pulls(objects: list[Object]) -> None:
    of_kind(objects, "ServiceAccount")["gateway"]["imagePullSecrets"] = [{"name": "registry"}]


def no_exporter(objects: list[Object]) -> None:
    del of_kind(objects, "MongoDBCommunity")["mongodb"]["spec"]["prometheus"]


def a_broker_of_another(objects: list[Object]) -> None:
    host = "http://rabbitmq.chat-gent.svc:15672/"
    of_kind(objects, "ScaledObject")["routing"]["spec"]["triggers"][1]["metadata"]["host"] = host


def a_written_secret(objects: list[Object]) -> None:
    space = next(iter(of_kind(objects, "Namespace")))
    name = {"name": "eloket", "namespace": space}
    objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": name, "stringData": {"TOKEN_SECRET": "x"}})


def a_wide_policy(objects: list[Object]) -> None:
    space = next(iter(of_kind(objects, "Namespace")))
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    name = {"name": "wide", "namespace": space}
    objects.append({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": name, "spec": spec})


def an_account_without_its_token(objects: list[Object]) -> None:
    of_kind(objects, "ServiceAccount")["mongodb-kubernetes-appdb"]["automountServiceAccountToken"] = False


def pods_without_their_token(objects: list[Object]) -> None:
    template = {"metadata": {}, "spec": {"automountServiceAccountToken": False, "containers": []}}
    of_kind(objects, "MongoDBCommunity")["mongodb"]["spec"]["statefulSet"]["spec"]["template"] = template


def a_role_for_nobody(objects: list[Object]) -> None:
    of_kind(objects, "RoleBinding")["mongodb-kubernetes-appdb"]["subjects"][0]["namespace"] = "elsewhere"


def a_cluster_that_never_grows(objects: list[Object]) -> None:
    rabbitmq = of_kind(objects, "RabbitmqCluster")["rabbitmq"]["spec"]
    rabbitmq["rabbitmq"]["additionalConfig"] = "cluster_partition_handling = pause_minority\n"


def a_larger_cluster(objects: list[Object]) -> None:
    of_kind(objects, "RabbitmqCluster")["rabbitmq"]["spec"]["replicas"] = 5


PLANTED: dict[str, tuple[Callable[[list[Object]], None], str]] = {
    "no Service": (without("Service", "transcripts"), "transcripts has no Service"),
    "no budget": (without("PodDisruptionBudget", "gateway"), "gateway has no PodDisruptionBudget"),
    "no policy": (without("NetworkPolicy", "routing"), "in the design, but not allowed: gateway -> routing:8002"),
    "no account": (without("ServiceAccount", "presence"), "there is no ServiceAccount presence"),
    "a wide policy": (a_wide_policy, "allowed, but not in the design: "),
    "latest": (of_container(image="registry.example.be/eloket-chat/routing:latest"), "does not name a version"),
    "no version": (of_container(image="registry.example.be/eloket-chat/routing"), "does not name a version"),
    "no resources": (of_container(resources={}), "has no limits of memory"),
    "rights": (of_container(securityContext={}), "must have no capabilities"),
    "no probe": (of_container(readinessProbe={}), "its readinessProbe is not /readyz"),
    "unread": (variable("HELLO_LIMITS", "3"), "routing: nobody reads HELLO_LIMITS"),
    "refused": (variable("HELLO_LIMIT", "soon"), "HELLO_LIMIT"),
    "written down": (variable("TOKEN_SECRET", "abc"), "TOKEN_SECRET is written down"),
    "a Secret": (a_written_secret, "Secret eloket is written down"),
    "ports": (ports_of_service, "Service presence: its pods have no port 9999"),
    "labels": (labels_of_pods, "Deployment routing selects no pod"),
    "a field": (misspelled_field, "terminationGracePeriod"),
    "no such kind": (of_no_kind, "Kubernetes 1.31 has no Deploiment of apps/v1"),
    "an operator's field": (of_an_operator, "RabbitmqCluster rabbitmq"),
    "grace": (less_grace, "routing needs"),
    "an account's token": (an_account_without_its_token, "whose pods get no token"),
    "a pod's token": (pods_without_their_token, "whose pods get no token"),
    "a role for nobody": (a_role_for_nobody, "is for an account that is not in this build"),
    "no solver": (
        without("NetworkPolicy", "http01-solver"),
        "in the design, but not allowed: in front -> http01 solver:8089",
    ),
    "no front door": (
        without("NetworkPolicy", "front-door"),
        "in the design, but not allowed: in front -> gateway:8000",
    ),
    "an old broker": (an_old_broker, "RabbitMQ 4.3 is the oldest that is maintained"),
    "no signatures": (no_signatures, "Deployment clamav starts without signatures"),
    "rights before": (a_root_before, "Deployment clamav must have no more rights before"),
    "one account pulls": (one_pulls, "ServiceAccount mongodb-kubernetes-appdb pulls without the registry's Secret"),
    "the broker pulls": (one_pulls, "RabbitmqCluster rabbitmq pulls without the registry's Secret"),
    "no exporter": (no_exporter, "ServiceMonitor mongodb does not find one Service with a port prometheus"),
    "no way to the exporter": (
        without("NetworkPolicy", "prometheus-mongodb"),
        "in the design, but not allowed: prometheus -> mongodb:9216",
    ),
    "cut off": (cut_off, "HTTPRoute gateway: its requests are cut off"),
    "another host": (route(hostnames=["chat.elsewhere.example"]), "its listener https has another host"),
    "a listener's host": (another_listener, "and has TLS for chat.elsewhere.example"),
    "no listener": (route(parentRefs=[{"name": "elsewhere"}]), "HTTPRoute gateway is attached to no listener"),
    "another certificate": (another_certificate, "makes a Secret that no public door uses"),
    "no release": (no_release, "PrometheusRule eloket has no label `release`"),
    "a rule for all": (rule(0, expr="sum(up) == 0"), "EloketServiceDown: up is not of eloket-chat alone"),
    "a rule of nobody": (rule(0, labels={}), "EloketServiceDown does not say that it is of eloket-chat"),
    "no runbook": (rule(0, annotations={}), "EloketServiceDown does not link to its section"),
    "scaled by all cities": (scaled_by_all_cities, "eloket_gateway_connections is not of eloket-chat alone"),
    "a broker of another": (a_broker_of_another, "an address in the namespace chat-gent"),
    "members": (a_cluster_that_never_grows, "does not bring its queues to 3 members"),
    "more members": (a_larger_cluster, "does not bring its queues to 5 members"),
    "all public": (everything_public, "/ is public"),
}


@pytest.mark.parametrize(("plant", "reported"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_reported(
    production: list[Object], plant: Callable[[list[Object]], None], reported: str
) -> None:
    objects = copy.deepcopy(production)
    plant(objects)
    assert [line for line in problems(objects) if reported in line]


TLS = DEPLOY / "components" / "tls"


@pytest.fixture(scope="module")
def encrypted() -> list[Object]:
    """A city that adds the component `tls` to production."""
    return parse(city("chat-gent", PRODUCTION, TLS, host="chat.gent.example"))


def test_tls_fits_a_city_on_production_and_shares_nothing(encrypted: list[Object]) -> None:
    assert problems(encrypted) == []
    brugge = parse(city("chat-brugge", PRODUCTION, TLS, host="chat.brugge.example"))
    assert [problems(brugge), collisions(encrypted, brugge)] == [[], []]
    broker = of_kind(encrypted, "RabbitmqCluster")["rabbitmq"]["spec"]["tls"]
    assert broker == {"secretName": "rabbitmq-tls", "disableNonTLSListeners": True}
    database = of_kind(encrypted, "MongoDBCommunity")["mongodb"]["spec"]
    assert database["security"]["tls"]["enabled"]
    assert database["additionalConnectionStringConfig"]["w"] == "majority", "what was there stays"


def test_the_page_lets_a_running_installation_go_on_while_it_is_switched(tmp_path: Path) -> None:
    page = (DEPLOY.parent / "docs" / "kubernetes.md").read_text()
    written = page.partition("for now, a patch:")[2].partition("2. Hold the services back")[0]
    here = tmp_path.resolve()
    build = {
        "resources": [os.path.relpath(PRODUCTION, here)],
        "components": [os.path.relpath(TLS, here)],
        "transformers": [os.path.relpath(REPLACEMENTS, here)],
        "patches": yaml.safe_load(textwrap.dedent(written)),
    }
    (here / "kustomization.yaml").write_text(yaml.safe_dump(build))
    assert problems(parse(kustomize.text_of(here))) == [
        "RabbitmqCluster rabbitmq answers without TLS too",
        "MongoDBCommunity mongodb answers without TLS too",
    ]


def part(kind: str, name: str, *path: str | int, **fields: Any) -> Callable[[list[Object]], None]:
    """Set these fields at a place of an object."""

    def plant(objects: list[Object]) -> None:
        place: Any = of_kind(objects, kind)[name]["spec"]
        for step in path:
            place = place[step]
        place.update(fields)

    return plant


def at_the_broker(url: str) -> Callable[[list[Object]], None]:
    def plant(objects: list[Object]) -> None:
        env = container(deployment(objects))["env"]
        next(one for one in env if one["name"] == "RABBITMQ_URL")["value"] = url

    return plant


def no_ca_mounted(objects: list[Object]) -> None:
    volumes = pod_spec(deployment(objects))["volumes"]
    next(one for one in volumes if one["name"] == "private-ca")["secret"]["secretName"] = "gateway-tls"


def the_key_mounted(objects: list[Object]) -> None:
    volumes = pod_spec(deployment(objects))["volumes"]
    del next(one for one in volumes if one["name"] == "private-ca")["secret"]["items"]


def keda_without_ca(objects: list[Object]) -> None:
    of_kind(objects, "TriggerAuthentication")["queues"]["spec"]["secretTargetRef"].pop()


def keda_without_tls(objects: list[Object]) -> None:
    of_kind(objects, "ConfigMap")["scaling"]["data"]["tls"] = "disable"


def keda_at(address: str) -> Callable[[list[Object]], None]:
    return part("ScaledObject", "routing", "triggers", 1, "metadata", host=address)


def policy_without(name: str, port: int) -> Callable[[list[Object]], None]:
    def plant(objects: list[Object]) -> None:
        for rule in of_kind(objects, "NetworkPolicy")[name]["spec"]["ingress"]:
            rule["ports"] = [one for one in rule["ports"] if one["port"] != port]

    return plant


def told(service: str, **variables: str) -> Callable[[list[Object]], None]:
    """Give a service other values of these variables."""

    def plant(objects: list[Object]) -> None:
        env = {one["name"]: one for one in container(of_kind(objects, "Deployment")[service])["env"]}
        for name, value in variables.items():
            env[name]["value"] = value

    return plant


CAFILE = "cafile=/etc/eloket/private-ca/ca.crt"
UNENCRYPTED: dict[str, tuple[Callable[[list[Object]], None], str]] = {
    "plain listeners": (
        part("RabbitmqCluster", "rabbitmq", "tls", disableNonTLSListeners=False),
        "RabbitmqCluster rabbitmq answers without TLS too",
    ),
    "optional": (
        part("MongoDBCommunity", "mongodb", "security", "tls", optional=True),
        "MongoDBCommunity mongodb answers without TLS too",
    ),
    "a plain exporter": (
        part("MongoDBCommunity", "mongodb", prometheus={"username": "p", "passwordSecretRef": {"name": "x"}}),
        "MongoDBCommunity mongodb: its exporter answers without TLS",
    ),
    "a plain exporter is scraped": (
        part("MongoDBCommunity", "mongodb", prometheus={"username": "p", "passwordSecretRef": {"name": "x"}}),
        "ServiceMonitor mongodb: mongodb does not answer by https",
    ),
    "a plain address": (
        at_the_broker("amqp://u@rabbitmq:5672/"),
        "routing: RabbitmqCluster rabbitmq does not listen at amqp port 5672",
    ),
    "a plain port": (
        at_the_broker(f"amqps://u@rabbitmq:5672/?{CAFILE}"),
        "routing: RabbitmqCluster rabbitmq does not listen at amqps port 5672",
    ),
    "no CA": (
        at_the_broker("amqps://u@rabbitmq:5671/"),
        "routing: the CA of RabbitmqCluster rabbitmq is not mounted as a file",
    ),
    "another CA": (no_ca_mounted, "routing: the CA of RabbitmqCluster rabbitmq is not mounted as /etc/eloket/"),
    "another CA of the database": (no_ca_mounted, "routing: the CA of MongoDBCommunity mongodb is not mounted as"),
    "a mounted key": (the_key_mounted, "routing: the CA of RabbitmqCluster rabbitmq is not mounted as"),
    "no CA in the database's address": (
        part("MongoDBCommunity", "mongodb", additionalConnectionStringConfig={"w": "majority", "journal": True}),
        "routing: the CA of MongoDBCommunity mongodb is not mounted as a file",
    ),
    "another host of the broker": (
        part("Certificate", "rabbitmq", dnsNames=["rabbitmq.chat-gent.svc"]),
        "gateway: no certificate in Secret rabbitmq-tls of RabbitmqCluster rabbitmq is for rabbitmq",
    ),
    "another host of the database": (
        part("Certificate", "mongodb", dnsNames=["mongodb-svc"]),
        "is for *.mongodb-svc.chat-gent.svc.cluster.local",
    ),
    "a public issuer": (
        part("Certificate", "rabbitmq", issuerRef={"kind": "ClusterIssuer", "name": "letsencrypt"}),
        "Certificate rabbitmq is not for chat.gent.example",
    ),
    "no CA of the issuer": (
        without("Certificate", "private-ca"),
        "Issuer private-ca: no certificate of a CA is in Secret private-ca",
    ),
    "KEDA at the plain port": (
        keda_at("http://rabbitmq.chat-gent.svc:15672/"),
        "ScaledObject routing: RabbitmqCluster rabbitmq does not listen at http port 15672",
    ),
    "KEDA at another host": (
        keda_at("https://broker.chat-gent.svc:15671/"),
        "ScaledObject routing: no certificate in Secret rabbitmq-tls is for broker.chat-gent.svc",
    ),
    "KEDA without the CA": (keda_without_ca, "KEDA does not verify RabbitmqCluster rabbitmq"),
    "KEDA without TLS": (keda_without_tls, "KEDA does not verify RabbitmqCluster rabbitmq"),
    "a plain scrape": (
        part("PodMonitor", "rabbitmq", "podMetricsEndpoints", 0, port="prometheus", scheme="http"),
        "PodMonitor rabbitmq: rabbitmq has no port prometheus",
    ),
    "an unverified scrape": (
        part("PodMonitor", "rabbitmq", "podMetricsEndpoints", 0, tlsConfig={"insecureSkipVerify": True}),
        "PodMonitor rabbitmq: Prometheus does not verify rabbitmq",
    ),
    "an unverified scrape of the database": (
        part("ServiceMonitor", "mongodb", "endpoints", 0, "tlsConfig", serverName="mongodb"),
        "ServiceMonitor mongodb: Prometheus does not verify mongodb",
    ),
    "no way for the operators": (
        policy_without("rabbitmq", 15671),
        "in the design, but not allowed: rabbitmq operators -> rabbitmq:15671",
    ),
    "no way for KEDA": (policy_without("keda", 15671), "in the design, but not allowed: keda -> rabbitmq:15671"),
    "no way for Prometheus": (
        policy_without("prometheus-rabbitmq", 15691),
        "in the design, but not allowed: prometheus -> rabbitmq:15691",
    ),
    "a service asked without TLS": (
        told("gateway", ROUTING_URL="http://routing:8002"),
        "gateway: asks routing without TLS",
    ),
    "a service asked at another port": (
        told("gateway", ROUTING_URL="https://routing:8444"),
        "gateway: ROUTING_URL: Service routing has no port 8444",
    ),
    "a service that is not verified": (
        told("gateway", TLS_CA="/etc/ssl/certs/ca-certificates.crt"),
        "gateway: the CA of Deployment routing is not mounted as /etc/ssl/certs/",
    ),
    "another host of a service": (
        part("Certificate", "routing", dnsNames=["router"]),
        "gateway: no certificate in Secret routing-tls of Deployment routing is for routing",
    ),
    "a service's key elsewhere": (
        told("routing", TLS_KEY="/etc/eloket/other/tls.key"),
        "routing: its certificate and key are not mounted from one Secret",
    ),
    "another port of a service": (
        told("routing", TLS_PORT="8444"),
        "routing: its container does not say that it listens at 8444",
    ),
    "no way to a service": (
        policy_without("routing", 8443),
        "in the design, but not allowed: gateway -> routing:8443",
    ),
}


@pytest.mark.parametrize(("plant", "reported"), UNENCRYPTED.values(), ids=UNENCRYPTED)
def test_a_fault_in_tls_is_reported(
    encrypted: list[Object], plant: Callable[[list[Object]], None], reported: str
) -> None:
    objects = copy.deepcopy(encrypted)
    plant(objects)
    assert [line for line in problems(objects) if reported in line]


@pytest.fixture(scope="module")
def with_backup() -> list[Object]:
    return parse(text_of(DEPLOY / "components" / "backup"))


def of_job(**fields: Any) -> Callable[[list[Object]], None]:
    return lambda objects: of_kind(objects, "CronJob")["backup"]["spec"].update(fields)


def of_its_container(**fields: Any) -> Callable[[list[Object]], None]:
    return lambda objects: container(of_kind(objects, "CronJob")["backup"]).update(fields)


def no_deadline(objects: list[Object]) -> None:
    del of_kind(objects, "CronJob")["backup"]["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]


def a_way_to_the_broker(objects: list[Object]) -> None:
    policies = of_kind(objects, "NetworkPolicy")
    policies["backup"]["spec"]["egress"][0]["to"].append({"namespaceSelector": {}})


PLANTED_IN_BACKUP: dict[str, tuple[Callable[[list[Object]], None], str]] = {
    "two at a time": (of_job(concurrencyPolicy="Allow"), "CronJob backup must have one job at a time"),
    "no deadline": (no_deadline, "CronJob backup must have a deadline"),
    "rights": (of_its_container(securityContext={}), "CronJob backup must have no capabilities"),
    "no resources": (of_its_container(resources={}), "CronJob backup has no limits of memory"),
    "no account": (without("ServiceAccount", "backup"), "there is no ServiceAccount backup"),
    "no claim": (without("PersistentVolumeClaim", "backups"), "CronJob backup: there is no claim backups"),
    "no way out": (
        without("NetworkPolicy", "backup"),
        "in the design, but not allowed: backup -> mongodb:27017",
    ),
    "no way in": (
        without("NetworkPolicy", "backup-mongodb"),
        "in the design, but not allowed: backup -> mongodb:27017",
    ),
    "anywhere": (a_way_to_the_broker, "allowed, but not in the design: backup -> dns:27017"),
}


@pytest.mark.parametrize(("plant", "reported"), PLANTED_IN_BACKUP.values(), ids=PLANTED_IN_BACKUP)
def test_a_planted_fault_of_the_backup_is_reported(
    with_backup: list[Object], plant: Callable[[list[Object]], None], reported: str
) -> None:
    objects = copy.deepcopy(with_backup)
    plant(objects)
    assert [line for line in problems(objects) if reported in line]


def test_the_pod_that_reads_backups_has_no_more_rights_than_the_job(with_backup: list[Object]) -> None:
    (pod,) = parse((DEPLOY / "examples" / "backup" / "reader.yaml").read_text())
    assert schemas.problems([pod]) == []
    job = pod_spec(of_kind(with_backup, "CronJob")["backup"])
    reader = pod["spec"]
    assert reader["securityContext"] == job["securityContext"]
    for name in ("securityContext", "image"):
        assert reader["containers"][0][name] == container(of_kind(with_backup, "CronJob")["backup"])[name]
    assert reader["volumes"][0] == job["volumes"][0]
    assert reader["automountServiceAccountToken"] is False
    assert not any(
        selects(policy["spec"]["podSelector"], pod["metadata"]["labels"]) and policy["spec"]["podSelector"]
        for policy in of_kind(with_backup, "NetworkPolicy").values()
    )


def test_the_small_installation_is_small_with_all_members() -> None:
    objects = parse(text_of(DEPLOY / "overlays" / "small"))
    assert of_kind(objects, "RabbitmqCluster")["rabbitmq"]["spec"]["replicas"] == 3
    assert of_kind(objects, "MongoDBCommunity")["mongodb"]["spec"]["members"] == 3
    # Without these lines the operator gives each member's first containers 500m and 400M.
    del of_kind(objects, "MongoDBCommunity")["mongodb"]["spec"]["statefulSet"]["spec"]["template"]["spec"][
        "initContainers"
    ]
    assert sizes.problems(objects, "small") == ["requests 2.60 CPU, 5.00 GiB: more than 2.00 CPU, 5.00 GiB"]


def test_quantities_are_read_as_kubernetes_reads_them() -> None:
    read = {"250m": 0.25, "2": 2, 1: 1, "0.5": 0.5, "400M": 400e6, "1536Mi": 1.5 * sizes.GIB}
    assert {text: sizes.quantity(text) for text in read} == read
    with pytest.raises(ValueError, match="is no quantity"):
        sizes.quantity("many")


def test_an_exception_is_for_one_check_at_one_place_and_goes_when_it_is_of_no_use() -> None:
    failed = {"check_id": "CKV_K8S_40", "check_name": "high UID"}
    at = {"clamav": failed | {"resource": "Deployment.eloket-chat.clamav"}}
    elsewhere = failed | {"resource": "Deployment.eloket-chat.routing"}
    reported = checkov.problems({"a": [at["clamav"], elsewhere]})
    assert reported["a"] == ["CKV_K8S_40 high UID: Deployment.eloket-chat.routing"]
    assert [line for line in reported[""] if "CKV_K8S_15" in line and "fails nowhere any more" in line]
    assert not [line for line in reported[""] if "CKV_K8S_40" in line]
