"""The files and packages that an image holds, laid out in a folder as the Dockerfile says, without an engine."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tests.deploy.closure import FOLDER, ROOT, pinned

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions(service: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions for this service: lines joined, comments left out, SERVICE filled in."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").replace("${SERVICE}", service)
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def ignored(path: PurePosixPath) -> bool:
    """Whether `.dockerignore` keeps this file from the builder: the last pattern that fits decides."""
    out = False
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        if not pattern or pattern.startswith("#"):
            continue
        wanted = pattern.removeprefix("!").removeprefix("**/")
        parts = [str(place) for place in (path, *path.parents)]
        names = [*parts, *path.parts] if pattern.startswith("**/") else parts
        if any(fnmatch.fnmatchcase(name, wanted) for name in names):
            out = not pattern.startswith("!")
    return out


def removed(service: str) -> list[PurePosixPath]:
    """What the image does not have of what is copied, unless it is built with `DEMO=on`."""
    lines = [rest for word, rest in instructions(service) if word == "RUN" and rest.startswith('test "$DEMO" = on')]
    return [PurePosixPath(place) for line in lines for place in line.partition("|| rm -rf ")[2].split()]


def copied(service: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """Each file of the repository that is in the image, and its place there."""
    gone = removed(service)
    for file, place in _copied(service):
        if not any(place.is_relative_to(one) for one in gone):
            yield file, place


def _copied(service: str) -> Iterator[tuple[Path, PurePosixPath]]:
    for word, rest in instructions(service):
        if word != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = rest.split()
        for source in (path for pattern in sources for path in sorted(ROOT.glob(pattern))):
            for file in [source] if source.is_file() else sorted(source.rglob("*")):
                inside = PurePosixPath(file.relative_to(ROOT).as_posix())
                if file.is_file() and not ignored(inside):
                    below = file.name if source.is_file() and target.endswith("/") else file.relative_to(source)
                    yield file, PurePosixPath(target) / below


def lay_out(service: str, home: Path) -> Path:
    """The image's /app and its own virtual environment below `home`, read-only; gives the interpreter."""
    for file, place in copied(service):
        if place.is_relative_to("/app"):
            target = home / place.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    (packages,) = (home / "venv" / "lib").glob("python3*/site-packages")
    for pin in pinned(FOLDER / f"{service}.txt"):
        _install(pin.split("==")[0], packages)
    subprocess.run(["chmod", "-R", "a+rX,a-w", home / "app", home / "venv"], check=True)
    return home / "venv" / "bin" / "python"


def _install(name: str, packages: Path) -> None:
    """The files of an installed package, as its RECORD lists them."""
    for file in importlib.metadata.distribution(name).files or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def environment(service: str) -> dict[str, str]:
    """What the image sets, without PATH."""
    (given,) = [rest for word, rest in instructions(service) if word == "ENV"]
    return {name: value for name, value in re.findall(r"(\S+?)=(\S+)", given) if name != "PATH"}


def entry(service: str) -> list[str]:
    """The command of the image, as the shell in it would run it."""
    (given,) = [rest for word, rest in instructions(service) if word == "ENTRYPOINT"]
    shell, flag, line = json.loads(given)
    assert (shell, flag) == ("/bin/sh", "-c")
    return [shell, flag, line]


def as_user(uid: int) -> list[str]:
    """The beginning of a command that is to run as this user; empty where we may not change."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"] if os.geteuid() == 0 else []
