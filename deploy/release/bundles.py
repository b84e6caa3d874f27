"""One YAML file for each overlay, as kustomize builds it, with the images of the release."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import yaml

from deploy.local.settings import SERVICES
from deploy.manifests.kustomize import overlays, parse, text_of
from deploy.manifests.objects import Object, container, services

HEAD = "# e-loket chat {version}, overlay {name}: `kubectl apply -f` after the Secrets (docs/kubernetes.md).\n"


def build(version: str, registry: str | None) -> dict[str, str]:
    """Return the text of each bundle by its overlay's name.

    Args:
        version: The tag of the four images.
        registry: Where the images are, such as `registry.stad.example/eloket-chat`; None: as the overlay says.

    Raises:
        BuildFailed: kustomize refuses.
    """
    return {
        folder.name: HEAD.format(version=version, name=folder.name) + _one(folder, version, registry)
        for folder in overlays()
    }


def images(objects: list[Object]) -> dict[str, str]:
    """Return the image of each of the four services."""
    return {name: container(deployment)["image"] for name, deployment in services(objects)}


def _one(folder: Path, version: str, registry: str | None) -> str:
    given = images(parse(text_of(folder)))
    with tempfile.TemporaryDirectory() as home:
        here = Path(home).resolve()
        wanted = [_image(given[name].rpartition(":")[0], name, version, registry) for name in SERVICES]
        lines = {"resources": [os.path.relpath(folder.resolve(), here)], "images": wanted}
        (here / "kustomization.yaml").write_text(yaml.safe_dump(lines))
        return text_of(here)


def _image(name: str, service: str, version: str, registry: str | None) -> dict[str, str]:
    moved = {"newName": f"{registry}/{service}"} if registry else {}
    return {"name": name, "newTag": version, **moved}
