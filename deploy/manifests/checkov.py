"""Findings of checkov about a build, without those that exceptions.toml excepts with a reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")
COMMAND = ("--framework", "kubernetes", "--skip-download", "--compact", "--quiet", "--output", "json")


class CheckFailed(Exception):
    """checkov gave no result; the text is its last line."""


def exceptions() -> list[dict[str, str]]:
    """Return the exceptions: check, where, why."""
    found: list[dict[str, str]] = tomllib.loads(EXCEPTIONS.read_text())["exceptions"]
    return found


def failures(checkov: Path, texts: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the failed checks by build. One run checks all builds.

    Raises:
        CheckFailed: checkov gave no result.
    """
    with tempfile.TemporaryDirectory() as home:
        for name, text in texts.items():
            (Path(home) / f"{name}.yaml").write_text(text)
        # Without an upload address: nothing leaves this machine.
        environment = {**os.environ, "LOG_LEVEL": "ERROR", "CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"}
        done = subprocess.run(
            [str(checkov), *COMMAND, "--directory", home], capture_output=True, text=True, env=environment
        )
        try:
            report = json.loads(done.stdout)
            failed = report["results"]["failed_checks"]
            if report["summary"]["parsing_errors"] or not report["summary"]["passed"]:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise CheckFailed((done.stderr.strip().splitlines() or ["it said nothing"])[-1]) from None
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in texts}
    for check in failed:
        found[Path(check["file_path"]).stem].append(check)
    return found


def problems(failed: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    """Return by build one line for each failed check that is not excepted.

    Under "" are the exceptions that are not needed.
    """
    rows = exceptions()
    used: set[int] = set()
    found: dict[str, list[str]] = {}
    for build, checks in failed.items():
        lines = []
        for check in checks:
            excepted = {
                number
                for number, row in enumerate(rows)
                if row["check"] == check["check_id"] and re.fullmatch(row["where"], check["resource"])
            }
            used |= excepted
            if not excepted:
                lines.append(f"{check['check_id']} {check['check_name']}: {check['resource']}")
        found[build] = sorted(set(lines))
    idle = [row for number, row in enumerate(rows) if number not in used]
    return found | {"": [f"exceptions.toml: {row['check']} at {row['where']} fails nowhere any more" for row in idle]}
