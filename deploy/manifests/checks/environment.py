"""Checks the environment of each service: the services' own settings classes decide what is read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence

from pydantic import ValidationError

from deploy.manifests.objects import Object, called, container, of_kind, pod_spec, services
from services.common.config.departments import Departments
from services.common.config.settings import Settings, explain
from services.gateway.settings import Settings as GatewaySettings
from services.presence.settings import PresenceSettings
from services.routing.settings import RoutingSettings
from services.transcripts.settings import Settings as TranscriptsSettings

CLASSES: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "presence": PresenceSettings,
    "routing": RoutingSettings,
    "transcripts": TranscriptsSettings,
}
READ_BY_OTHERS = {
    "MALLOC_ARENA_MAX": "the C library",
    "MALLOC_MMAP_THRESHOLD_": "the C library",
    "MALLOC_TRIM_THRESHOLD_": "the C library",
    "MOTOR_MAX_WORKERS": "MongoDB's driver",
    "PYTHONUTF8": "the interpreter",
}
# Variables that are left out on purpose, and why their default is right.
_OWN_PORT = "a pod has an address for itself; Services and policies say the same"
_ONE_MACHINE = "for replicas on one machine"
_ASKED_BY_GATEWAY = "the gateway alone asks the others"
_TLS = "without, but for the component tls"
_SIGNS_NOTHING = "it verifies tokens and signs none"
_TRACES = "off, but for the component opentelemetry"
_PROMISED = "the public protocol or the manual names this limit: a city that wants another says so in its overlay"
_PROMISED_BY_ALL = "the public protocol names it; a city that wants another tells all services, in settings.env"
_GENEROUS = "generous; a city that needs more says so in its overlay (docs/limits.md)"
_OF_AN_ISSUER = (
    "PUBLIC_URL",
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_CLIENT_KEYS",
    "OIDC_CLIENT_AUDIENCE",
    "OIDC_SIGNATURES",
    "OIDC_PROFILE",
    "OIDC_SCOPE",
    "OIDC_ACR",
    "OIDC_LOCAL",
    "OIDC_SESSION_LIFE",
    "OIDC_REFRESH",
)
_OF_CITIZENS_ISSUER = (
    "CITIZEN_OIDC_ISSUER",
    "CITIZEN_OIDC_CLIENT_ID",
    "CITIZEN_OIDC_CLIENT_SECRET",
    "CITIZEN_OIDC_CLIENT_KEYS",
    "CITIZEN_OIDC_CLIENT_AUDIENCE",
    "CITIZEN_OIDC_SIGNATURES",
    "CITIZEN_OIDC_SCOPE",
    "CITIZEN_OIDC_ACR",
)
LEFT = {
    **dict.fromkeys(("GATEWAY_PORT", "PRESENCE_PORT", "ROUTING_PORT", "TRANSCRIPTS_PORT"), _OWN_PORT),
    **dict.fromkeys(("PORT_SHARED", "OWN_PORT"), _ONE_MACHINE),
    **dict.fromkeys(("PRESENCE_URL", "ROUTING_URL", "TRANSCRIPTS_URL"), _ASKED_BY_GATEWAY),
    **dict.fromkeys(("TLS_CERTIFICATE", "TLS_KEY", "TLS_PORT", "TLS_CA"), _TLS),
    **dict.fromkeys(("TRACE_SAMPLE", "OTLP_ENDPOINT"), _TRACES),
    "MONGODB_PREFIX": "the database server serves one installation",
    "CONSOLE_ORIGIN": "the console has the host of all pages, but for the component console-host",
    "RATE_LIMITS": "on",
    "CONNECTIONS_MOST": _GENEROUS,
    "TOPOLOGY": "services declare their queues, but for the component rabbitmq",
    **dict.fromkeys(("ATTACHMENT_BYTES", "ATTACHMENT_COUNT", "ATTACHMENT_TOTAL", "CITIZEN_ACCESS"), _PROMISED_BY_ALL),
}
LEFT_OF = {
    "gateway": {
        "MONGODB_URL": "it has no database",
        "CONNECTIONS_PER_ADDRESS": _GENEROUS,
        **dict.fromkeys(
            ("SECURITY_CONTACT", "SECURITY_EXPIRES"), "an authority's own: no security.txt until it is set"
        ),
    },
    "presence": {
        **dict.fromkeys(("AGENT_GRACE", "SESSION_HOURS", "SESSION_IDLE"), _PROMISED),
        **dict.fromkeys(("DEMO_ACCOUNTS", "DEMO_AGENTS"), "none, but in overlays/dev"),
        **dict.fromkeys(("PASSWORD_WORDS", "PASSWORD_RANGE_URL"), "a city's own; docs/operating.md says what they do"),
        **dict.fromkeys(_OF_AN_ISSUER, "agents have passwords, but for the component oidc"),
        **dict.fromkeys(_OF_CITIZENS_ISSUER, "citizens do not identify; with the component oidc a city may want it"),
    },
    "routing": {
        "SIGNING_KEY": _SIGNS_NOTHING,
        "HELLO_LIMIT": _PROMISED,
        "AWAY_LIMIT": _PROMISED,
        "WAITING_LIMIT": _PROMISED,
        "ACCEPT_LIMIT": _PROMISED,
        "NAMED_LIMIT": _PROMISED,
        "RETURN_LIMIT": _PROMISED,
        "SETTLE_LIMIT": _PROMISED,
        "CLOSED_KEPT_DAYS": _PROMISED,
        "CHATS_OPEN_PER_ADDRESS": _GENEROUS,
    },
    "transcripts": {
        "SIGNING_KEY": _SIGNS_NOTHING,
        "MAX_MESSAGES": _PROMISED,
        "MAX_TEXT": _PROMISED,
        "ATTACHMENT_REFUSES": "strict; docs/operating.md says what a city may allow",
        **dict.fromkeys(("UPLOAD_IDLE", "UPLOAD_RATE", "UPLOAD_TIME"), _PROMISED),
        "UNPOSTED_LIFE": _PROMISED,
        "SILENCE_LIMIT": _PROMISED,
        **dict.fromkeys(("FORMER_ACCESS", "CLAIM_LIFE"), "30 days and a day; docs/operating.md says what they bound"),
        "DOWNLOAD_CODE_LIFE": "7 days; docs/privacy.md says what a code gives",
        "CLAMD_URL": "no scanner, but for the component clamav",
        "CLAMD_TIMEOUT": "20 s are enough for 10 MiB",
        "UNUSUAL_READING": "50 chats an hour; docs/privacy.md says what it reports",
        "AGENT_FIGURES": "off; docs/operating.md says what must be agreed first",
        "INTEGRATIONS_FILE": "no integrations, but for the component webhooks",
        **dict.fromkeys(("OUTBOX_NETWORKS", "OUTBOX_CA_FILE"), "public targets alone; docs/integration.md"),
        **dict.fromkeys(("OUTBOX_TIMEOUT", "OUTBOX_PATIENCE"), "15 s, and three days; docs/webhooks.md"),
        "PDF_FONTS": "the image has its own",
    },
}
# Placeholders for values of Secrets, so that the settings class can validate the rest.
STAND_INS = {
    "TOKEN_SECRET": "a-secret-of-the-check-alone",
    "SIGNING_KEY": "00" * 32,
    "VERIFICATION_KEYS": "",
    "SECOND_FACTOR_KEYS": "00" * 32,
    "TRANSCRIPT_KEY": "00" * 32,
    "TRANSCRIPT_KEYS_FORMER": "",
    "RABBITMQ_URL": "amqp://name:word@broker:5672/",
    "MONGODB_URL": "mongodb://name:word@database:27017/?w=majority&journal=true",
}
_REFERENCE = re.compile(r"\$\((\w+)\)")


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each variable that is not read, is missing, or that the service would refuse."""
    found = []
    for name, deployment in services(objects):
        given, parts = environment(objects, deployment)
        read = {field.upper() for field in CLASSES[name].model_fields}
        left = {**LEFT, **LEFT_OF[name]}
        found += [f"{name}: nobody reads {v}" for v in sorted(set(given) - read - set(READ_BY_OTHERS) - parts)]
        found += [f"{name}: {v} is neither set nor left out on purpose" for v in sorted(read - set(given) - set(left))]
        found += [f"{name}: {line}" for line in _refusals(name, given)]
        found += [f"{name}: {line}" for line in _files(deployment, objects, given)]
    return found + _departments(objects)


