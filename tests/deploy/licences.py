"""The licences of all pinned packages: `python -m tests.deploy.licences` writes the table of docs/licences.md.

They come from the metadata of the installed packages, as those in the bills of materials do.
"""

import importlib.metadata
import re

from deploy.release.sbom import licence_of, pins
from tests.support.servers import ROOT

FILE = ROOT / "docs" / "licences.md"
GROUPS = {"run": "images", "embedded": "development", "dev": "tests and checks", "manifests": "checks of manifests"}
"""What the packages of a requirements file are for."""
WORDS = {
    "Apache": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "LGPL": "LGPL-2.1-or-later",
}
"""What packages without an SPDX expression say."""
UNNAMED = {"axe-playwright-python": "MIT"}
"""Packages whose metadata names no licence, by the file LICENSE that they come with."""
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0", "ZPL-2.1"),
    "Zlib",
}
ALLOWED = {
    # Of unchanged files: used and passed on as they are (MPL 2.0, 3.2 and 3.3; LGPL 2.1, section 6).
    "images": PERMISSIVE | {"MPL-2.0", "LGPL-2.1-or-later"},
    "development": PERMISSIVE | {"GPL-2.0-only", "CC-BY-4.0"},  # a process of its own, in no image
    "tests and checks": PERMISSIVE | {"MPL-2.0"},
    "checks of manifests": PERMISSIVE,
}
"""What the project accepts, by what a package is for."""
HEAD = """# Licences of the packages

Made by `python -m tests.deploy.licences` from the metadata of the packages that `requirements/` pins.
`tests/deploy/test_licences.py` refuses a licence that is not on the list of `tests/deploy/licences.py`: permissive
ones, MPL-2.0 and LGPL-2.1 for files that are used unchanged, and GPL-2.0 for the embedded database alone, which is in
no image.
The bills of materials of a release have the same licences. Linters of the browser code are in no image either.

| package | licence | for |
|---|---|---|
"""


def licence(name: str) -> str:
    """The licence of a package as an SPDX expression."""
    if name in UNNAMED:
        return UNNAMED[name]
    stated = licence_of(importlib.metadata.distribution(name))
    word = str(stated.get("expression") or stated["license"].get("id") or stated["license"]["name"])
    return WORDS.get(word, word)


def packages() -> dict[str, str]:
    """Each pinned package with what it is for; the first group that needs it counts."""
    found: dict[str, str] = {}
    for file, purpose in GROUPS.items():
        for name in pins(ROOT / "requirements" / f"{file}.txt"):
            found.setdefault(name, purpose)
    return found


def is_allowed(expression: str, purpose: str) -> bool:
    """Whether the parts of this expression are accepted: all of AND, one of OR."""
    inner = re.search(r"\(([^()]*)\)", expression)
    if inner:
        accepted = "0BSD" if is_allowed(inner[1], purpose) else "refused"
        return is_allowed(expression[: inner.start()] + accepted + expression[inner.end() :], purpose)
    return any(all(part in ALLOWED[purpose] for part in each.split(" AND ")) for each in expression.split(" OR "))


def page() -> str:
    """The text of docs/licences.md."""
    rows = (f"| {name} | {licence(name)} | {purpose} |\n" for name, purpose in packages().items())
    return HEAD + "".join(sorted(rows, key=str.lower))


if __name__ == "__main__":
    FILE.write_text(page())
