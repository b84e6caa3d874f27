"""Software bill of materials of an image, in CycloneDX 1.6 JSON: every pinned package with its licence and hashes."""

from __future__ import annotations

import importlib.metadata
import json
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.manifests.kustomize import ROOT

NAMESPACE = uuid.UUID("5f0c9d0a-6c0e-5d8e-9d43-2f3c1c1f6b7e")  # of our serial numbers (RFC 9562, version 5)
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>\S+)")
# Names of licences in older metadata (trove classifiers), as SPDX ids.
_CLASSIFIERS = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def pins(requirements: Path) -> dict[str, tuple[str, list[str]]]:
    """Return version and SHA-256 sums of each package of a requirements file, by name."""
    lines = requirements.read_text().replace(" \\\n", " ").splitlines()
    found = [(match, line) for line in lines if (match := _PIN.match(line))]
    return {m["name"]: (m["version"], re.findall(r"--hash=sha256:(\w+)", line)) for m, line in found}


def of_image(service: str, version: str, made_at: int) -> str:
    """Return the document of one service's image. The same arguments and packages give the same text.

    Licences come from the metadata of the installed packages.

    Args:
        service: The service's name.
        version: The release.
        made_at: The time of the release, in seconds since 1970.

    Raises:
        LookupError: A package is not installed, or its metadata name no licence.
    """
    reference = f"eloket-chat/{service}@{version}"
    packages = pins(ROOT / "requirements" / f"{service}.txt")
    components = [_component(name, *packages[name]) for name in sorted(packages, key=str.lower)]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, json.dumps([reference, made_at, components]))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(made_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "container",
                "bom-ref": reference,
                "name": f"eloket-chat/{service}",
                "version": version,
            },
        },
        "components": components,
        "dependencies": [{"ref": reference, "dependsOn": [one["bom-ref"] for one in components]}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _component(name: str, version: str, sums: list[str]) -> dict[str, Any]:
    installed = importlib.metadata.distribution(name)
    if installed.version != version:
        raise LookupError(f"{name} {version} is pinned, and {installed.version} is installed")
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    component["licenses"] = [licence_of(installed)]
    # Each sum is of one wheel: the image of a machine holds one of them.
    component["properties"] = [{"name": "eloket:wheel:sha256", "value": one} for one in sums]
    return component


def licence_of(installed: importlib.metadata.Distribution) -> dict[str, Any]:
    """Return the licence that a package states: its expression, else its classifiers, else its own words."""
    about = installed.metadata
    if "License-Expression" in about:
        return {"expression": about["License-Expression"]}
    given = [line for line in about.get_all("Classifier") or [] if line.startswith("License :: ")]
    named = [line.split(" :: ")[-1] for line in given if not line.endswith(":: OSI Approved")]
    if known := sorted({_CLASSIFIERS[name] for name in named if name in _CLASSIFIERS}):
        return {"expression": " OR ".join(known)} if len(known) > 1 else {"license": {"id": known[0]}}
    words = (about["License"] if "License" in about else "".join(named[:1])).strip().splitlines()
    if not words:
        raise LookupError(f"{installed.name} names no licence")
    return {"license": {"name": words[0][:100]}}
