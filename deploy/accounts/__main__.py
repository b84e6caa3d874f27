"""Lists, adds, changes, disables and enables the accounts of the accounts file (ACCOUNTS_FILE).

Presence reads the file again within some seconds: nothing is restarted. The file is validated as presence does before
it is written, and replaced at once. A password is typed, not shown, or read from standard input, or generated and
printed once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import io
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

from deploy.accounts import toml_text
from deploy.accounts.toml_text import CannotEdit, Value
from deploy.refusals import refuse
from services.common.config.departments import LOCALES, Departments, load_departments
from services.common.config.toml_file import ConfigurationError
from services.common.config.watch import MOST_BYTES
from services.common.internal_api.presence import OFFICER_ROLES
from services.presence.agents import totp
from services.presence.agents.accounts import Account, load_accounts_file
from services.presence.agents.password_rules import problem_of, unfit, words_of
from services.presence.agents.passwords import Passwords
from services.presence.hash import read_password

ROOT = Path(__file__).resolve().parents[2]
GENERATED = 15  # bytes of a generated password: 20 characters


class Refused(Exception):
    """The command does nothing, for this reason."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Return 0 when it is done, 1 when it is refused, 2 when the arguments are invalid."""
    options = _parser().parse_args(arguments)
    commands: Mapping[str, Callable[[AccountsText, argparse.Namespace], None]] = {
        "list": _list,
        "add": _add,
        "change": _change,
        "disable": _disable,
        "enable": _enable,
    }
    try:
        commands[options.command](AccountsText.find(options), options)
    except (Refused, CannotEdit, ConfigurationError) as refused:
        return refuse(str(refused))
    return 0


