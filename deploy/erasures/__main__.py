"""Erases a chat by its number, sets and lifts legal holds, and reports what was deleted. Works while the system runs.

Addresses: TRANSCRIPTS_URL, ROUTING_URL, RABBITMQ_URL and OPERATOR_KEY (or TOKEN_SECRET), else those of `make run`.
Every act has a receipt, which transcripts keeps. ERASURE_LIST names a file, kept apart from the databases, to which
receipts are added: `make restore` applies it, so that a backup brings nothing back that was erased.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from deploy.dead_letters.address import broker_url
from deploy.dead_letters.inspector import Busy
from deploy.erasures import dead_letters, receipts, services
from deploy.erasures.receipts import NotAList
from deploy.erasures.services import Refused, Services
from deploy.local.settings import Refusal
from deploy.refusals import of_file, refuse
from services.common.events.types import is_id
from services.common.internal_api.erasures import (
    ERASE,
    ERASE_CHAT,
    ERASE_MESSAGE,
    HOLD,
    LIFT,
    PAGE,
    RECEIPTS,
    REPORT,
    ChatErase,
    EraseWanted,
    HoldWanted,
    LiftWanted,
    MessageErase,
    Receipt,
    ReceiptsQuery,
    Report,
    ReportQuery,
)
from services.common.messaging.errors import BROKER_ERRORS

ROOT = Path(__file__).resolve().parents[2]
NO_LIST = (
    "note: ERASURE_LIST is not set. Keep this receipt apart from the databases: after a restore of an older backup the "
    "chat would be back (docs/backup.md)"
)


class Stop(Exception):
    """The command ends here; the exception says why."""


def main() -> int:
    """Run the command. Return 0 when it is done, 1 when it is refused, 2 when the arguments are invalid."""
    options = _parser().parse_args()
    logging.disable()  # messages of the broker's client; this program prints its own below
    found = services.find(os.environ, ROOT)
    if isinstance(found, Refusal):
        return refuse(found.text)
    commands: Mapping[str, Callable[[Services, argparse.Namespace], None]] = {
        "chat": _erase,
        "message": _erase_message,
        "hold": _hold,
        "lift": _lift,
        "report": _report,
        "list": _list,
    }
    try:
        commands[options.command](found, options)
    except (Refused, Stop, NotAList) as refused:
        return refuse(str(refused))
    except Busy:
        return refuse("somebody else is looking at the dead letters: try again in a minute")
    except BROKER_ERRORS as error:
        return refuse(f"the broker does not answer, or does not allow it ({type(error).__name__})")
    except OSError as error:
        return refuse(of_file(error))
    return 0


def _erase(found: Services, options: argparse.Namespace) -> None:
    """Erase a chat everywhere. Transcripts is last and keeps the receipt, so an interrupted erasure is repeated."""
    url = broker_url(os.environ, ROOT)
    if isinstance(url, Refusal):
        raise Stop(url.text)
    wanted = EraseWanted(chat_id=options.chat, by=options.by, reason=options.reason)
    try:
        found.ask("transcripts", ERASE, wanted.model_copy(update={"only_check": True}))
    except Refused as refused:
        if refused.code != "no_such_chat":
            raise
    in_routing = found.ask("routing", ERASE_CHAT, ChatErase(chat_id=options.chat))["erased"]
    letters, cut_short = asyncio.run(dead_letters.discard(url, options.chat))
    if cut_short:
        raise Stop(f"{', '.join(cut_short)} has too many dead letters to look at all: replay or discard some first")
    elsewhere = {"routing": in_routing, "dead letters": letters}
    wanted = wanted.model_copy(update={"elsewhere": {place: n for place, n in elsewhere.items() if n}})
    _keep(Receipt.model_validate(found.ask("transcripts", ERASE, wanted)))


def _erase_message(found: Services, options: argparse.Namespace) -> None:
    """Erase what one message says. Dead letters of its chat may say it too and are discarded."""
    wanted = MessageErase(chat_id=options.chat, by=options.by, reason=options.reason, seq=options.seq)
    url = broker_url(os.environ, ROOT)
    if isinstance(url, Refusal):
        raise Stop(url.text)
    receipt = Receipt.model_validate(found.ask("transcripts", ERASE_MESSAGE, wanted))
    _, cut_short = asyncio.run(dead_letters.discard(url, options.chat))
    _keep(receipt)
    if cut_short:
        raise Stop(f"{', '.join(cut_short)} has too many dead letters to look at all: replay or discard some first")


def _hold(found: Services, options: argparse.Namespace) -> None:
    until = datetime.combine(options.until, time.max, UTC).replace(microsecond=0)
    wanted = HoldWanted(chat_id=options.chat, by=options.by, reason=options.reason, until=until)
    _keep(Receipt.model_validate(found.ask("transcripts", HOLD, wanted)))


def _lift(found: Services, options: argparse.Namespace) -> None:
    wanted = LiftWanted(chat_id=options.chat, by=options.by, reason=options.reason)
    _keep(Receipt.model_validate(found.ask("transcripts", LIFT, wanted)))


def _keep(receipt: Receipt) -> None:
    print(receipt.model_dump_json(indent=1, exclude_none=True))
    if given := os.environ.get("ERASURE_LIST"):
        receipts.append(Path(given), [receipt])
    else:
        print(NO_LIST, file=sys.stderr)


def _list(found: Services, options: argparse.Namespace) -> None:
    kept: list[Receipt] = []
    while True:
        after = kept[-1].id if kept else None
        page = found.ask("transcripts", RECEIPTS, ReceiptsQuery(after=after))["receipts"]
        kept += [Receipt.model_validate(one) for one in page]
        if len(page) < PAGE:
            break
    if options.into:
        receipts.append(Path(options.into), kept)
        print(f"{options.into} has {len(receipts.read(Path(options.into)))} receipts")
    else:
        for receipt in kept:
            print(receipt.model_dump_json(exclude_none=True))


def _report(found: Services, options: argparse.Namespace) -> None:
    since = datetime.combine(options.since, time.min, UTC)
    until = datetime.combine(options.until + timedelta(days=1), time.min, UTC)
    told = found.ask("transcripts", REPORT, ReportQuery(since=since, until=until))
    if options.json:
        print(Report.model_validate(told).model_dump_json(indent=1))
        return
    for line in report_lines(Report.model_validate(told)):
        print(line)


def report_lines(report: Report) -> list[str]:
    """Return the report for a terminal."""
    lines = [f"{'month':<8} {'department':<20} {'category':<14} {'by':<9} {'chats':>8} {'items':>9}  last (UTC)"]
    for row in report.rows:
        about = f"{row.month:<8} {row.department:<20} {row.category:<14} {row.by:<9}"
        lines.append(f"{about} {row.chats:>8} {row.items:>9}  {row.last_at:%Y-%m-%d %H:%M}")
    if not report.rows:
        lines.append("nothing was deleted in this time")
    lines.append("")
    for periods in report.periods:
        days = ", ".join(f"{name} {number}" for name, number in periods.days.items())
        state = "confirmed" if periods.confirmed else "NOT CONFIRMED, only left questions are deleted"
        lines.append(f"{periods.department}: {state}; days: {days}")
    last = f"{report.last_run:%Y-%m-%d %H:%M} UTC" if report.last_run else "never"
    lines.append(f"on hold: {report.on_hold}; last run of the job: {last}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make erase ARGS=…", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    erasing = commands.add_parser("chat", help="erase a chat with all that belongs to it, for good")
    of_message = commands.add_parser("message", help="erase what one message of an ended chat says, and its file")
    holding = commands.add_parser("hold", help="keep a chat until a day, whatever the retention periods say")
    lifting = commands.add_parser("lift", help="lift the hold of a chat")
    for command in (erasing, of_message, holding, lifting):
        command.add_argument("chat", type=_chat, help="the number of the chat")
        command.add_argument(
            "--reason", required=True, type=_words, help="for the receipt; it must not name the citizen"
        )
        command.add_argument(
            "--by", type=_words, default=getpass.getuser(), help="who does it, for the receipt (your login)"
        )
    of_message.add_argument("seq", type=int, help="the number of the message in the chat (`seq` of the JSON)")
    holding.add_argument("--until", required=True, type=_day, help="the last day of the hold: 2027-06-30")
    reporting = commands.add_parser("report", help="what was deleted, by month, department and category; counts only")
    today = datetime.now(UTC).date()
    reporting.add_argument("--since", type=_day, default=today - timedelta(days=365), help="first day (a year ago)")
    reporting.add_argument("--until", type=_day, default=today, help="last day (today)")
    reporting.add_argument("--json", action="store_true", help="for another program")
    listing = commands.add_parser("list", help="all receipts, one JSON object in each line")
    listing.add_argument("--into", help="add those that are missing to this file, an erasure list")
    return parser


def _chat(text: str) -> str:
    if not is_id(text):
        raise argparse.ArgumentTypeError(
            "not the number of a chat: 32 hexadecimal digits in five groups, in lower case"
        )
    return text


def _words(text: str) -> str:
    if not 1 <= len(text.strip()) <= 500:
        raise argparse.ArgumentTypeError("give 1 to 500 characters")
    return text.strip()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("give a day such as 2027-06-30") from None


if __name__ == "__main__":
    sys.exit(main())
