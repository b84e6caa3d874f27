"""Every Secret that an operator makes has an ExternalSecret with the keys that the manifests read."""

from typing import Any

import yaml

from deploy.manifests.checks import schemas
from deploy.manifests.kustomize import DEPLOY
from tests.deploy.test_kubernetes_page import PAGE, SECRETS

COMPONENT = DEPLOY / "components" / "external-secrets" / "secrets.yaml"
EXAMPLES = DEPLOY / "examples" / "external-secrets"
KEYS_OF_FILES = {
    "accounts": {"accounts.toml"},
    "gateway-tls": {"tls.crt", "tls.key"},
    "registry": {".dockerconfigjson"},
    "mongodb-metrics": {"username"},  # read by Prometheus, which logs in
    "webhooks": {"zaken"},  # the target of the example
}
"""Secrets that are mounted or read as a whole, and keys that no pod names."""


def made() -> dict[str, Any]:
    files = (COMPONENT, *sorted(EXAMPLES.glob("*.yaml")))
    things = [thing for file in files for thing in yaml.safe_load_all(file.read_text())]
    assert schemas.problems(things) == []
    return {thing["spec"]["target"]["name"]: thing for thing in things}


def by_hand() -> set[str]:
    """The Secrets of docs/kubernetes.md that operators make in some installation: their rows say `you`."""
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {name for row in rows if len(row) > 4 and "you" in row[3] for name in row[1].replace("`", "").split(", ")}


def test_every_secret_that_is_made_by_hand_has_one() -> None:
    names = {name.strip() for name in by_hand()}
    assert {"tokens", "mongodb-passwords", "routing-rabbitmq", "routing-mongodb"} <= names
    assert names == set(made())


def test_they_have_the_keys_that_are_read() -> None:
    for name, thing in made().items():
        read = {key for secret, key in SECRETS if secret == name and key} | KEYS_OF_FILES.get(name, set())
        given = {one["secretKey"] for one in thing["spec"]["data"]}
        if name.endswith("-mongodb"):  # with the component mongodb its operator writes the other key
            read -= {"connectionString.standard"}
        assert read == given, name
        assert {one["remoteRef"]["key"] for one in thing["spec"]["data"]} == {f"eloket-chat/{name}"}
        assert thing["spec"]["target"]["deletionPolicy"] == "Retain"
