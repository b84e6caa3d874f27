"""Builds with kustomize, as `kubectl` has it: every overlay, and every component alone on the base."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.manifests.objects import Object
from deploy.setup import kubectl

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
REPLACEMENTS = DEPLOY / "replacements"
NEEDS = {
    "backup": ("mongodb",),
    "console-host": ("gateway-api", "cert-manager"),
    "mongodb-metrics": ("mongodb",),
    "pull-secret": ("rabbitmq", "mongodb", "clamav", "opentelemetry"),
    "shared-servers": ("rabbitmq", "mongodb"),
    "tls": ("rabbitmq", "mongodb", "mongodb-metrics"),
}
"""Components that need or change what others bring, and those others."""


MORE = {name: (name,) for name in ("console-host", "shared-servers")}
"""Components that need replacements of their own, below the folder of the usual ones."""


class BuildFailed(Exception):
    """kustomize refuses; the text is its last line."""


def overlays() -> list[Path]:
    """Return the folders of all overlays."""
    return sorted(file.parent for file in (DEPLOY / "overlays").glob("*/kustomization.yaml"))


def components() -> list[Path]:
    """Return the folders of all components."""
    return sorted(file.parent for file in (DEPLOY / "components").glob("*/kustomization.yaml"))


def shared() -> list[Path]:
    """Return the folders of the example in which cities share servers: the servers first."""
    home = DEPLOY / "examples" / "several-cities"
    cities = sorted(file.parent for file in home.glob("*/kustomization.yaml") if file.parent.name != "servers")
    return [home / "servers", *cities]


def text_of(folder: Path) -> str:
    """Return what `kubectl kustomize` builds from this folder; a component is added to the base.

    Raises:
        BuildFailed: kustomize refuses.
    """
    if folder.parent.name != "components":
        return _built(folder)
    return assembled(
        *(folder.parent / name for name in NEEDS.get(folder.name, ())), folder, more=MORE.get(folder.name, ())
    )


def assembled(*chosen: Path, more: Sequence[str] = ()) -> str:
    """Return the build of the base with these components; `more` are folders of replacements beside the usual one.

    Raises:
        BuildFailed: kustomize refuses.
    """
    return _in_new_folder(lambda here: {"resources": [_from(here, DEPLOY / "base")]}, chosen, more)


def city(name: str, overlay: Path, *chosen: Path, more: Sequence[str] = (), **names: str) -> str:
    """Return the build of an installation in the namespace `name`: an overlay as a city writes it, on another one.

    `chosen` are components that it adds, `more` their folders of replacements, `names` lines of base/installation.env,
    with `_` for `-`.

    Raises:
        BuildFailed: kustomize refuses.
    """
    literals = [f"{key.replace('_', '-')}={value}" for key, value in names.items()]
    own = {
        "namespace": name,
        "configMapGenerator": [{"name": "installation", "behavior": "merge", "literals": literals}],
    }
    return _in_new_folder(lambda here: {**own, "resources": [_from(here, overlay)]}, chosen, more)


def parse(text: str) -> list[Object]:
    """Return the objects of a build."""
    return [thing for thing in yaml.load_all(text, Loader=yaml.CSafeLoader) if thing]


def _from(home: Path, folder: Path) -> str:
    return os.path.relpath(folder.resolve(), home)


def _in_new_folder(
    lines: Callable[[Path], dict[str, Any]], chosen: Sequence[Path], replaced: Sequence[str] = ()
) -> str:
    with tempfile.TemporaryDirectory() as home:
        here = Path(home).resolve()
        more = {
            "components": [_from(here, folder) for folder in chosen],
            "transformers": [_from(here, REPLACEMENTS / name) for name in ("", *replaced)],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(lines(here) | more))
        return _built(here)


def _built(folder: Path) -> str:
    command = kubectl.find()
    if command is None:
        raise BuildFailed(f"there is no kubectl with kustomize 5 or later: {kubectl.HOW}")
    done = subprocess.run([command, "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildFailed((done.stderr.strip().splitlines() or ["kubectl said nothing"])[-1])
    return done.stdout
