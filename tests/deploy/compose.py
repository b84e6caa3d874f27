"""What must hold for deploy/compose.yaml, and what does not, line by line. No engine: what the file says is judged."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from pydantic import ValidationError

from deploy.local.settings import SERVICES
from deploy.manifests.checks.environment import CLASSES, LEFT, LEFT_OF, READ_BY_OTHERS
from services.common.config.settings import explain
from services.common.runtime.service import DRAIN_LIMIT

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCHEMA = json.loads((ROOT / "tests" / "deploy" / "schemas" / "compose.json").read_text())
REFERENCE = re.compile(r"\$\$|\$\{(\w+)(?::?([?+-])([^}]*))?\}|\$")
SECRET = re.compile(r"SECRET|PASS|KEY")
MAY_BE_EMPTY = {
    "TOKEN_SECRET_PREVIOUS",
    "GATEWAY_SIGNING_KEY",
    "PRESENCE_SIGNING_KEY",
    "VERIFICATION_KEYS",
    "SECOND_FACTOR_KEYS",
    "TRANSCRIPT_KEY",
    "TRANSCRIPT_KEYS_FORMER",
    "PUBLIC_ORIGINS",
    "GATEWAY_ADDRESS",
    "CLAMD_URL",
    "ACCOUNTS_FILE",
}
File = dict[str, Any]


def read() -> tuple[File, str]:
    """The file as parsed, and the example of its variables."""
    file = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return file, (DEPLOY / "compose" / "eloket.env.example").read_text()


def problems(file: File, example: str) -> list[str]:
    """One line for each thing that is not as it must be."""
    wrong = [f"schema: {e.json_path}: {e.message}" for e in jsonschema.Draft7Validator(SCHEMA).iter_errors(file)]
    if wrong:
        return wrong
    for name, service in file["services"].items():
        wrong += [f"{name}: {line}" for line in [*_hardened(service), *_files(service), *_image(name, service)]]
        if name in SERVICES:
            wrong += [f"{name}: {line}" for line in _configured(name, service, example)]
        elif "ports" in service:
            wrong.append(f"{name}: published")
    return wrong + _variables(file, example) + _databases(file)


def _hardened(service: File) -> list[str]:
    must = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
    }
    wrong = [f"{key} is not {value}" for key, value in must.items() if service.get(key) != value]
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.get("user", "")):
        wrong.append("user is not a number other than root's")
    if not {"max-size", "max-file"} <= set(service.get("logging", {}).get("options", ())):
        wrong.append("logs grow without end")
    wrong += [f"no {key}" for key in ("mem_limit", "healthcheck", "tmpfs", "stop_grace_period") if not service.get(key)]
    return wrong


def _files(service: File) -> list[str]:
    """What is mounted from the checkout is there, is no link, and is not written to; also where variables are empty."""
    wrong = []
    for volume in service.get("volumes", ()):
        if isinstance(volume, dict):
            source = DEPLOY / expand(volume["source"], {})
            if not volume.get("read_only"):
                wrong.append(f"{volume['source']} may be written to")
            if source.is_symlink() or not source.is_file():
                wrong.append(f"{volume['source']} is no file")
    return wrong


def _image(name: str, service: File) -> list[str]:
    if not re.fullmatch(r"[\w/.-]+:\d+\.\d+\.\d+", service["image"]):
        return [f"{service['image']} has no version"]
    if name not in SERVICES:
        return []
    version = re.search(r"ARG VERSION=([\d.]+)", (DEPLOY / "Dockerfile").read_text())
    wanted = {"context": "..", "dockerfile": "deploy/Dockerfile", "args": {"SERVICE": name}}
    wrong = (
        [] if version and service["image"] == f"eloket-chat/{name}:{version[1]}" else ["image is not the Dockerfile's"]
    )
    return wrong + ([] if service.get("build") == wanted else ["it is built otherwise"])


def _configured(name: str, service: File, example: str) -> list[str]:
    """Variables, port, health check and time to drain of one of the four."""
    given = environment(service, example)
    read = {field.upper() for field in CLASSES[name].model_fields}
    wrong = [f"nobody reads {v}" for v in sorted(set(given) - read - set(READ_BY_OTHERS))]
    wrong += [f"{v} is not set" for v in sorted(read - set(given) - set(LEFT) - set(LEFT_OF[name]))]
    try:
        CLASSES[name].model_validate({v.lower(): value for v, value in given.items()})
    except ValidationError as error:
        wrong += explain(error)
    targets = {v["target"] for v in service["volumes"] if isinstance(v, dict)}
    with_files = environment(service, example, ACCOUNTS_FILE="/srv/accounts.toml")
    wrong += [
        f"{v} is not mounted"
        for v in ("DEPARTMENTS_FILE", "ACCOUNTS_FILE")
        if with_files.get(v, "") not in targets | {""}
    ]
    port = SERVICES[name]
    published = [f"${{GATEWAY_ADDRESS:-127.0.0.1:8000}}:{port}"] if name == "gateway" else []
    if service.get("ports", []) != published:
        wrong.append("ports are not as they must be")
    if f"127.0.0.1:{port}/readyz" not in service.get("healthcheck", {}).get("test", [""])[-1]:
        wrong.append("health check asks something else")
    if seconds(service.get("stop_grace_period", "0s")) < DRAIN_LIMIT + 1:
        wrong.append("is killed before it has drained")
    urls = {f"{s.upper()}_URL": f"http://{s}:{p}" for s, p in SERVICES.items() if s != "gateway"}
    wrong += [f"{v} is not {url}" for v, url in urls.items() if name == "gateway" and given.get(v) != url]
    if name != "gateway" and service.get("networks") != ["back"]:
        wrong.append("has a way out")
    return wrong


def environment(service: File, example: str, **given: str) -> dict[str, str]:
    """The variables of a service, where those of the example that may be empty are empty, but for what is given."""
    file = (DEPLOY / "base" / "settings.env").read_text()
    told = dict(line.split("=", 1) for line in file.splitlines() if _set(line))
    values = dict.fromkeys(_names(example), "a-secret-of-the-check-alone") | dict.fromkeys(MAY_BE_EMPTY, "") | given
    return told | {v: expand(str(value), values) for v, value in service.get("environment", {}).items()}


def _variables(file: File, example: str) -> list[str]:
    """The example names what the file reads, without values; no secret may be empty, or stand in the file."""
    used: dict[str, set[str]] = {}
    for match in REFERENCE.finditer(json.dumps(file)):
        if match[0] == "$":
            return ["a lone $"]
        if match[1]:
            used.setdefault(match[1], set()).add(match[2] or "")
    wrong = [f"the example lacks {v}" for v in sorted(set(used) - set(_names(example)))]
    wrong += [f"nothing reads {v} of the example" for v in sorted(set(_names(example)) - set(used))]
    wrong += [
        f"the example holds a value: {line.split('=')[0]}"
        for line in example.splitlines()
        if _set(line) and line[-1] != "="
    ]
    wrong += [f"{v} may be empty" for v in sorted(used) if v not in MAY_BE_EMPTY and used[v] != {"?"}]
    for name, service in file["services"].items():
        for v, value in service.get("environment", {}).items():
            if SECRET.search(v) and "$" not in str(value):
                wrong.append(f"{name}: {v} stands in the file")
    return wrong


def _databases(file: File) -> list[str]:
    """The broker, the database and the scanner are of the versions that the components have."""
    pairs = {
        "rabbitmq": r"image: rabbitmq:([\d.]+)",
        "mongodb": r"(?m)^  version: ([\d.]+)",
    }
    wrong = []
    for name, pattern in pairs.items():
        found = re.search(pattern, (DEPLOY / "components" / name / "server" / "cluster.yaml").read_text())
        if not found or file["services"][name]["image"].split(":")[1] != found[1]:
            wrong.append(f"{name}: another version than the component's")
    scanner = (DEPLOY / "components" / "clamav" / "clamav.yaml").read_text()
    if f"image: &image {file['services']['clamav']['image']}\n" not in scanner:
        wrong.append("clamav: another version than the component's")
    return wrong


def expand(text: str, values: dict[str, str]) -> str:
    """Expand the four kinds of `${NAME}` and `$$` as the Compose specification has them."""

    def value(match: re.Match[str]) -> str:
        if not match[1]:
            return "$"
        given, kind, word = values.get(match[1], ""), match[2], match[3] or ""
        if kind == "+":
            return word if given else ""
        return given or (word if kind == "-" else "")

    return REFERENCE.sub(value, text)


def seconds(text: str) -> float:
    """Of `25s` or `1m`."""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def _names(example: str) -> list[str]:
    return [line.split("=")[0] for line in example.splitlines() if _set(line)]


def _set(line: str) -> bool:
    return "=" in line and not line.startswith("#")
