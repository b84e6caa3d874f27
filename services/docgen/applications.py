"""The services' applications, composed with default settings, for the generators of documents. Nothing is connected."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import get_type_hints

from fastapi import FastAPI

ROOT = Path(__file__).resolve().parents[2]


def application(name: str) -> FastAPI:
    """Return the application of one service."""
    create_app = importlib.import_module(f"services.{name}.app").create_app
    settings_class = get_type_hints(create_app)["settings"]
    settings = settings_class.model_construct(  # the defaults, whatever the environment says
        token_secret="only to describe the interface",  # noqa: S106 - signs nothing
        departments_file=ROOT / "deploy" / "departments.toml",
    )
    made: FastAPI = create_app(settings)
    return made
