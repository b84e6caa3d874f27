"""Builds with kustomize, as `kubectl` has it: every overlay, and every component alone on the base."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import yaml

from deploy.local import kubectl
from deploy.manifests.objects import Object

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


class BuildFailed(Exception):
    """kustomize refuses; the text is its last line."""


def overlays() -> list[Path]:
    """Return the folders of all overlays."""
    return sorted(file.parent for file in (DEPLOY / "overlays").glob("*/kustomization.yaml"))


def components() -> list[Path]:
    """Return the folders of all components."""
    return sorted(file.parent for file in (DEPLOY / "components").glob("*/kustomization.yaml"))


def text_of(folder: Path) -> str:
    """Return what `kubectl kustomize` builds from this folder; a component is added to the base.

    Raises:
        BuildFailed: kustomize refuses.
    """
    if folder.parent.name != "components":
        return _built(folder)
    with tempfile.TemporaryDirectory() as home:
        here = Path(home).resolve()
        lines = {"resources": [_from(here, DEPLOY / "base")], "components": [_from(here, folder)]}
        (here / "kustomization.yaml").write_text(yaml.safe_dump(lines))
        return _built(here)


def parse(text: str) -> list[Object]:
    """Return the objects of a build."""
    return [thing for thing in yaml.load_all(text, Loader=yaml.CSafeLoader) if thing]


def _from(home: Path, folder: Path) -> str:
    return os.path.relpath(folder.resolve(), home)


def _built(folder: Path) -> str:
    command = kubectl.find()
    if command is None:
        raise BuildFailed(f"there is no kubectl with kustomize 5 or later: {kubectl.HOW}")
    done = subprocess.run([command, "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildFailed((done.stderr.strip().splitlines() or ["kubectl said nothing"])[-1])
    return done.stdout
