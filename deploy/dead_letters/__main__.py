"""Lists, shows, replays or discards what the services could not handle (dead letters). Works while they run.

What a person wrote is not shown, only its length, unless --content is given. A replay gives a letter back to the queue
that it came from; done twice it is harmless.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import aio_pika

from deploy.dead_letters.address import broker_url
from deploy.dead_letters.inspector import Busy, Found, Pile, connected, opened
from deploy.dead_letters.message import REASONS, UNKNOWN, Letter, tally, when, with_content, without_content
from deploy.local.settings import Refusal
from deploy.refusals import refuse
from services.common.messaging import topology
from services.common.messaging.errors import BROKER_ERRORS

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted({queue.service for queue in topology.QUEUES})
MOST, MOST_HELD = 1_000, 10_000
WEARS_OUT = (
    "RabbitMQ 4 drops a letter that was looked at 20 times: tell it not to, with a policy `delivery-limit` of -1 "
    "for the queues *.dead-letters"
)


def main() -> int:
    """Run the command. Return 0 when it is done, 1 when not everything was done, 2 when the arguments are invalid."""
    parser = _parser()
    options = parser.parse_args()
    if options.command == "discard" and options.all and not options.yes:
        parser.error("--all deletes every letter of this service for good: add --yes")
    logging.disable()  # messages of the broker's client; this program prints its own below
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    url = broker_url(os.environ, ROOT)
    if isinstance(url, Refusal):
        return refuse(url.text)
    try:
        return asyncio.run(_do(url, options))
    except Busy:
        return refuse("somebody else is looking at these letters: try again in a minute")
    except BROKER_ERRORS as error:
        return refuse(f"the broker does not answer, or does not allow it ({type(error).__name__})")
    except KeyboardInterrupt:
        print("stopped: what was only looked at is back where it was", file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


async def _do(url: str, options: argparse.Namespace) -> int:
    async with connected(url) as connection:
        if options.command == "list":
            for service in SERVICES:
                await _list(connection, service, options.limit)
            return 0
        async with opened(connection, options.service) as pile:
            if pile is None or pile.count == 0:
                print(f"{options.service} has no dead letters")
                return 0 if options.command == "show" and not options.id else 1
            done = await {"show": _show, "replay": _replay, "discard": _discard}[options.command](pile, options)
            _warn(pile, options.limit)
            return done


async def _list(connection: aio_pika.abc.AbstractConnection, service: str, most: int) -> None:
    async with opened(connection, service) as pile:
        if pile is None or pile.count == 0:
            print(f"{service:<12} no dead letters")
            return
        kinds = tally([found.letter async for found in pile.letters(most)])
        print(f"{service:<12} {pile.count} dead letters")
        for number, oldest in kinds:
            came = f"{oldest.type:<18} from {oldest.queue or UNKNOWN:<22} {oldest.reason:<15}"
            print(f"{number:>8}  {came} since {when(oldest.since)}")
        _warn(pile, most)


async def _show(pile: Pile, options: argparse.Namespace) -> int:
    content = with_content if options.content else without_content
    shown = 0
    async for found in pile.letters(options.limit):
        if _chosen(found.letter, options):
            print(_described(found.letter, content), end="\n\n")
            shown += 1
    return _report(shown, "shown")


async def _replay(pile: Pile, options: argparse.Namespace) -> int:
    replayed = kept = 0
    async for found in pile.letters(options.limit):
        if _chosen(found.letter, options):
            why_not = await pile.replay(found)
            kept, replayed = kept + bool(why_not), replayed + (not why_not)
            print(f"kept      {_line(found)}: {why_not}" if why_not else f"replayed  {_line(found)}", flush=True)
    if kept:
        print(f"{kept} kept")
    return _report(replayed, "replayed") or bool(kept)


async def _discard(pile: Pile, options: argparse.Namespace) -> int:
    discarded = 0
    async for found in pile.letters(options.limit):
        if _chosen(found.letter, options):
            print(f"discarded {_line(found)}", flush=True)
            await pile.discard(found)
            discarded += 1
    return _report(discarded, "discarded")


def _chosen(letter: Letter, options: argparse.Namespace) -> bool:
    if options.id:
        return letter.id in options.id
    return not getattr(options, "type", None) or letter.type == options.type


def _report(number: int, what: str) -> int:
    print(f"{number} {what}" if number else f"nothing {what}: there is no such letter")
    return int(number == 0)


def _warn(pile: Pile, most: int) -> None:
    if pile.cut_short:
        print(f"these are the first {most} of {pile.count}: --limit looks at more", file=sys.stderr)
    if pile.wears_out:
        print(f"warning: {WEARS_OUT}", file=sys.stderr)


def _line(found: Found) -> str:
    letter = found.letter
    return f"{letter.id}  {letter.type}  {letter.queue or UNKNOWN}  {letter.reason}  {when(letter.since)}"


def _described(letter: Letter, content: Callable[[bytes], str]) -> str:
    times = f", {letter.count} times" if letter.count > 1 else ""
    worth = (
        f"this version cannot read it ({letter.problem}): a replay would bring it back here"
        if letter.problem
        else "this version can read it: a replay may help once its cause is mended"
    )
    rows = {
        "id": letter.id,
        "type": letter.type,
        "queue": letter.queue or UNKNOWN,
        "reason": f"{letter.reason}: {REASONS.get(letter.reason, UNKNOWN)}",
        "since": when(letter.since) + times,
        "chat": letter.chat_id or "none",
        "now": worth,
        "content": content(letter.body),
    }
    return "\n".join(f"{name:<9} {said}" for name, said in rows.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make dead-letters ARGS=…", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="how many there are, of which type, why and since when")
    showing = commands.add_parser("show", help="each letter, without what a person wrote")
    showing.add_argument("--content", action="store_true", help="also what a person wrote: only where you may read it")
    replaying = commands.add_parser("replay", help="back to the queue that they came from")
    discarding = commands.add_parser("discard", help="delete for good; prints what it deletes")
    for command in (showing, replaying, discarding):
        command.add_argument("service", choices=SERVICES)
    showing.add_argument("--id", action="append", help="this letter only; may be repeated")
    for command, wider in ((replaying, "--type"), (discarding, "--all")):
        which = command.add_mutually_exclusive_group(required=True)
        which.add_argument("--id", action="append", help="this letter only; may be repeated")
        which.add_argument("--all", action="store_true", help="every letter of the service")
        if wider == "--type":
            which.add_argument("--type", help="every letter of this type")
    discarding.add_argument("--yes", action="store_true", help="with --all: you are sure")
    for command in (listing, showing, replaying, discarding):
        command.add_argument("--limit", type=_number, default=MOST, help=f"hold at most so many at a time ({MOST})")
    return parser


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_HELD):
        raise argparse.ArgumentTypeError(f"a number from 1 to {MOST_HELD}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
