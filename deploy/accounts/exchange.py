"""Exports and imports the accounts, where they are in the database of presence (CONFIG_SOURCE=database).

The file is an accounts file (TOML) with hashes of passwords and secrets of one-time passwords: only its owner can read
it. An import shows what would change; with `--apply` it makes these changes, one account after the other, and says
which are made. Accounts that are not in the file stay, unless `--remove-others` is given. The roles of an issuer
(`[oidc]`) are in neither. Addresses: PRESENCE_URL, TRANSCRIPTS_URL and OPERATOR_KEY (or TOKEN_SECRET), else those of
`make run`.
"""

from __future__ import annotations

import argparse
import errno
import getpass
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

from deploy.erasures import services
from deploy.erasures.services import Refused, Services
from deploy.local.settings import Refusal
from deploy.new_file import new_file
from deploy.refusals import of_file, refuse
from services.common.batches import batched
from services.common.clock import utcnow
from services.common.config import toml_text
from services.common.config.toml_file import ConfigurationError, load_toml
from services.common.config.watch import MOST_BYTES
from services.common.internal_api.accounts import (
    ACCOUNTS_EXPORT,
    ACCOUNTS_IMPORT,
    IMPORTED,
    AccountsImport,
    AccountsImported,
    ExportPage,
    ExportQuery,
)
from services.common.internal_api.configuration import Author
from services.common.internal_api.transcripts import ACCESS_NOTE, AccessNoted, Reader
from services.presence.accounts.exchange import CannotImport, Change, changes_of
from services.presence.agents.accounts import Account, AccountsFile

