"""The files for operators agree with the code: every metric is defined, every alert set off by what it is for alone."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploy.local.settings import SERVICES
from deploy.manifests import codegen, promql
from tests.deploy.monitoring import FOLDER, ROOT, alert_names, dashboard, panels, shown

REGISTERED = """
import importlib, json, sys
import prometheus_client
found = []
def written_down(kind, make):
    def made(name, documentation, labelnames=(), **more):
        found.append([name, kind, list(labelnames)])
        return make(name, documentation, labelnames, **more)
    return made
for kind in ("Counter", "Gauge", "Histogram"):
    setattr(prometheus_client, kind, written_down(kind.lower(), getattr(prometheus_client, kind)))
for name in sys.argv[2:]:
    importlib.import_module(name)
importlib.import_module(f"services.{sys.argv[1]}.app")
print(json.dumps(found))
"""
"""Prints the metrics that a service defines: a registry does not show the labels of one that has no values yet."""
ON_DEMAND = {
    "presence": [
        "services.presence.agents.breached_passwords",
        "services.presence.oidc.identifications",
        "services.presence.oidc.logins",
    ]
}
"""Modules with metrics that a service loads only where its settings ask for them."""
ROW = re.compile(r"^\| `(eloket_\w+)` \| (\w+) \| (.*?) \| ", re.MULTILINE)
WELL = {f'up{{job="{name}", instance="1"}}': "1x300" for name in SERVICES}


def defined() -> dict[str, tuple[str, list[str]]]:
    """What docs/metrics.md says of each metric: its type and the names of its labels."""
    rows = ROW.findall((ROOT / "docs" / "metrics.md").read_text())
    found = {name: (kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}
    assert len(found) == len(rows), "one row for each"
    return found


def test_every_metric_of_the_four_services_is_defined_and_no_other() -> None:
    registered: dict[str, tuple[str, list[str]]] = {}
    for service in SERVICES:
        command = [sys.executable, "-c", REGISTERED, service, *ON_DEMAND.get(service, [])]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        registered |= {name: (kind, labels) for name, kind, labels in json.loads(made.stdout)}
    assert defined() == registered


def test_no_label_names_a_person_or_a_chat() -> None:
    for name, (_, labels) in defined().items():
        assert not {label for label in labels if re.search(r"id$|name|user|address|agent|chat", label)}, name


def test_what_dashboard_and_alerts_speak_of_is_defined() -> None:
    rules = (FOLDER / "alerts.yaml").read_text()
    recorded = set(re.findall(r"- record: (\S+)", rules))
    texts = [rules, *(query.expression for query in shown())]
    names = {name for text in texts for name, _ in promql.selectors(text) if name.startswith("eloket")}
    assert len(names) > 30
    known = {f"{name}{suffix}" for name, (kind, _) in defined().items() for suffix in SUFFIXES[kind]}
    assert names <= known | recorded


KUBERNETES = "kubernetes.yaml"
SUFFIXES = {"gauge": [""], "counter": [""], "histogram": ["_bucket", "_count", "_sum"]}


def test_every_alert_has_its_entry_in_the_runbook_and_no_entry_is_left_over() -> None:
    entries = re.findall(r"^## (Eloket\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(entries) == sorted(alert_names() + alert_names(KUBERNETES))
    for file in ("alerts.yaml", KUBERNETES):
        rules = (FOLDER / file).read_text()
        for alert in alert_names(file):
            assert f'runbook_url: "docs/runbook.md#{alert.lower()}"' in rules
        number = len(alert_names(file))
        assert [len(re.findall(rf"^ +{part}:", rules, re.MULTILINE)) for part in PARTS] == [number] * len(PARTS)


PARTS = ("severity", "summary", "description", "runbook_url")


def test_every_entry_of_the_runbook_says_the_same_five_things() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    for entry in text.split("\n## ")[1:]:
        parts = [re.match(r"\*\*(.+?)\*\*", line) for line in entry.splitlines()]
        assert [part[1].rstrip(".") for part in parts if part] == [
            "People notice",
            "Look at",
            "On Kubernetes",
            "Do",
            "Over",
        ]
        assert "kubectl -n $NS " in entry


def test_every_panel_says_what_it_shows_in_which_unit_and_no_two_overlap() -> None:
    made = dashboard()
    everything = [panel for row in made["panels"] for panel in (row, *row.get("panels", ()))]
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["legendFormat"] for target in panel["targets"])
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert {variable["name"] for variable in made["templating"]["list"]} == {
        "datasource",
        "namespace",
        "department",
        "job",
    }


# ── the alerts, played ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Scene:
    """Series, one value each 30 s (as promtool writes them), and how many alerts of one name they set off by then."""

    alert: str
    series: dict[str, str]
    at: str
    fires: int = 1
    well: dict[str, str] = field(default_factory=lambda: WELL)


def dependencies(job: str, name: str, *replicas: str) -> dict[str, str]:
    """What the replicas of one service say of one dependency."""
    return {
        f'eloket_dependency_up{{job="{job}", instance="{number}", dependency="{name}"}}': values
        for number, values in enumerate(replicas)
    }


def requests(job: str, failed: float, well: float) -> dict[str, str]:
    """HTTP requests to one service: how many failed and how many did not, each 30 s."""
    series = f'eloket_http_request_seconds_count{{job="{job}", route="/api/chats", method="POST", status="%s"}}'
    return {series % 503: f"0+{failed}x300", series % 201: f"0+{well}x300", series % 429: f"0+{well}x300"}


def members(*nodes: str) -> dict[str, str]:
    """What the nodes of RabbitMQ say of one quorum queue, the leader first, as far as they are its members.

    They also have a classic queue, which is of no concern here.
    """
    series = {f'rabbitmq_identity_info{{rabbitmq_node="{number}"}}': "1x300" for number in range(len(nodes))}
    series['rabbitmq_queue_info{queue="amq.gen-1", queue_type="rabbit_classic_queue", membership="leader"}'] = "1x300"
    for number, values in enumerate(nodes):
        part = "follower" if number else "leader"
        labels = f'queue="transcripts.messages", queue_type="rabbit_quorum_queue", membership="{part}"'
        series[f'rabbitmq_queue_info{{instance="{number}", vhost="/", {labels}}}'] = values
    return series


RESCANS = 'eloket_transcripts_rescans_total{outcome="%s"}'
UNSIGNED = "eloket_transcripts_unsigned_oldest_seconds"
RETENTION_RUN, CONFIRMED = (f"eloket_transcripts_retention_{part}" for part in ("run_timestamp_seconds", "confirmed"))
CLIENTS = "eloket_transcripts_client_authentications_total"
OLDEST = "eloket_transcripts_outbox_oldest_seconds"
REFUSES = "eloket_configuration_refused"
BUCKET, COUNT = (f"eloket_gateway_delivery_seconds_{part}" for part in ("bucket", "count"))
LATE = {f'{COUNT}{{to="agent"}}': "0+100x300"}
SCENES = [
    Scene("EloketRetentionStands", {RETENTION_RUN: "-90000x300"}, "65m"),
    Scene("EloketRetentionStands", {RETENTION_RUN: "-70000x300"}, "65m", 0),
    Scene("EloketRetentionStands", {RETENTION_RUN: "-90000x60 1800x300"}, "65m", 0),  # done again
    Scene("EloketRetentionStands", {RETENTION_RUN + '{instance="2"}': "-90000x300", RETENTION_RUN: "0x300"}, "65m", 0),
    Scene("EloketRetentionNotConfirmed", {CONFIRMED + '{department="a"}': "0x300"}, "65m"),
    Scene("EloketRetentionNotConfirmed", {CONFIRMED + '{department="a"}': "1x300"}, "65m", 0),
    Scene("EloketConfigurationRefused", {REFUSES + '{job="presence", instance="1"}': "0 1x300"}, "10m"),
    Scene("EloketConfigurationRefused", {REFUSES + '{job="presence", instance="1"}': "1 1 1 0x300"}, "10m", 0),
    Scene("EloketMalwareFound", {RESCANS % "infected": "0x9 1x90"}, "10m"),
    Scene("EloketMalwareFound", {RESCANS % "infected": "3x300", RESCANS % "clean": "0+1x300"}, "70m", 0),
    Scene("EloketMalwareFound", {RESCANS % "infected": "0x9 1x300"}, "70m", 0),  # an hour later
    Scene("EloketTranscriptsUnsigned", {UNSIGNED: "0+30x300"}, "30m"),
    Scene("EloketTranscriptsUnsigned", {UNSIGNED: "5x300", UNSIGNED + '{instance="2"}': "0+30x300"}, "30m"),
    Scene("EloketTranscriptsUnsigned", {UNSIGNED: "600x300"}, "30m", 0),
    Scene("EloketTranscriptsUnsigned", {UNSIGNED: "0+30x40 5x300"}, "40m", 0),  # signed again
    Scene("EloketUnusualReading", {"eloket_transcripts_unusual_reading_total": "0x9 1x90"}, "10m"),
    Scene("EloketUnusualReading", {"eloket_transcripts_unusual_reading_total": "3x300"}, "70m", 0),
    Scene("EloketWebhooksLate", {OLDEST + '{target="crm", instance="2"}': "0+60x300", OLDEST: "0x300"}, "40m"),
    Scene("EloketWebhooksLate", {OLDEST + '{target="crm", instance="2"}': "1700x300"}, "40m", 0),
    Scene("EloketWebhooksDead", {'eloket_transcripts_outbox_dead{target="crm"}': "0 2x300"}, "10m"),
    Scene("EloketWebhooksDead", {'eloket_transcripts_outbox_dead{target="crm"}': "2x4 0x300"}, "10m", 0),
    Scene("EloketClientsRefused", {CLIENTS + '{outcome="refused"}': "0+4x300", CLIENTS: "0x300"}, "40m"),
    Scene("EloketClientsRefused", {CLIENTS + '{outcome="refused"}': "0+1x10 10x290"}, "40m", 0),
    Scene("EloketClientsRefused", {CLIENTS + '{outcome="granted"}': "0+9x300"}, "40m", 0),
    Scene("EloketServiceDown", {}, "2m", 1, {**WELL, 'up{job="routing", instance="1"}': "1x1 0x300"}),
    Scene("EloketServiceDown", {}, "1m", 0, {**WELL, 'up{job="routing", instance="1"}': "1x1 0x300"}),
    Scene("EloketServiceDown", {'up{job="gateway", instance="2"}': "0x300"}, "10m", 0),  # another replica is there
    Scene("EloketServiceDown", {}, "2m", 2, dict(list(WELL.items())[:2])),  # two that Prometheus does not know
    Scene("EloketServiceRestarts", {'process_start_time_seconds{job="gateway", instance="1"}': "0+100x4 400x9"}, "5m"),
    Scene("EloketServiceRestarts", {'process_start_time_seconds{job="gateway", instance="1"}': "0 100x300"}, "5m", 0),
    Scene("EloketRequestsFail", requests("gateway", failed=10, well=90), "10m"),
    Scene("EloketRequestsFail", requests("gateway", failed=2, well=98), "10m", 0),
    Scene("EloketRequestsFail", requests("presence", failed=0.5, well=0), "7m", 0),  # too few to judge
    Scene("EloketRequestsFail", requests("routing", failed=10, well=90) | requests("gateway", 10, 90), "10m", 2),
    Scene("EloketMessagesWithoutReceipt", {"eloket_gateway_unreceipted_oldest_seconds": "0 0+30x20"}, "3m"),
    Scene("EloketMessagesWithoutReceipt", {"eloket_gateway_unreceipted_oldest_seconds": "15x20"}, "3m", 0),
    Scene("EloketMessagesRefused", {'eloket_gateway_refused_total{code="unavailable"}': "0x9 20x9"}, "6m"),
    Scene("EloketMessagesRefused", {'eloket_gateway_refused_total{code="unavailable"}': "0x9 5x9"}, "6m", 0),
    Scene("EloketMessagesRefused", {'eloket_gateway_refused_total{code="rate_limited"}': "0x9 90x9"}, "6m", 0),
    Scene("EloketMessagesSlow", {**LATE, f'{BUCKET}{{to="agent", le="1.0"}}': "0+90x300"}, "10m"),
    Scene("EloketMessagesSlow", {**LATE, f'{BUCKET}{{to="agent", le="1.0"}}': "0+99x300"}, "10m", 0),
    Scene("EloketMessagesSlow", {**LATE, f'{BUCKET}{{to="agent", le="1.0"}}': "0+97x300"}, "10m", 0),
    Scene("EloketMessagesSlow", {**LATE, f'{BUCKET}{{to="agent", le="1.0"}}': "0+100x220 22090+90x40"}, "115m30s", 0),
    Scene("EloketQueueStands", {'eloket_queue_oldest_seconds{queue="transcripts.messages"}': "0 0+30x20"}, "4m"),
    Scene("EloketQueueStands", {'eloket_queue_oldest_seconds{queue="transcripts.messages"}': "5x20"}, "4m", 0),
    Scene("EloketDeadLetters", {'eloket_dead_letters{service="routing"}': "0 2x20"}, "6m"),
    Scene("EloketDeadLetters", {'eloket_dead_letters{service="routing"}': "0 2x4 0x20"}, "6m", 0),
    Scene("EloketButtonUnknown", {'eloket_gateway_button{department="a", reason="unknown"}': "0 1x20"}, "2m"),
    Scene("EloketButtonUnknown", {'eloket_gateway_button{department="a", reason="closed"}': "1x20"}, "9m", 0),
    Scene("EloketNobodyThere", {'eloket_gateway_button{department="a", reason="no_agents"}': "0 1x90"}, "16m"),
    Scene("EloketNobodyThere", {'eloket_gateway_button{department="a", reason="closed"}': "1x90"}, "16m", 0),
    Scene("EloketDependencyAway", dependencies("presence", "database", "1 0x20", "0x20"), "4m"),
    Scene("EloketDependencyAway", dependencies("routing", "consumers", "1x20", "1 0x20"), "4m"),  # one of two
    Scene(
        "EloketDependencyAway", dependencies("gateway", "broker", "1 0x2 1x20", "1 0x2 1x20"), "4m", 0
    ),  # an election
    Scene("EloketQueueUnderReplicated", members("1x300", "1x300", "_x300"), "30m"),
    Scene("EloketQueueUnderReplicated", members("1x300", "_x300", "_x300"), "30m"),
    Scene("EloketQueueUnderReplicated", members("1x300", "1x300", "_x10 1x300"), "30m", 0),  # grown within minutes
    Scene("EloketQueueUnderReplicated", members("1x300", "1x20 _x10 1x300", "1x300"), "30m", 0),  # a node was restarted
    Scene("EloketQueueUnderReplicated", members("1x300"), "30m", 0),  # one node alone, as under `make run`
    Scene("EloketLongWait", {'eloket_routing_longest_wait_seconds{department="a"}': "0+30x90"}, "13m"),
    Scene("EloketLongWait", {'eloket_routing_longest_wait_seconds{department="a"}': "200x90"}, "13m", 0),
    Scene(
        "EloketChatsAbandoned",
        {
            'eloket_routing_opened_total{department="a"}': "0+1x300",
            'eloket_routing_abandoned_total{department="a", reason="citizen"}': "0 0+0.4x300",
            'eloket_routing_opened_total{department="b"}': "0+1x300",
            'eloket_routing_abandoned_total{department="b", reason="citizen"}': "0+0.1x300",
        },
        "40m",
    ),
    Scene(
        "EloketChatsAbandoned",  # too few to judge
        {
            'eloket_routing_opened_total{department="a"}': "0x9 4x300",
            'eloket_routing_abandoned_total{department="a", reason="no_agent"}': "0x9 4x300",
        },
        "40m",
        0,
    ),
    Scene(
        "EloketSlowSockets", {'eloket_gateway_connections_closed_total{party="citizen", code="4430"}': "0+1x60"}, "15m"
    ),
    Scene(
        "EloketSlowSockets", {'eloket_gateway_connections_closed_total{party="agent", code="4430"}': "0 5x60"}, "9m", 0
    ),
    Scene(
        "EloketSlowSockets",
        {'eloket_gateway_connections_closed_total{party="citizen", code="1000"}': "0+9x60"},
        "15m",
        0,
    ),
    Scene(
        "EloketFactsLost",
        {
            'eloket_routing_repairs_total{reason="untold"}': "0+1x90",
            'eloket_presence_repairs_total{reason="unconfirmed"}': "0+1x90",
        },
        "40m",
    ),
    Scene(
        "EloketFactsLost",
        {
            'eloket_routing_repairs_total{reason="not_greeted"}': "0+9x90",
            'eloket_presence_repairs_total{reason="unconfirmed"}': "0x40 20x90",
        },
        "40m",
        0,
    ),
]


def here(series: str, values: str, **labels: str) -> dict[str, str]:
    """A series of this namespace, and the same of another city, which is of no concern here."""
    own = "".join(f', {label}="{value}"' for label, value in labels.items())
    key = "exported_namespace" if series.startswith(("certmanager", "keda")) else "namespace"
    spaces = (codegen.NAMESPACE, "chat-gent")
    return {f'{series}{{{key}="{s}"{own}}}': values if s == codegen.NAMESPACE else "_" for s in spaces}


def statefulset(name: str, ready: str) -> dict[str, str]:
    return here("kube_statefulset_replicas", "3x300", statefulset=name) | here(
        "kube_statefulset_status_replicas_ready", ready, statefulset=name
    )


def disk(free: str) -> dict[str, str]:
    claim = {"persistentvolumeclaim": "data-volume-mongodb-0"}
    return here("kubelet_volume_stats_available_bytes", free, **claim) | here(
        "kubelet_volume_stats_capacity_bytes", "100x300", **claim
    )


def states(*values: str) -> dict[str, str]:
    series = [here("mongodb_members_state", one, member_idx=str(number)) for number, one in enumerate(values)]
    return {name: v for one in series for name, v in one.items()}


def optimes(*values: str) -> dict[str, str]:
    series = [here("mongodb_members_optimeDate", one, member_idx=str(number)) for number, one in enumerate(values)]
    return {name: v for one in series for name, v in one.items()}


UNAVAILABLE, AVAILABLE = (f"kube_deployment_status_replicas_{part}" for part in ("unavailable", "available"))
EXPIRES, ERRORS = "certmanager_certificate_expiration_timestamp_seconds", "keda_scaler_detail_errors_total"
SUCCESSFUL, CREATED = "kube_cronjob_status_last_successful_time", "kube_cronjob_created"
OWN_WELL = {f'up{{namespace="{codegen.NAMESPACE}", job="{name}", instance="1"}}': "1x300" for name in SERVICES}
# The scenes begin at time 0, so a time of operations is the time of the scene.
ON_KUBERNETES = [
    Scene("EloketReplicasNotReady", here(UNAVAILABLE, "0 1x90", deployment="gateway"), "17m"),
    Scene("EloketReplicasNotReady", here(UNAVAILABLE, "0 1x9 0x90", deployment="gateway"), "17m", 0),  # an update
    Scene("EloketMembersNotReady", statefulset("rabbitmq-server", "3 2x90"), "12m"),
    Scene("EloketMembersNotReady", statefulset("mongodb", "3 2x9 3x90"), "12m", 0),  # one was restarted
    Scene("EloketBrokerAlarm", here("rabbitmq_alarms_free_disk_space_watermark", "0 1x20", instance="1"), "3m"),
    Scene("EloketBrokerAlarm", here("rabbitmq_alarms_memory_used_watermark", "0x20", instance="1"), "3m", 0),
    Scene("EloketDatabaseWithoutPrimary", states("1 2x20", "2x20", "8x20"), "3m"),
    Scene("EloketDatabaseWithoutPrimary", states("1x20", "2x20", "8x20"), "3m", 0),
    Scene("EloketDatabaseWithoutPrimary", states("1 2x1 2x20", "2 2 1x20", "2x20"), "3m", 0),  # an election
    Scene("EloketDatabaseLag", optimes("0+30x90", "0+30x4 120x90"), "15m"),  # in seconds
    Scene("EloketDatabaseLag", optimes("0+30000x90", "0+30000x4 120000x90"), "15m"),  # in milliseconds
    Scene("EloketDatabaseLag", optimes("0+30x90", "0 0+30x90"), "15m", 0),
    Scene("EloketDiskFull", disk("90 15x90"), "12m"),
    Scene("EloketDiskFull", disk("30x90"), "12m", 0),
    Scene("EloketCertificateExpires", here(EXPIRES, "864000x300", name="gateway"), "70m"),
    Scene("EloketCertificateExpires", here(EXPIRES, "2592000x300", name="gateway"), "70m", 0),
    Scene("EloketScannerAway", here(AVAILABLE, "2 0x90", deployment="clamav"), "7m"),
    Scene("EloketScannerAway", here(AVAILABLE, "2 1x90", deployment="clamav"), "7m", 0),
    Scene("EloketBackupOld", here(SUCCESSFUL, "-107000x300", cronjob="backup"), "45m"),
    Scene("EloketBackupOld", here(SUCCESSFUL, "-90000x300", cronjob="backup"), "45m", 0),
    Scene("EloketBackupOld", here(SUCCESSFUL, "-107000x60 1800x300", cronjob="backup"), "45m", 0),  # made again
    Scene("EloketBackupOld", here(CREATED, "-107000x300", cronjob="backup"), "45m"),  # none was ever made
    Scene("EloketBackupOld", here(CREATED, "-80000x300", cronjob="backup"), "45m", 0),  # since the first evening
    Scene(
        "EloketBackupOld",
        here(CREATED, "-900000x300", cronjob="backup") | here(SUCCESSFUL, "-80000x300", cronjob="backup"),
        "45m",
        0,
    ),
    Scene("EloketBackupOld", here(SUCCESSFUL, "-900000x300", cronjob="another"), "45m", 0),
    Scene("EloketScalerFallback", here(ERRORS, "0+1x90", scaledObject="gateway"), "25m"),
    Scene("EloketScalerFallback", here(ERRORS, "0x9 2x90", scaledObject="gateway"), "25m", 0),
]


def test_every_alert_is_played_both_ways() -> None:
    for alert in [*alert_names(), *alert_names(KUBERNETES)]:
        played_ways = {bool(scene.fires) for scene in [*SCENES, *ON_KUBERNETES] if scene.alert == alert}
        assert played_ways == {True, False}, alert


def test_each_scene_on_kubernetes_sets_off_its_alert_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(json.dumps({"groups": codegen.rules()["spec"]["groups"]}))
    scenes = [played(replace(scene, well=OWN_WELL)) for scene in ON_KUBERNETES]
    tests = {"rule_files": ["alerts.yaml"], "evaluation_interval": "30s", "tests": scenes}
    (tmp_path / "scenes.yaml").write_text(json.dumps(tests))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "scenes.yaml"))


def test_each_scene_sets_off_its_alert_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text((FOLDER / "alerts.yaml").read_text())
    tests = {"rule_files": ["alerts.yaml"], "evaluation_interval": "30s", "tests": [played(s) for s in SCENES]}
    (tmp_path / "scenes.yaml").write_text(json.dumps(tests))  # JSON is YAML
    said = promtool("test", "rules", str(tmp_path / "scenes.yaml"))
    assert "SUCCESS" in said


def played(scene: Scene) -> dict[str, object]:
    labels = f'{{alertname="{scene.alert}"}}'
    firing = [{"labels": labels, "value": scene.fires}] if scene.fires else []
    expression = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "name": f"{scene.alert} {scene.series}",
        "interval": "30s",
        "input_series": [{"series": s, "values": v} for s, v in (scene.well | scene.series).items()],
        "promql_expr_test": [{"expr": expression, "eval_time": scene.at, "exp_samples": firing}],
    }


def test_a_city_that_is_down_is_seen_beside_one_that_is_well(tmp_path: Path) -> None:
    """On Kubernetes the rules are of one namespace: neither another city nor another application hides a failure."""
    groups = codegen.rules()["spec"]["groups"]
    (tmp_path / "alerts.yaml").write_text(json.dumps({"groups": groups}))
    own = {f'up{{namespace="{codegen.NAMESPACE}", job="{name}", instance="1"}}': "1x1 0x300" for name in SERVICES}
    others = {
        f'up{{namespace="{space}", job="{name}", instance="1"}}': "1x300"
        for space in ("chat-gent", "shop")
        for name in SERVICES
    }
    down = Scene("EloketServiceDown", own, "3m", 4, others)
    well = Scene("EloketServiceDown", dict.fromkeys(own, "1x300"), "3m", 0, dict.fromkeys(others, "0x300"))
    tests = {"rule_files": ["alerts.yaml"], "evaluation_interval": "30s", "tests": [played(down), played(well)]}
    (tmp_path / "scenes.yaml").write_text(json.dumps(tests))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "scenes.yaml"))


def test_every_query_of_the_dashboard_is_of_the_chosen_installation() -> None:
    for panel in (panel for row in dashboard()["panels"] for panel in (row, *row.get("panels", ()))):
        for target in panel.get("targets", ()):
            assert all('namespace=~"$namespace"' in matchers for _, matchers in promql.selectors(target["expr"]))
    for variable in dashboard()["templating"]["list"]:
        if variable["name"] not in ("datasource", "namespace"):
            assert 'namespace=~"$namespace"' in variable["definition"]


@pytest.mark.parametrize("kind", [("rules", "alerts.yaml"), ("rules", KUBERNETES), ("config", "prometheus.yml")])
def test_prometheus_takes_the_files(kind: tuple[str, str]) -> None:
    assert "SUCCESS" in promtool("check", kind[0], str(FOLDER / kind[1]))


def promtool(*arguments: str) -> str:
    """What Prometheus' own checker says; fails with it when it is not content."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
