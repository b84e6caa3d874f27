"""`deploy/examples/gitops`: a remote base at a tag; updates in the order of the services, by Argo CD and by Flux."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.manifests.checks.build import problems
from deploy.manifests.kustomize import DEPLOY, parse, text_of
from deploy.manifests.objects import Object, container, of_kind
from tests.deploy import builds
from tests.support.servers import ROOT

EXAMPLE = DEPLOY / "examples" / "gitops"
ORDER = ("transcripts", "presence", "routing", "gateway")
TAG = "v2.0.0"
ADDRESS = "https://git.example.be/eloket/chat"
GIT = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example outside this repository. Its base is a git repository with this deploy/ at the tag, changed since."""
    home = tmp_path_factory.mktemp("gitops").resolve()
    remote = home / "remote"
    shutil.copytree(DEPLOY, remote / "deploy", ignore=shutil.ignore_patterns("__pycache__"))

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(remote), *arguments], check=True, capture_output=True, env=os.environ | GIT)

    git("init")
    git("add", "-A")
    git("commit", "-m", "release")
    git("tag", TAG)
    (remote / "deploy" / "base" / "kustomization.yaml").write_text("resources: [nothing-of-this.yaml]\n")
    git("commit", "-am", "after the release")
    shutil.copytree(EXAMPLE, home / "own")
    overlay = home / "own" / "stad" / "kustomization.yaml"
    overlay.write_text(overlay.read_text().replace(ADDRESS, f"file://{remote}"))
    return home / "own"


@pytest.fixture(scope="module")
def whole(city: Path) -> list[Object]:
    return parse(text_of(city / "stad"))


def named(objects: list[Object]) -> set[tuple[str, str]]:
    return {(thing["kind"], thing["metadata"]["name"]) for thing in objects}


def test_a_remote_base_at_a_tag_is_that_overlay(whole: list[Object]) -> None:
    assert whole == parse(builds.text_of(DEPLOY / "overlays" / "production"))
    assert problems(whole) == []


def test_the_page_says_the_same_address_as_the_example() -> None:
    line = f"{ADDRESS}//deploy/overlays/production?ref={TAG}"
    assert line in (EXAMPLE / "stad" / "kustomization.yaml").read_text()
    assert line in (ROOT / "docs" / "gitops.md").read_text()


def test_argo_cd_updates_the_services_in_their_order(city: Path, whole: list[Object]) -> None:
    objects = parse(text_of(city / "argo-cd"))
    assert named(objects) == named(whole)
    key = "argocd.argoproj.io/sync-wave"
    waves = {n: one["metadata"].get("annotations", {}).get(key) for n, one in of_kind(objects, "Deployment").items()}
    assert {name: wave for name, wave in waves.items() if wave} == {name: str(n) for n, name in enumerate(ORDER, 1)}
    assert not [one for one in objects if one["kind"] != "Deployment" and key in str(one["metadata"])]
    assert problems(objects) == []


def test_flux_has_every_object_in_one_part(city: Path, whole: list[Object]) -> None:
    parts = {name: parse(text_of(city / "flux" / name)) for name in ("shared", *ORDER)}
    for name in ORDER:
        assert set(of_kind(parts[name], "Deployment")) == {name}
        maps = of_kind(parts[name], "ConfigMap")
        assert {one["kind"] for one in parts[name]} == {"Deployment", "ConfigMap"}
        assert all(one["metadata"]["annotations"] for one in maps.values())
        (deployment,) = of_kind(parts[name], "Deployment").values()
        assert {one["configMapRef"]["name"] for one in container(deployment)["envFrom"]} <= set(maps)
    assert not of_kind(parts["shared"], "ConfigMap")
    assert set().union(*(named(part) for part in parts.values())) == named(whole)
    deployments = [kind for part in parts.values() for kind, _ in named(part) if kind == "Deployment"]
    assert len(deployments) == len(of_kind(whole, "Deployment"))


def test_flux_waits_for_each_service_before_the_next() -> None:
    things: list[Any] = list(yaml.safe_load_all((EXAMPLE / "flux" / "kustomizations.yaml").read_text()))
    source, *parts = things
    assert [part["metadata"]["name"] for part in parts] == [f"eloket-{name}" for name in ("shared", *ORDER)]
    for part, before in zip(parts, [None, *parts], strict=False):
        spec = part["spec"]
        wanted = [{"name": before["metadata"]["name"]}] if before else []
        assert spec.get("dependsOn", []) == wanted
        assert (spec["wait"], spec["prune"]) == (True, True)
        assert (EXAMPLE / spec["path"] / "kustomization.yaml").is_file()
        assert spec["sourceRef"] == {"kind": source["kind"], "name": source["metadata"]["name"]}
        assert re.fullmatch(r"\d+m", spec["timeout"])


def test_argo_cds_application_follows_that_folder() -> None:
    application = yaml.safe_load((EXAMPLE / "argo-cd" / "application.yaml").read_text())
    assert (EXAMPLE / application["spec"]["source"]["path"] / "kustomization.yaml").is_file()
    assert application["spec"]["destination"]["namespace"] == "eloket-chat"
