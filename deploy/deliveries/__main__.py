"""Says what the targets of the integrations file have not got, and lists, replays or discards their dead letters.

Works while the system runs. Addresses: TRANSCRIPTS_URL and OPERATOR_KEY (or TOKEN_SECRET), else those of `make run`. A
replay sends the same notice with the same id, and it is tried for as long as a new one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deploy.erasures import services
from deploy.erasures.services import Refused, Services
from deploy.local.settings import Refusal
from deploy.refusals import refuse
from services.common.internal_api.outbox import (
    DEAD,
    DISCARD,
    PAGE,
    REPLAY,
    TARGETS,
    DeadLetter,
    DeadLetters,
    DeadQuery,
    LettersWanted,
    Targets,
    TargetsQuery,
)

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the command. Return 0 when it is done, 1 when it is refused, 2 when the arguments are invalid."""
    parser = _parser()
    options = parser.parse_args()
    if options.command in ("replay", "discard") and bool(options.id) == options.all:
        parser.error("name one delivery by its id, or give --all")
    found = services.find(os.environ, ROOT)
    if isinstance(found, Refusal):
        return refuse(found.text)
    commands: Mapping[str, Callable[[Services, argparse.Namespace], int]] = {
        "list": _list,
        "show": _show,
        "replay": _change,
        "discard": _change,
    }
    try:
        return commands[options.command](found, options)
    except Refused as refused:
        return refuse(str(refused))


def _list(found: Services, options: argparse.Namespace) -> int:
    targets = Targets.model_validate(found.ask("transcripts", TARGETS, TargetsQuery())).targets
    for target in targets:
        since = f", the oldest since {target.oldest:%Y-%m-%d %H:%M} UTC" if target.oldest else ""
        print(f"{target.id:<24} {target.due} to deliver{since}; {target.dead} dead letters")
    if not targets:
        print("there are no targets: INTEGRATIONS_FILE is not set, or has none")
    return 0


def _show(found: Services, options: argparse.Namespace) -> int:
    shown = 0
    for letter in _letters(found, options.target):
        tried = f"{letter.tried_at:%Y-%m-%d %H:%M}" if letter.tried_at else "never"
        about = f"{letter.type:<15} {letter.department:<16} {letter.chat_id or '-':<36}"
        last = f"{letter.attempts} attempts, last {tried} UTC: {letter.cause or '-'}"
        print(f"{letter.target}  {letter.id}  {about} {last}")
        shown += 1
    print(f"{shown} dead letters")
    return 0


def _letters(found: Services, target: str | None) -> Iterator[DeadLetter]:
    after: str | None = None
    while True:
        query = DeadQuery(target=target, after=after)
        page = DeadLetters.model_validate(found.ask("transcripts", DEAD, query)).letters
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].key


def _change(found: Services, options: argparse.Namespace) -> int:
    path, done = (REPLAY, "replayed") if options.command == "replay" else (DISCARD, "discarded")
    number = found.ask("transcripts", path, LettersWanted(target=options.target, id=options.id))["number"]
    print(f"{number} {done}")
    return 0 if number else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make deliveries", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what each target has not got")
    show = commands.add_parser("show", help="the dead letters")
    show.add_argument("target", nargs="?", help="of this target alone")
    for name, what in (("replay", "deliver dead letters after all"), ("discard", "delete dead letters")):
        one = commands.add_parser(name, help=what)
        one.add_argument("target")
        one.add_argument("id", nargs="?", help="the id that `show` prints")
        one.add_argument("--all", action="store_true", help="all of this target")
    return parser


if __name__ == "__main__":
    sys.exit(main())
