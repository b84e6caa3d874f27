"""Checks that every object has only existing fields, with values of their type.

The schemas are those of the oldest and the newest supported Kubernetes, and of the operators.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from referencing import Registry, Resource

from deploy.manifests.objects import Object, called

SCHEMAS = Path(__file__).resolve().parents[3] / "tests" / "deploy" / "schemas"
INSTALLED = ("gateway.networking.k8s.io",)  # a group of Kubernetes whose definitions are installed by themselves
_GROUP = re.compile(r"(?:\.[^/]*)?/")  # the schema of rbac.authorization.k8s.io/v1 is that of rbac-v1
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
    """Check an object, given as JSON. Builds have most objects in common."""
    thing: Object = json.loads(text)
    for version in KUBERNETES:
        try:
            error = _best_error(_kubernetes_validator(thing["kind"], thing["apiVersion"], version), thing)
        except FileNotFoundError:
            return [f"{called(thing)}: Kubernetes {version} has no {thing['kind']} of {thing['apiVersion']}"]
        if error:
            return [f"{called(thing)}: {_place(error.path)}: {error.message} (Kubernetes {version})"]
    return []


@functools.cache
def _kubernetes_validator(kind: str, api_version: str, version: str) -> jsonschema.Draft202012Validator:
    """Return what checks objects of a kind, by the schemas of `kubernetes_validate`.

    Its own function reads the schema and the definitions of a version again at each call, which takes 20 ms.

    Raises:
        FileNotFoundError: This version has no such kind.
    """
    name = f"{kind}-{api_version}".lower()
    schema = json.loads((_folder(version) / f"{_GROUP.sub('-', name)}.json").read_text())
    registry = Resource.from_contents(schema) @ (_definitions(version) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


@functools.cache
def _definitions(version: str) -> Resource[Any]:
    """Return the definitions to which all schemas of this version refer."""
    return Resource.from_contents(json.loads((_folder(version) / "_definitions.json").read_text()))


def _folder(version: str) -> Path:
    (found,) = (Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema").glob(f"v{version}.*-local-strict")
    return found


def _of_operators(thing: Object) -> list[str]:
    file = SCHEMAS / f"{thing['kind']}.json"
    if not file.is_file():
        return [f"{called(thing)}: there is no schema of {thing['kind']} in {SCHEMAS.name}/"]
    error = _best_error(_validator(file), thing)
    return [f"{called(thing)}: {_place(error.path)}: {error.message}"] if error else []


@functools.cache
def _validator(file: Path) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(file.read_text()))


def _best_error(validator: jsonschema.Draft202012Validator, thing: Object) -> jsonschema.ValidationError | None:
    return jsonschema.exceptions.best_match(validator.iter_errors(thing))


def _place(path: Sequence[object]) -> str:
    return ".".join(map(str, path)) or "as a whole"
