"""Writes the machine-readable interfaces into `docs/api/`; with `--check` only says which of them are not current.

`openapi.json` is the gateway's public HTTP interface, `<service>.openapi.json` what the other services answer to each
other, `asyncapi.json` the events on the broker and the frames of the websockets. Nothing is connected to; the same code
gives the same bytes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from services.common.http.problems import MEDIA_TYPE
from services.docgen import asyncapi
from services.docgen.applications import ROOT, application
from services.docgen.websocket_schemas import add_sockets

FOLDER = ROOT / "docs" / "api"
SERVICES = ("gateway", "presence", "routing", "transcripts")
AGENTS_PART = ("/api/agent", "/api/questions", "/api/assignments")  # of the public interface, by the path
Document = dict[str, Any]

PROBLEM: Document = {
    "title": "Problem",
    "description": "A problem document (RFC 9457); `code` is a stable word that clients branch on.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
    "additionalProperties": True,
}
PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
SCHEMES: dict[str, Document] = {
    "chat_token": {"type": "http", "scheme": "bearer", "description": "The token of one chat, from `POST /api/chats`."},
    "agent_session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-eloket-agent",
        "description": "The cookie that logging in sets; without `__Host-` on plain-http loopback.",
    },
    "client_secret": {
        "type": "http",
        "scheme": "basic",
        "description": "The id and the secret of a client (`client_secret_basic`).",
    },
    "client_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, from `POST /api/integration/token`.",
    },
    "service_token": {"type": "http", "scheme": "bearer", "description": "A token that the services sign, for 2 min."},
}


def documents() -> dict[str, Document]:
    """Return every document by its file name."""
    made = {("openapi.json" if name == "gateway" else f"{name}.openapi.json"): openapi(name) for name in SERVICES}
    events = asyncapi.document()
    codes = importlib.import_module("services.gateway.websocket.frames.server").Close
    add_sockets(events, {str(code.value): code.name.lower() for code in codes})
    return made | {"asyncapi.json": events}


def openapi(name: str) -> Document:
    """Return the OpenAPI document of one service: that of its application, with our problem documents and tokens."""
    made: Document = json.loads(json.dumps(application(name).openapi()))
    schemas: Document = made.setdefault("components", {}).setdefault("schemas", {})
    for operation in _operations(made):
        _describe_problems(operation)
    _hoist(made["paths"], schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    made["components"]["schemas"] = dict(sorted(schemas.items()))
    _secure(made, name)
    return made


def _operations(made: Document) -> list[Document]:
    return [operation for path in made["paths"].values() for operation in path.values()]


def _describe_problems(operation: Document) -> None:
    """Describe every error as a problem document, instead of FastAPI's validation error, which no service returns."""
    for status, answer in operation["responses"].items():
        if status == "422" and answer.get("description") == "Validation Error":
            answer["description"] = "invalid"
        if status.startswith(("4", "5")) and not _is_of_oauth(answer):
            answer["content"] = PROBLEM_CONTENT
        elif status.startswith("3"):
            answer.pop("content", None)  # a redirect has no body, where FastAPI describes one


def _is_of_oauth(answer: Document) -> bool:
    """Return whether an error is one of the token endpoint, whose form RFC 6749 gives."""
    schema: Document = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return schema.get("title") == "TokenError"


def _hoist(place: Any, schemas: Document) -> None:
    """Move definitions inside a request's schema to the components, where its references point."""
    if isinstance(place, list):
        for item in place:
            _hoist(item, schemas)
    elif isinstance(place, dict):
        for name, schema in place.pop("$defs", {}).items():
            _hoist(schema, schemas)
            schemas.setdefault(name, schema)
        for item in place.values():
            _hoist(item, schemas)


def _secure(made: Document, name: str) -> None:
    if name != "gateway":
        made["components"]["securitySchemes"] = {"service_token": SCHEMES["service_token"]}
        made["security"] = [{"service_token": []}]
        return
    made["components"]["securitySchemes"] = {
        n: SCHEMES[n] for n in ("chat_token", "agent_session", "client_secret", "client_token")
    }
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            if path == "/api/integration/token":
                operation["security"] = [{"client_secret": []}, {}]  # or an assertion in the form
            elif path.startswith("/api/integration/"):
                operation["security"] = [{"client_token": []}]
            elif path.endswith(("/question", "/stream", "/frames")):
                operation["security"] = [{"chat_token": []}]
            elif path.startswith("/api/chats/"):
                operation["security"] = [{"chat_token": []}, {"agent_session": []}]
            elif path.startswith(AGENTS_PART) and (path, method) != ("/api/agent/session", "post"):
                operation["security"] = [{"agent_session": []}]


def text_of(document: Document) -> str:
    """Return the document as it is in its file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def outdated(folder: Path, made: dict[str, Document]) -> list[str]:
    """Return the names of files that are missing, differ from the code, or are not generated any more."""
    present = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(n for n in made.keys() | present.keys() if n not in made or present.get(n) != text_of(made[n]))


def write(folder: Path, made: dict[str, Document]) -> None:
    """Write these documents into the folder and remove all others."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, document in made.items():
        (folder / name).write_text(text_of(document), "utf-8")


def main(arguments: list[str]) -> int:
    """Generate or check the documents. Return the exit status: 1 when `--check` found a file that is not current."""
    parser = argparse.ArgumentParser(
        prog="python -m services.docgen.openapi", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not current")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="instead of docs/api")
    options = parser.parse_args(arguments)
    made = documents()
    stale = outdated(options.folder, made)
    for name in stale:
        print(f"{options.folder / name}: {'is not current; run `make docs`' if options.check else 'written'}")
    if options.check:
        return 1 if stale else 0
    write(options.folder, made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
