"""`services/docgen/openapi.py`: the documents are whole, true to the code, and checked to be current."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.docgen import openapi
from services.docgen.openapi import SERVICES, Document, documents, main

PUBLIC = {
    ("get", "/api/button"),
    ("get", "/api/button/events"),
    ("post", "/api/chats"),
    ("post", "/api/agent/session"),
    ("delete", "/api/agent/session"),
    ("get", "/api/agent/me"),
    ("get", "/api/agents"),
    ("post", "/api/chats/{chat_id}/attachments"),
    ("get", "/api/chats/{chat_id}/attachments/{id}"),
    ("get", "/api/chats/{chat_id}/transcript"),
    ("post", "/api/chats/{chat_id}/question"),
    ("get", "/api/questions"),
    ("post", "/api/questions/{chat_id}/done"),
    ("get", "/api/assignments"),
}


@pytest.fixture(scope="module")
def made() -> dict[str, Document]:
    return documents()


def references(place: Any) -> Iterator[str]:
    if isinstance(place, dict):
        if isinstance(place.get("$ref"), str):
            yield place["$ref"]
        for item in place.values():
            yield from references(item)
    elif isinstance(place, list):
        for item in place:
            yield from references(item)


def resolve(document: Document, reference: str) -> Any:
    place: Any = document
    for step in reference.removeprefix("#/").split("/"):
        place = place[step.replace("~1", "/").replace("~0", "~")]
    return place


def operations(document: Document) -> dict[tuple[str, str], Document]:
    return {(m, path): op for path, methods in document["paths"].items() for m, op in methods.items()}


def test_the_files_in_the_repository_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_the_same_code_gives_the_same_bytes(made: dict[str, Document]) -> None:
    assert {n: openapi.text_of(d) for n, d in documents().items()} == {n: openapi.text_of(d) for n, d in made.items()}


def test_the_environment_changes_nothing(made: dict[str, Document], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("GATEWAY_PORT", "9"),
        ("DEPARTMENTS_FILE", "nowhere"),
        ("TOKEN_SECRET", "x"),
        ("LISTEN_ADDRESS", "h"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    assert documents() == made


def test_check_reports_every_change_and_writes_nothing(
    made: dict[str, Document], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi, "documents", lambda: made)
    assert main(["--folder", str(tmp_path)]) == 0
    assert main(["--folder", str(tmp_path), "--check"]) == 0
    capsys.readouterr()
    changed, missing, extra = (tmp_path / n for n in ("openapi.json", "asyncapi.json", "old.openapi.json"))
    changed.write_text(changed.read_text().replace('"openapi"', '"OpenAPI"', 1))
    missing.unlink()
    extra.write_text("{}")
    assert main(["--folder", str(tmp_path), "--check"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert [Path(line.split(": ")[0]).name for line in shown] == ["asyncapi.json", "old.openapi.json", "openapi.json"]
    assert not missing.exists()
    assert extra.exists()
    assert main(["--folder", str(tmp_path)]) == 0
    assert main(["--folder", str(tmp_path), "--check"]) == 0
    assert not extra.exists()


def test_every_reference_leads_somewhere(made: dict[str, Document]) -> None:
    for name, document in made.items():
        for reference in references(document):
            assert reference.startswith("#/"), (name, reference)
            assert resolve(document, reference) is not None, (name, reference)
        assert "$defs" not in json.dumps(document), name


def test_the_public_interface_has_every_address_of_the_protocol(made: dict[str, Document]) -> None:
    normal = {(m, re.sub(r"{attachment_id}|{id_}", "{id}", p)) for m, p in operations(made["openapi.json"])}
    assert normal >= PUBLIC
    assert not any("/internal/" in path or path in ("/metrics", "/healthz", "/readyz") for _, path in normal)


@pytest.mark.parametrize("service", SERVICES)
def test_every_error_is_a_problem_document(made: dict[str, Document], service: str) -> None:
    document = made["openapi.json" if service == "gateway" else f"{service}.openapi.json"]
    assert document["openapi"].startswith("3.1")
    for key, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                of_oauth = key[1] == "/api/integration/token" and status in ("400", "401")  # RFC 6749, section 5.2
                kind = "application/json" if of_oauth else "application/problem+json"
                assert list(answer["content"]) == [kind], key
    assert "HTTPValidationError" not in json.dumps(document)


def test_every_request_needs_the_credentials_that_the_protocol_names(made: dict[str, Document]) -> None:
    for (method, path), operation in operations(made["openapi.json"]).items():
        needed = {name for choice in operation.get("security", []) for name in choice}
        if path.endswith(("/question", "/stream", "/frames")):
            assert needed == {"chat_token"}
        elif path.startswith("/api/integration/"):
            assert needed == {"client_secret" if path == "/api/integration/token" else "client_token"}
        elif path.startswith("/api/chats/"):
            assert needed == {"chat_token", "agent_session"}
        elif (
            path.startswith(("/api/agent", "/api/questions", "/api/assignments"))
            and method + path != "post/api/agent/session"
        ):
            assert needed == {"agent_session"}
        else:
            assert not needed
    for service in SERVICES[1:]:
        assert made[f"{service}.openapi.json"]["security"] == [{"service_token": []}]


def test_routes_of_files_and_transcripts_say_how_they_refuse(made: dict[str, Document]) -> None:
    found = {
        (method, path): set(operation["responses"])
        for (method, path), operation in operations(made["openapi.json"]).items()
        if path.startswith("/api/chats/{chat_id}/attachments") or path == "/api/chats/{chat_id}/transcript"
    }
    assert len(found) == 4
    for operation, statuses in found.items():
        assert statuses >= {"401", "403", "404", "422", "429", "503"}, operation
    assert found["post", "/api/chats/{chat_id}/attachments"] >= {"201", "408", "409", "413", "415"}
