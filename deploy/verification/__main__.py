"""Verifies a transcript (JSON or PDF): says whether it is intact, altered and where, or incomplete. No network.

It needs nothing but Python 3.11: no packages, no service. The public keys are those that `/api/transcript-keys` of the
installation publishes, kept as a file; without one, those of `make run` on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from deploy.verification import PUBLIC_KEYS
from services.common.evidence.chain import keys_of
from services.common.evidence.verification import MOST_BYTES, Finding, Result, Verdict, Why, verify_file

ROOT = Path(__file__).resolve().parents[2]
INVALID, NOT_PROVEN = 2, 3
STATUS = {Verdict.INTACT: 0, Verdict.ALTERED: 1, Verdict.UNREADABLE: 1}
_SAYS = {
    Why.ENTRY_ALTERED: "entry {0} was altered",
    Why.ENTRY_MOVED: "entry {0} is not in its place",
    Why.ENTRIES_ADDED: "{0} added after the end that was signed",
    Why.ENTRIES_MISSING: "{0} missing",
    Why.HEADING_ALTERED: "the details above or below the entries were altered",
    Why.SOMEWHERE: "the entries are not those that were signed; where they were altered cannot be seen",
    Why.OTHER_CHAT: "the signature is that of another chat",
    Why.BAD_SIGNATURE: "the signature is not valid",
    Why.UNKNOWN_KEY: "it is signed with a key that is not among the published ones",
    Why.NOT_SIGNED: "the end is not signed: the chat was going on, or the reader may not see its end",
    Why.NO_CHAIN: "no chain: made before version 2, or taken out of the file",
    Why.TOO_LARGE: f"the file is larger than {MOST_BYTES} bytes",
    Why.CUT_OFF: "the file is cut off: its end is missing",
    Why.NOT_A_TRANSCRIPT: "this is no transcript of this system",
    Why.NEWER_FORMAT: "the file comes from a newer version",
}


def main() -> int:
    """Run the command.

    Return 0 when the transcript is intact, 1 when it was altered or cannot be read, 2 for invalid arguments, 3 when
    its origin or its end is not proven.
    """
    options = _parser().parse_args()
    try:
        with open(options.file, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        keys = _keys(options.keys)
    except OSError as error:
        print(f"refused: {error.filename}: {error.strerror}", file=sys.stderr)
        return INVALID
    except ValueError:
        print(f"refused: {options.keys} is not a JSON Web Key Set, as /api/transcript-keys answers it", file=sys.stderr)
        return INVALID
    result = verify_file(content, keys)
    for line in lines_of(result):
        print(line)
    if options.show:
        print(json.dumps(result.messages, ensure_ascii=False, indent=1))
    return STATUS.get(result.verdict, NOT_PROVEN)


def lines_of(result: Result) -> list[str]:
    """Return what is printed of a result."""
    lines = [f"{result.verdict.value.upper().replace('_', ' ')}: {_said(finding)}" for finding in result.findings]
    if not lines:
        lines.append(f"intact: chat {result.chat_id}, {result.entries} entries, signed {result.signed_at}")
        lines.append(f"key: {result.kid}")
    if result.removed:
        lines.append(f"removed: the content of {result.removed} entries was removed later; their places are intact")
    if result.pdf and result.verdict is not Verdict.UNREADABLE:
        lines.append("note: the data in the PDF are verified, not its pages; --show prints the data")
    return lines


def _said(finding: Finding) -> str:
    several = finding.last > finding.first
    which = f"entries {finding.first} to {finding.last} are" if several else f"entry {finding.first} is"
    if finding.why in (Why.ENTRIES_ADDED, Why.ENTRIES_MISSING):
        return _SAYS[finding.why].format(which)
    return _SAYS[finding.why].format(finding.first)


def _keys(given: str | None) -> dict[str, bytes]:
    """Return the public keys of a file, or those that `make run` keeps.

    Raises:
        OSError: There is no such file.
        ValueError: It is no key set.
    """
    file = Path(given) if given else _data_dir() / PUBLIC_KEYS
    if not given and not file.exists():
        return {}
    return keys_of(json.loads(file.read_bytes()))


def _data_dir() -> Path:
    return ROOT / (os.environ.get("DATA_DIR") or ".run")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make verify", description=__doc__)
    parser.add_argument("file", help="the transcript, JSON or PDF")
    parser.add_argument("--keys", help="the public keys, as /api/transcript-keys answers them; make's KEYS=FILE")
    parser.add_argument("--show", action="store_true", help="print the entries as they were verified")
    return parser


if __name__ == "__main__":
    sys.exit(main())