def environment(objects: Sequence[Object], deployment: Object) -> tuple[dict[str, str], set[str]]:
    """Return the container's variables as Kubernetes expands them, and those that are only parts of others."""
    given: dict[str, str] = {}
    parts: set[str] = set()
    maps = of_kind(objects, "ConfigMap")
    for source in container(deployment).get("envFrom", ()):
        given |= maps.get(source["configMapRef"]["name"], {}).get("data", {})
    for one in container(deployment).get("env", ()):
        if "valueFrom" in one:
            given[one["name"]] = STAND_INS.get(one["name"], "stand-in")
            continue
        value = one.get("value", "")
        used = {name for name in _REFERENCE.findall(value) if name in given}  # only those that are defined before it
        parts |= used
        for part in used:
            value = value.replace(f"$({part})", given[part])
        given[one["name"]] = value
    return given, parts


def _refusals(name: str, given: dict[str, str]) -> list[str]:
    left_open = [f"{v}: $(…) names what is not defined before it" for v in given if _REFERENCE.search(given[v])]
    try:
        CLASSES[name].model_validate({v.lower(): value for v, value in given.items()})
    except ValidationError as error:
        return left_open + explain(error)
    return left_open


def _files(deployment: Object, objects: Sequence[Object], given: dict[str, str]) -> list[str]:
    """Check that files named by variables are in a volume; those of ConfigMaps are looked up there."""
    found = []
    mounts = {m["mountPath"]: m["name"] for m in container(deployment).get("volumeMounts", ())}
    volumes = {v["name"]: v for v in pod_spec(deployment).get("volumes", ())}
    for variable in ("DEPARTMENTS_FILE", "ACCOUNTS_FILE"):
        folder, _, file = given.get(variable, "").rpartition("/")
        if not file:
            continue
        if folder not in mounts:
            found.append(f"{variable}: nothing is mounted at {folder}")
            continue
        reference = volumes[mounts[folder]].get("configMap")
        if reference and file not in of_kind(objects, "ConfigMap").get(reference["name"], {}).get("data", {}):
            found.append(f"{variable}: ConfigMap {reference['name']} has no {file}")
    return found


def _departments(objects: Sequence[Object]) -> list[str]:
    found = []
    for thing in of_kind(objects, "ConfigMap").values():
        if text := thing.get("data", {}).get("departments.toml"):
            try:
                Departments.model_validate(tomllib.loads(text))
            except (ValueError, tomllib.TOMLDecodeError) as error:
                found.append(f"{called(thing)}: departments.toml: {str(error).splitlines()[0]}")
    return found
