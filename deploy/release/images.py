"""The four images as OCI archives, built with buildah, the same bytes each time."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.local.settings import SERVICES
from deploy.manifests.kustomize import DEPLOY, ROOT

BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


class NotBuilt(Exception):
    """buildah refused; the text is its last line."""


def missing(environ: Mapping[str, str]) -> str | None:
    """Return why no image can be built here, and what to do; None when they can."""
    if shutil.which("buildah") is None:
        return "there is no buildah: install it (Debian: apt install buildah)"
    if not BY_DIGEST.fullmatch(environ.get("BASE", "")):
        return (
            "BASE does not name the base image by digest: BASE=docker.io/library/python:…@sha256:… (docs/releasing.md)"
        )
    return None


def build(folder: Path, version: str, made_at: int, environ: Mapping[str, str]) -> list[Path]:
    """Write `eloket-chat-<service>-<version>.oci.tar` of each service and return the files.

    Args:
        folder: Where to write them.
        version: The tag.
        made_at: Every time in the images, in seconds since 1970.
        environ: `BASE` names the base image by digest; `BUILDAH_ARGS` are handed on to `buildah build`.

    Raises:
        NotBuilt: buildah refused.
    """
    return [_one(folder, service, version, made_at, environ) for service in SERVICES]


def _one(folder: Path, service: str, version: str, made_at: int, environ: Mapping[str, str]) -> Path:
    with tempfile.TemporaryDirectory(prefix="image-") as home:
        layout, image = Path(home, "layout"), Path(home, "id")
        arguments = {"BASE": environ["BASE"], "SERVICE": service, "VERSION": version}
        command = ["buildah", "build", "--quiet", "--format", "oci", "--layers=false", "--timestamp", str(made_at)]
        command += [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
        command += [*shlex.split(environ.get("BUILDAH_ARGS", "")), "--iidfile", str(image)]
        _run([*command, "-f", str(DEPLOY / "Dockerfile"), str(ROOT)])
        identity = image.read_text().strip()
        _run(["buildah", "push", "--quiet", identity, f"oci:{layout}:{version}"])
        _run(["buildah", "rmi", identity])
        archive = folder / f"eloket-chat-{service}-{version}.oci.tar"
        pack(layout, archive, made_at)
        return archive


def pack(layout: Path, archive: Path, made_at: int) -> None:
    """Write an OCI layout as a tar file: names sorted, owners and times fixed."""
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(layout.rglob("*")):
            entry = tarfile.TarInfo(path.relative_to(layout).as_posix())
            entry.mtime = made_at
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
                continue
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise NotBuilt((done.stderr.strip().splitlines() or [f"{command[0]} {command[1]} failed"])[-1])
