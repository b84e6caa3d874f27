"""Checks that every object has only existing fields, with values of their type.

The schemas are those of the oldest and the newest supported Kubernetes, and of the operators.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import kubernetes_validate

from deploy.manifests.objects import Object, called

SCHEMAS = Path(__file__).resolve().parents[3] / "tests" / "deploy" / "schemas"
INSTALLED = ("gateway.networking.k8s.io",)  # a group of Kubernetes whose definitions are installed by themselves
KUBERNETES = ("1.31", "1.37")  # the oldest with `preStop.sleep` and `matchLabelKeys` enabled, and the newest


def problems(objects: Sequence[Object]) -> list[str]:
    """Return one line for each object that does not match its schema."""
    found = []
    for thing in objects:
        group = thing["apiVersion"].partition("/")[0] if "/" in thing["apiVersion"] else ""
        own = "." not in group or (group.endswith(".k8s.io") and group not in INSTALLED)
        found += _of_kubernetes(json.dumps(thing)) if own else _of_operators(thing)
    return found


@functools.cache
def _of_kubernetes(text: str) -> list[str]:
    """Check an object, given as JSON.

    Builds have most objects in common, and the library reads its schemas again at each call.
    """
    thing: Object = json.loads(text)
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [f"{called(thing)}: {_place(error.path)}: {error.message} (Kubernetes {version})"]
        except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.VersionNotSupportedError) as error:
            return [f"{called(thing)}: {error.message}"]
    return []


def _of_operators(thing: Object) -> list[str]:
    file = SCHEMAS / f"{thing['kind']}.json"
    if not file.is_file():
        return [f"{called(thing)}: there is no schema of {thing['kind']} in {SCHEMAS.name}/"]
    error = jsonschema.exceptions.best_match(_validator(file).iter_errors(thing))
    return [f"{called(thing)}: {_place(error.path)}: {error.message}"] if error else []


@functools.cache
def _validator(file: Path) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(file.read_text()))


def _place(path: Sequence[object]) -> str:
    return ".".join(map(str, path)) or "as a whole"
