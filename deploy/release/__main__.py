"""`make release VERSION=2.0.0`: bundles, images, SBOMs, the changelog entry and checksums, in dist/<version>/.

Made again from the same commit the files are the same, byte for byte (SOURCE_DATE_EPOCH, else the commit's time).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from deploy.local.settings import SERVICES, Refusal
from deploy.manifests.kustomize import ROOT, BuildFailed
from deploy.refusals import refuse
from deploy.release import bundles, images, sbom

SUMS = "SHA256SUMS"
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")


def main() -> int:
    """Make a release. Return 0 when it is complete, 1 when it is refused, 3 when only the images are missing."""
    options = _parser().parse_args()
    entry = changelog_entry((ROOT / "CHANGELOG.md").read_text(), options.version, options.draft)
    refusal = entry if isinstance(entry, Refusal) else version_refusal(options.version)
    if isinstance(entry, Refusal) or refusal:
        return refuse(refusal.text if refusal else "")
    folder = Path(options.to).absolute() / options.version
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        without = make(folder, options.version, entry, options.registry, commit_time(os.environ))
    except (BuildFailed, images.NotBuilt, LookupError, OSError) as error:
        return refuse(str(error))
    print(*sorted(path.name for path in folder.iterdir()), sep="\n")
    print(f"release {options.version} is in {folder}")
    if without:
        print(f"without the images: {without}", file=sys.stderr)
    return 3 if without else 0


def make(folder: Path, version: str, entry: str, registry: str | None, made_at: int) -> str | None:
    """Write all files of a release into an empty folder. Return why the images are missing; None when they are there.

    Raises:
        BuildFailed: kustomize refuses.
        NotBuilt: buildah refuses.
        LookupError: The licence of a package is not known.
    """
    for name, text in bundles.build(version, registry).items():
        (folder / f"eloket-chat-{version}-{name}.yaml").write_text(text)
    for service in SERVICES:
        (folder / f"eloket-chat-{service}-{version}.cdx.json").write_text(sbom.of_image(service, version, made_at))
    (folder / f"CHANGELOG-{version}.md").write_text(entry)
    without = images.missing(os.environ)
    if without is None:
        images.build(folder, version, made_at, os.environ)
    (folder / SUMS).write_text(sums(folder))
    return without


def sums(folder: Path) -> str:
    """Return the SHA-256 of each file, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    return "".join(f"{_sum(path)}  {path.name}\n" for path in files)


def changelog_entry(text: str, version: str, draft: bool) -> str | Refusal:
    """Return the entry of this version in the changelog, or a refusal. A draft may be unreleased."""
    for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        heading = part.splitlines()[0]
        if heading.split()[1] != version:
            continue
        if "unreleased" in heading and not draft:
            return Refusal(f"CHANGELOG.md calls {version} unreleased: give the entry its date (or ARGS=--draft)")
        return part.rstrip() + "\n"
    return Refusal(f"CHANGELOG.md has no entry `## {version}`: write it first")


def version_refusal(version: str) -> Refusal | None:
    """Return why this version cannot be released from this code, or None."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if not _VERSION.fullmatch(version):
        return Refusal(f"VERSION={version} is not a version such as {declared}")
    return None if version == declared else Refusal(f"pyproject.toml says that this is {declared}, not {version}")


def commit_time(environ: os._Environ[str] | dict[str, str]) -> int:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org), else the time of the last commit, in seconds since 1970.

    Raises:
        LookupError: Neither is known.
    """
    if given := environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    asked = subprocess.run(["git", "-C", str(ROOT), "log", "-1", "--format=%ct"], capture_output=True, text=True)  # noqa: S607
    if asked.returncode != 0:
        raise LookupError("there is no commit whose time could be taken: set SOURCE_DATE_EPOCH")
    return int(asked.stdout)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make release VERSION=…", description=__doc__)
    parser.add_argument("version")
    parser.add_argument("--registry", help="where the images will be, such as registry.stad.example/eloket-chat")
    parser.add_argument("--to", default="dist", help="the folder of all releases (dist)")
    parser.add_argument("--draft", action="store_true", help="although the changelog calls the version unreleased")
    return parser


if __name__ == "__main__":
    sys.exit(main())
