"""The code of the former version beside the present one."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import ROOT

NEEDED = ("services", "deploy", "tests/golden")
DECODE_AND_ENCODE = """
import json, sys
from pydantic import ValidationError
try:
    from services.common.events.codec import decode, encode
except ModuleNotFoundError:  # 1.1
    from services.contracts import decode, encode
answers = {}
for name, body in json.load(sys.stdin).items():
    try:
        answers[name] = encode(decode(body.encode())).decode()
    except ValidationError:
        answers[name] = None
json.dump(answers, sys.stdout)
"""


class NoHistory(Exception):
    """The former version's code cannot be had: this copy of the project came without its history."""


@dataclass(frozen=True)
class Version:
    """A version's name, and the folder where its code is."""

    name: str
    root: Path

    def golden(self) -> dict[str, str]:
        """Event type → the golden sample of this version."""
        return {file.stem: file.read_text() for file in (self.root / "tests" / "golden").glob("*.json")}

    def retell(self, events: Mapping[str, str]) -> dict[str, str | None]:
        """Each of these messages, decoded and encoded again by this version's own code; None: refused as no event."""
        done = subprocess.run(
            [sys.executable, "-c", DECODE_AND_ENCODE],
            cwd=self.root,
            input=json.dumps(events).encode(),
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
        answers: dict[str, str | None] = json.loads(done.stdout)
        return answers


PRESENT = Version("present", ROOT)


def former(home: Path) -> Version:
    """The former version, its code written to `home`. Raises `NoHistory`."""
    known = tomllib.loads((Path(__file__).parent / "former.toml").read_text())
    try:
        done = subprocess.run(["git", "archive", known["commit"], *NEEDED], cwd=ROOT, capture_output=True, timeout=60)
    except FileNotFoundError:
        raise NoHistory("git is not installed") from None
    if done.returncode:
        raise NoHistory(f"git does not know {known['tag']} ({known['commit'][:10]}) here")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(home)  # noqa: S202 - our own commit; a `filter` came with 3.11.4 only
    return Version(known["tag"], home)
