"""Verifies the access log: says whether it is intact, or where it was altered. Exports it as JSON lines.

Addresses: TRANSCRIPTS_URL and OPERATOR_KEY (or TOKEN_SECRET), else those of `make run`. An export is verified without
any service. Every export and verification through transcripts is an entry of the log itself.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.erasures import services
from deploy.erasures.services import Refused, Services
from deploy.local.settings import Refusal
from deploy.new_file import new_file
from deploy.refusals import of_file, refuse
from services.common.access_chain import Head, Verifier
from services.common.internal_api.transcripts import ACCESS_LOG, AccessQuery

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 1_000  # lines of a file


def main() -> int:
    """Run the command. Return 0 when the log is intact, 1 when it is not or cannot be read, 2 for invalid arguments."""
    options = _parser().parse_args()
    try:
        pages = _of_file(Path(options.file)) if options.file else _of_service(options.by)
        verifier = Verifier()
        if options.export:
            with new_file(Path(options.export)) as file:
                for page in pages:
                    verifier.take(page)
                    file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in page)
        else:
            for page in pages:
                verifier.take(page)
    except Refused as refused:
        return refuse(str(refused))
    except OSError as error:
        return refuse(of_file(error))
    except ValueError:
        return refuse(f"{options.file} is not an export of the access log")
    flaws = verifier.end(options.head, part=options.part)
    for flaw in flaws:
        print(f"ALTERED: {flaw}")
    if flaws:
        return 1
    print(f"intact: entries {verifier.first} to {verifier.head.seq}; head {verifier.head}")
    return 0


def _of_service(by: str) -> Iterator[list[dict[str, Any]]]:
    found = services.find(os.environ, ROOT)
    if isinstance(found, Refusal):
        raise Refused(found.text)
    return _pages(found, by)


def _pages(found: Services, by: str) -> Iterator[list[dict[str, Any]]]:
    after = 0
    while page := found.ask("transcripts", ACCESS_LOG, AccessQuery(after=after, by=by))["entries"]:
        yield page
        after = int(page[-1]["seq"])


def _of_file(path: Path) -> Iterator[list[dict[str, Any]]]:
    with path.open() as file:
        page: list[dict[str, Any]] = []
        for line in file:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise ValueError("no entry")
            page.append(entry)
            if len(page) == AT_ONCE:
                yield page
                page = []
        yield page


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make verify-access-log ARGS=…", description=__doc__)
    parser.add_argument("--export", help="write the entries into this file, which does not exist yet, one in each line")
    parser.add_argument("--file", help="verify such a file instead of the log itself")
    parser.add_argument("--part", action="store_true", help="the file is a part of the log: of a period")
    parser.add_argument("--head", type=_head, help="a head that was noted elsewhere (event access_log_head), SEQ:HASH")
    parser.add_argument("--by", default=getpass.getuser(), help="who does it, for the log (your login)")
    return parser


def _head(text: str) -> Head:
    if not (match := re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)):
        raise argparse.ArgumentTypeError("give a number and a hash: 42:0f3a…")
    return Head(int(match[1]), match[2])


if __name__ == "__main__":
    sys.exit(main())
