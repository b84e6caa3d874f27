"""The public door lets through every route of the gateway that is for the public, and no other path."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.manifests.checks.front_door import OPERATORS
from services.docgen.applications import application
from tests.support.in_process.routes import routes_of
from tests.support.servers import ROOT

DOORS = {
    "gateway-api": ROOT / "deploy" / "components" / "gateway-api" / "routes.yaml",
    "ingress": ROOT / "deploy" / "components" / "ingress" / "ingress.yaml",
}
NOT_PUBLIC = {*OPERATORS, "/"}
"""Paths that the door keeps inside. The demonstration page at `/` is public in `overlays/dev` alone."""


def public() -> set[str]:
    """The templates of the gateway's public routes."""
    return {path for _, path in routes_of(application("gateway"))} - NOT_PUBLIC


def matches(file: Path) -> Iterator[tuple[str, bool]]:
    """The paths of a door, each with whether what is below it is let through too."""
    documents: list[dict[str, Any]] = [one for one in yaml.safe_load_all(file.read_text("utf-8")) if one]
    for rule in (rule for one in documents for rule in one["spec"]["rules"]):
        for match in rule.get("matches", ()):
            yield match["path"]["value"], match["path"]["type"] == "PathPrefix"
        for path in rule.get("http", {}).get("paths", ()):
            yield path["path"], path["pathType"] == "Prefix"


def lets_through(match: tuple[str, bool], route: str) -> bool:
    """Whether a door with this path lets requests for this route through. A prefix covers whole parts of a path."""
    path, below = match
    return route == path or (below and route.startswith(path + "/"))


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> list[tuple[str, bool]]:
    """The paths of one door."""
    return list(matches(DOORS[request.param]))


def test_every_public_route_passes_the_door(door: list[tuple[str, bool]]) -> None:
    assert len(public()) > 50
    assert {route for route in public() if not any(lets_through(one, route) for one in door)} == set()


def test_every_path_of_the_door_leads_to_a_route(door: list[tuple[str, bool]]) -> None:
    assert [one for one in door if not any(lets_through(one, route) for route in public())] == []


def test_operators_paths_stay_inside(door: list[tuple[str, bool]]) -> None:
    assert [one for one in door for route in NOT_PUBLIC if lets_through(one, route)] == []


def test_both_doors_are_the_same() -> None:
    both = [set(matches(file)) for file in DOORS.values()]
    assert both[0] == both[1]


def test_http_leads_to_https_for_pages_alone() -> None:
    """ASVS 5.0, 4.1.2: what a program asks for is not redirected."""
    documents = [one for one in yaml.safe_load_all(DOORS["gateway-api"].read_text("utf-8")) if one]
    rules = [rule for one in documents for rule in one["spec"]["rules"] if rule.get("filters")]
    (redirect,) = [rule for rule in rules if rule["filters"][0]["type"] == "RequestRedirect"]
    paths = [(match["path"]["value"], match["path"]["type"] == "PathPrefix") for match in redirect["matches"]]
    redirected = {route for route in public() if any(lets_through(one, route) for one in paths)}
    assert {"/agent", "/gesprek", "/infofiche/{department}", "/verify", "/identify", "/toegankelijkheid"} <= redirected
    assert {route for route in redirected if route.startswith(("/api", "/ws", "/static", "/widget.js"))} == set()
