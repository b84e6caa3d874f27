"""`services/docgen/role_matrix.py`: it has a row for everything, and the page shows it as it is."""

import dataclasses

import pytest

from services.docgen import role_matrix
from services.docgen.applications import application
from services.docgen.role_matrix import FILE, FRAMES, ROLES, ROUTES, main
from services.gateway.websocket.frames import client
from tests.support.in_process.routes import WEBSOCKET, routes_of


def test_it_has_every_route_of_the_gateway() -> None:
    routes = {route for route in routes_of(application("gateway")) if route[0] != WEBSOCKET}
    assert {(row.method, row.route) for row in ROUTES} == routes


def test_it_has_every_frame_of_both_websockets() -> None:
    sockets = {path.rpartition("/")[2] for method, path in routes_of(application("gateway")) if method == WEBSOCKET}
    assert sockets == set(client.FRAMES)
    every = {client.kind_of(type_) for types in client.FRAMES.values() for type_ in types} - {"hello"}
    for socket in sockets:
        assert {row.frame["type"] for row in FRAMES if row.socket == socket} == every


def test_every_row_has_a_cell_for_every_role() -> None:
    assert {len(row.cells) for row in ROUTES} | {len(row.cells) for row in FRAMES} == {len(ROLES)}


def test_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_a_cell_that_changes_is_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changed = dataclasses.replace(ROUTES[0], cells=(200, *ROUTES[0].cells[1:]))
    monkeypatch.setattr(role_matrix, "ROUTES", (changed, *ROUTES[1:]))
    before = FILE.read_text("utf-8")
    assert main(["--check"]) == 1
    assert "not current" in capsys.readouterr().out
    assert FILE.read_text("utf-8") == before