ROOT = Path(__file__).resolve().parents[2]
HEAD = (
    "Accounts of presence, {at:%Y-%m-%d %H:%M} UTC, with hashes of passwords and secrets of one-time passwords.",
    "Keep this file as you keep passwords, and delete it when it is not needed any more.",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Return 0 when it is done, 1 when it is refused, 2 when the arguments are invalid."""
    options = _parser().parse_args(arguments)
    found = services.find(os.environ, ROOT)
    if isinstance(found, Refusal):
        return refuse(found.text)
    try:
        if options.command == "import":
            import_file(found, options)
        else:
            export_file(found, options.file, options.by)
    except (Refused, CannotImport, ConfigurationError, toml_text.CannotEdit) as refused:
        return refuse(str(refused))
    except OSError as error:
        return refuse(of_file(error))
    return 0


# ── export ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def export_file(found: Services, file: Path, by: str) -> None:
    """Write all accounts to a file that only its owner can read. The access log has it first.

    Raises:
        Refused: A service does not answer, or the accounts are in a file already.
        OSError: The file cannot be written, or exists.
    """
    with new_file(file) as out:
        found.ask("transcripts", ACCESS_NOTE, AccessNoted(act="accounts_exported", reader=Reader(agent_id=by)))
        accounts = [one for page in _pages(found, secrets=True) for one in page.accounts]
        head = [line.format(at=utcnow()) for line in HEAD]
        out.write(toml_text.document("accounts", [one.members or {} for one in accounts], *head))
    print(f"accounts in {file}: {len(accounts)}, with hashes of passwords; only its owner can read it")


def _pages(found: Services, secrets: bool = False) -> list[ExportPage]:
    """Return all accounts of presence; with `secrets` also what nobody else gets."""
    pages: list[ExportPage] = []
    while not pages or pages[-1].more:
        after = pages[-1].accounts[-1].username if pages else ""
        answer = found.ask("presence", ACCOUNTS_EXPORT, ExportQuery(after=after, secrets=secrets))
        pages.append(ExportPage.model_validate(answer))
    return pages


# ── import ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def import_file(found: Services, options: argparse.Namespace) -> None:
    """Show what the file would change, and change it with `--apply`.

    Raises:
        Refused: A service refuses or does not answer; or an account was changed meanwhile.
        CannotImport: The file is refused as a whole.
        ConfigurationError: The file is wrong.
    """
    wanted = _read(options.file)
    pages = _pages(found)
    changes = changes_of(wanted, pages, options.remove_others)
    for change in changes:
        print(_line(change))
    named = {account.username for account in wanted}
    others = [one.username for page in pages for one in page.accounts if one.username not in named]
    if others and not options.remove_others:
        print(f"not in the file, and left as they are: {len(others)} (--remove-others removes them)")
    if not changes:
        print("nothing to change: the accounts of the file are as they are there")
    elif not options.apply:
        print(f"accounts to change: {len(changes)}. Nothing was changed: repeat it with ARGS=--apply")
    else:
        _apply(found, changes, options.by)


def _apply(found: Services, changes: Sequence[Change], by: str) -> None:
    """Make the changes, so many at a time. The access log has each one before it is made.

    Raises:
        Refused: Some are not made; the exception says how many are, and why it is not more.
    """
    made, meanwhile = 0, list[str]()
    author = Author(id=by, name=by, role="operator")
    for some in batched(list(changes), IMPORTED):
        item = "; ".join(f"{one.request.username}: {', '.join(one.fields)}" for one in some)
        note = AccessNoted(act="accounts_imported", reader=Reader(agent_id=by), item=item)
        request = AccountsImport(accounts=[one.request for one in some], by=author)
        try:
            found.ask("transcripts", ACCESS_NOTE, note)
            answer = AccountsImported.model_validate(found.ask("presence", ACCOUNTS_IMPORT, request))
        except Refused as refused:
            names = ", ".join(one.request.username for one in some)
            raise Refused(
                f"{refused}\naccounts changed: {made} of {len(changes)}. Unknown or not changed: {names}, and those "
                "after them. Repeat the import: it shows what is left."
            ) from None
        made += len(answer.done)
        meanwhile += answer.meanwhile
    print(f"accounts changed: {made} of {len(changes)}; presence uses them within some seconds")
    if meanwhile:
        raise Refused(
            f"somebody has changed these meanwhile, and they stay: {', '.join(meanwhile)}. Repeat the import."
        )


def _read(file: Path) -> tuple[Account, ...]:
    """Return the accounts of the file.

    Raises:
        ConfigurationError: It is wrong, or too large.
        Refused: An account is there twice, or there is none.
    """
    content = load_toml("the file", _Bounded(file), AccountsFile)
    if not content.accounts:
        raise Refused(f"{file}: has no [[accounts]]")
    seen = set[str]()
    for account in content.accounts:
        if account.username in seen:
            raise Refused(f"{file}: '{account.username}' is there twice")
        seen.add(account.username)
    if content.oidc is not None:
        print("the section [oidc] is not imported: it stays in ACCOUNTS_FILE of presence")
    return content.accounts


class _Bounded:
    """A file of which no more is read than presence reads of an accounts file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __str__(self) -> str:
        """Return what messages call it."""
        return str(self._file)

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Return the content."""
        with self._file.open(mode) as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES} bytes")
        return io.BytesIO(content)


def _line(change: Change) -> str:
    """Return what changes, in one line without secrets."""
    username = change.request.username
    if change.request.members is None:
        return f"- {username:24} {change.before['name']}, {change.before['role']}: is removed"
    if not change.before and not change.secrets:
        words = [f"{name} {_words(value)}" for name, value in change.after.items() if value not in (False, [])]
        return f"+ {username:24} {', '.join(words)}"
    words = [f"{name} {_words(change.before[name])} → {_words(value)}" for name, value in change.after.items()]
    return f"~ {username:24} {', '.join([*words, *change.secrets])}"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "+".join(value) or "none" if isinstance(value, list) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make accounts-…", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="change the accounts to what an accounts file has")
    importing.add_argument("file", type=Path, help="the accounts file")
    importing.add_argument("--apply", action="store_true", help="make the changes; else they are only shown")
    importing.add_argument("--remove-others", action="store_true", help="remove accounts that are not in the file")
    exporting = commands.add_parser("export", help="write all accounts as an accounts file")
    exporting.add_argument("file", type=Path, help="a file that does not exist yet")
    for command in (importing, exporting):
        command.add_argument("--by", default=getpass.getuser(), help="who does it, for the access log (your login)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