class AccountsText:
    """The text of the accounts file, and the departments that its accounts may serve."""

    def __init__(self, path: Path, departments: Departments, new: bool) -> None:
        """Read the file.

        Args:
            path: Where it is.
            departments: The departments.
            new: It need not exist.

        Raises:
            Refused: It cannot be read.
            ConfigurationError: It is invalid.
        """
        self._path, self._departments = path.resolve(), departments
        self._there = self._path.exists()
        self.text = self._read() if self._there or not new else ""
        if self.text.strip():
            load_accounts_file(self._path, departments)

    @classmethod
    def find(cls, options: argparse.Namespace) -> AccountsText:
        """Return the file of these options or of the environment.

        Raises:
            Refused: No file is named, or it cannot be read.
            ConfigurationError: It, or the departments file, is invalid.
        """
        if os.environ.get("CONFIG_SOURCE") == "database":
            raise Refused("the accounts are in the database (CONFIG_SOURCE): administrators change them in the console")
        given = options.file or os.environ.get("ACCOUNTS_FILE")
        if not given:
            raise Refused("say which file: make agent ACCOUNTS_FILE=accounts.toml ARGS=...; presence must have it too")
        departments = Path(os.environ.get("DEPARTMENTS_FILE") or ROOT / "deploy" / "departments.toml")
        return cls(Path(given), load_departments(departments), options.command == "add")

    def accounts(self) -> tuple[Account, ...]:
        """Return the accounts of the file."""
        return load_accounts_file(self._path, self._departments).accounts if self.text.strip() else ()

    def write(self, text: str) -> None:
        """Validate the new text, and put it in the place of the old one at once.

        Raises:
            Refused: It cannot be written, or the file was changed meanwhile.
            ConfigurationError: It is invalid.
        """
        load_accounts_file(_NewText(self._path, text), self._departments)
        try:
            self._write(text)
        except OSError as error:
            raise Refused(f"{self._path} cannot be written ({error.strerror}).") from None

    def _write(self, text: str) -> None:
        number, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)  # with mode 0600
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                if self._there:
                    old = self._path.stat()
                    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                        os.fchown(file.fileno(), old.st_uid, old.st_gid)
                    os.fchmod(file.fileno(), old.st_mode & 0o777)
            with self._alone():
                if self._path.exists() != self._there or (self._there and self._read() != self.text):
                    raise Refused(f"{self._path} was changed meanwhile; repeat the command.")
                os.replace(name, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        print(f"{self._path} is written; presence reads it within some seconds, unless its CONFIG_SOURCE is database.")
        if not self._there:
            print("only its owner can read it: give the user of presence the right to, where that is another one.")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other commands from replacing the file (advisory lock of its folder, `flock(2)`).

        It is taken for the comparison and the replacement only: nobody types a password while others wait. A file
        system without locks has the comparison alone.
        """
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise Refused(f"{self._path} has more than {MOST_BYTES} bytes.")
            return content.decode("utf-8")
        except OSError as error:
            raise Refused(f"{self._path} cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError:
            raise Refused(f"{self._path} is not UTF-8.") from None


class _NewText:
    """A text that is to become the file, as messages of its validation name it."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path, text

    def __str__(self) -> str:
        """Return what messages call it."""
        return str(self._path)

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Return the content."""
        return io.BytesIO(self._text.encode())


def _list(file: AccountsText, options: argparse.Namespace) -> None:
    for account in file.accounts():
        role = account.role or ("supervisor" if account.supervisor else "agent")
        marks = [
            *(["one-time password"] if account.totp_secret else []),
            *(["break-glass"] if account.break_glass else []),
            *(["disabled"] if account.disabled else []),
        ]
        serves = f"{','.join(account.departments)} ({account.capacity} at a time)" if account.role is None else ""
        print(f"{account.username:24} {role:13} {account.name:24} {serves} {' '.join(marks)}".rstrip())


def _add(file: AccountsText, options: argparse.Namespace) -> None:
    if any(account.username == options.username for account in file.accounts()):
        raise Refused(f"there is an account '{options.username}' already; `change` changes it, `enable` enables it.")
    secret = totp.new_secret() if options.totp else None
    account: dict[str, Value] = {"username": options.username, "name": options.name or options.username}
    account |= _members(options)
    password = _password(options, (options.username, options.name or ""))
    account["password_hash"] = _hash(password)
    if options.generate_password:
        account["must_change_password"] = True
    if secret:
        account["totp_secret"] = secret
    file.write(toml_text.added(file.text, account))
    _show(options, password, secret)


def _change(file: AccountsText, options: argparse.Namespace) -> None:
    former = _require(file, options.username)
    secret = totp.new_secret() if options.totp else None
    changes: dict[str, Value | None] = {**_members(options)}
    if options.name is not None:
        changes["name"] = options.name
    if options.no_supervisor:
        changes["supervisor"] = None
    own = (options.username, options.name or former.name)
    password = _password(options, own) if options.password or options.generate_password else ""
    if password:
        changes["password_hash"] = _hash(password)
        changes["must_change_password"] = True if options.generate_password else None
    if secret or options.no_totp:
        changes["totp_secret"] = secret
    if not changes:
        raise Refused("say what to change: `make agent ARGS='change --help'` lists it.")
    file.write(toml_text.changed(file.text, options.username, changes))
    _show(options, password, secret)


def _disable(file: AccountsText, options: argparse.Namespace) -> None:
    _require(file, options.username)
    file.write(toml_text.changed(file.text, options.username, {"disabled": True}))


def _enable(file: AccountsText, options: argparse.Namespace) -> None:
    _require(file, options.username)
    file.write(toml_text.changed(file.text, options.username, {"disabled": None}))


def _require(file: AccountsText, username: str) -> Account:
    for account in file.accounts():
        if account.username == username:
            return account
    raise Refused(f"there is no account '{username}'; `list` shows them.")


def _members(options: argparse.Namespace) -> dict[str, Value]:
    """Return the members that options name in the same way for `add` and `change`."""
    members: dict[str, Value] = {}
    if getattr(options, "role", None):
        members["role"] = options.role
    if options.department:
        members["departments"] = options.department
    if options.capacity is not None:
        members["capacity"] = options.capacity
    if options.supervisor:
        members["supervisor"] = True
    if options.language:
        members["locales"] = options.language
    return members


def _password(options: argparse.Namespace, own: Sequence[str]) -> str:
    """Return a password that is typed twice, read from standard input, or generated.

    `own`: the username and the name of the account, which are easy to guess.

    Raises:
        Refused: It is not good enough.
    """
    if options.generate_password:
        return secrets.token_urlsafe(GENERATED)
    password = read_password()
    if sys.stdin.isatty() and read_password("Again: ") != password:
        raise Refused("the two passwords differ.")
    if why := unfit(password, own, _words()):
        raise Refused(problem_of(why).detail)
    return password


def _words() -> tuple[str, ...]:
    """Return the words of the installation that no password has (PASSWORD_WORDS).

    Raises:
        Refused: They are no such list.
    """
    try:
        return words_of(os.environ.get("PASSWORD_WORDS", ""))
    except ValueError as error:
        raise Refused(f"PASSWORD_WORDS {error}.") from None


def _hash(password: str) -> str:
    return asyncio.run(Passwords().hash(password))


def _show(options: argparse.Namespace, password: str, secret: str | None) -> None:
    """Print what was generated and is written now; it cannot be shown again."""
    if options.generate_password:
        print(f"password: {password}")
        print("it is for one login, which asks for another one.")
    if secret:
        print(f"one-time passwords, for the person's authenticator: {totp.uri(secret, options.username)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make agent", description=__doc__)
    parser.add_argument("--file", metavar="FILE", help="the accounts file, in the place of ACCOUNTS_FILE")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the accounts, without their secrets")
    add = commands.add_parser("add", help="a new account; asks for its password")
    add.add_argument("--role", choices=OFFICER_ROLES, help="an officer, who is no agent")
    change = commands.add_parser("change", help="changes of an account")
    change.add_argument("--password", action="store_true", help="asks for another password")
    for command in (add, change):
        command.add_argument("username")
        command.add_argument("--name", help="what citizens and colleagues read")
        command.add_argument("--department", action="append", help="one that the agent serves; may be repeated")
        command.add_argument("--capacity", type=int, help="chats at a time; 0: a supervisor who takes none")
        command.add_argument("--supervisor", action="store_true", help="sees the chats of the departments")
        command.add_argument("--language", action="append", choices=LOCALES, help="may be repeated; else all four")
        command.add_argument("--generate-password", action="store_true", help="prints a new password for one login")
        command.add_argument("--totp", action="store_true", help="one-time passwords, with a new secret")
    change.add_argument("--no-supervisor", action="store_true", help="no supervisor any more")
    change.add_argument("--no-totp", action="store_true", help="no one-time passwords any more")
    for name, what in (
        ("disable", "nobody logs in with it; its sessions end and its chats are handed on"),
        ("enable", "the contrary of disable"),
    ):
        commands.add_parser(name, help=what).add_argument("username")
    return parser


if __name__ == "__main__":
    sys.exit(main())
