"""docs/kubernetes.md names every Secret that the manifests need, each key of it, and every component."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.manifests.checks import sizes
from deploy.manifests.kustomize import overlays, parse
from tests.deploy.builds import text_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "kubernetes.md"
FILES = [file for folder in ("base", "components") for file in sorted((ROOT / "deploy" / folder).rglob("*.yaml"))]


def needed(part: Any) -> Iterator[tuple[str, str]]:
    """Secrets and keys that are named anywhere in an object; a Secret as a whole has the key ''."""
    if isinstance(part, list):
        for one in part:
            yield from needed(one)
    if isinstance(part, dict):
        for name, value in part.items():
            if name in ("secretKeyRef", "passwordSecretRef"):
                yield value["name"], value["key"]
            elif name == "secretTargetRef":
                yield from ((one["name"], one["key"]) for one in value)
            elif name in ("secretName", "connectionStringSecretName"):
                yield value, ""
            else:
                yield from needed(value)


SECRETS = sorted({pair for file in FILES for thing in yaml.safe_load_all(file.read_text()) for pair in needed(thing)})


def rows(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("| `")]


def unnamed(page: str) -> list[tuple[str, str]]:
    return [
        (secret, key)
        for secret, key in SECRETS
        if not any(f"`{secret}`" in row and (not key or f"`{key}`" in row) for row in rows(page))
    ]


def test_every_secret_and_key_has_its_row() -> None:
    assert len(SECRETS) > 20
    assert unnamed(PAGE.read_text()) == []


@pytest.mark.parametrize("word", ["`previous`", "`gateway-rabbitmq`", "`connectionString.standard`", "`endpoint`"])
def test_a_missing_one_is_seen(word: str) -> None:
    assert unnamed(PAGE.read_text().replace(word, ""))


def test_every_component_has_its_row() -> None:
    components = {folder.name for folder in (ROOT / "deploy" / "components").iterdir() if folder.is_dir()}
    assert components <= {row.split("`")[1] for row in rows(PAGE.read_text())}


def test_the_page_deletes_the_autoscalers_that_keda_does_not_bear() -> None:
    component = yaml.safe_load((ROOT / "deploy" / "components" / "keda" / "kustomization.yaml").read_text())
    replaced = component["patches"][0]["target"]
    assert replaced == {"kind": "HorizontalPodAutoscaler", "name": "(gateway|routing|transcripts)"}
    assert "delete hpa gateway routing transcripts" in PAGE.read_text()


def test_the_page_names_what_each_overlay_requests() -> None:
    for overlay in overlays():
        if overlay.name != "example-city":
            row = f"| `{overlay.name}` | {sizes.total(parse(text_of(overlay)))} |"
            assert row in PAGE.read_text(), row
