"""Internal API of the accounts that presence stores (`CONFIG_SOURCE=database`). No I/O.

Everything is answered with 409 `configuration_in_file` where the accounts are in a file. No answer has a hash of a
password. A password, or a secret of one-time passwords, is only in the answer to the request that makes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from services.common.events.types import Record, Whole
from services.common.internal_api.configuration import Author

ACCOUNTS = "/internal/accounts"  # AccountsQuery → Accounts
ACCOUNTS_CHANGE = "/internal/accounts/change"  # AccountWish → AccountChanged | 404 no_such_account | 409 | 422
ACCOUNTS_HISTORY = "/internal/accounts/history"  # AccountQuery → AccountHistory | 404 no_such_account

PAGE = 50  # accounts in one answer
KEPT = 100  # changes of one account that are kept
Role = Literal["agent", "supervisor", "administrator", "auditor"]
Act = Literal[
    "begun",
    "added",
    "changed",
    "disabled",
    "enabled",
    "removed",
    "password_made",
    "totp_made",
    "totp_removed",
    "undone",
]
"""How a revision of an account came to be: of the accounts file at the first start, and by each `AccountWish`."""
WishedAct = Literal[
    "add",
    "change",
    "disable",
    "enable",
    "remove",
    "make_password",
    "make_totp",
    "remove_totp",
    "undo",
]
Value = str | int | bool | list[str]
Username = Annotated[str, Field(max_length=100)]


class AccountForm(Record):
    """What an administrator says of an account. An officer has no departments and takes no chats."""

    name: Annotated[str, Field(max_length=200)]
    role: Role
    departments: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=1_000)] = Field(
        default_factory=list
    )
    capacity: Annotated[int, Field(ge=-(2**31), le=2**31)] = 1
    locales: Annotated[list[Annotated[str, Field(max_length=10)]], Field(max_length=10)] = Field(default_factory=list)
    break_glass: bool = False


class AccountView(AccountForm):
    """An account as administrators see it. `totp`: it has a second factor. `by`: who made this revision, and when."""

    username: str
    disabled: bool = False
    totp: bool = False
    revision: Whole
    at: datetime
    by: Author


class AccountsQuery(Record):
    """Request for accounts, by their usernames: after this one, with this text in the username or the name."""

    search: Annotated[str, Field(max_length=100)] = ""
    after: Username = ""


class Accounts(Record):
    """Accounts, at most `PAGE`. `more`: there are others after them."""

    accounts: list[AccountView]
    more: bool


class AccountWish(Record):
    """Request to change an account.

    Attributes:
        username: Whose account it is.
        base: The revision that its author has seen; 0: a new account.
        act: What is to be done.
        form: What it is to be, for `add` and `change`.
        of: The revision to undo, for `undo`.
        by: Who does it.
    """

    username: Username
    base: Whole = 0
    act: WishedAct
    form: AccountForm | None = None
    of: Whole | None = None
    by: Author


class AccountChanged(Record):
    """What an account is after a change.

    Attributes:
        account: The account; None: it is removed.
        fields: What has changed, by name; none: nothing, or the request has arrived twice.
        password: The password for one login that was made.
        totp: The address with the secret of one-time passwords that was made, for an authenticator.
    """

    account: AccountView | None
    fields: list[str]
    password: str | None = Field(default=None, repr=False)
    totp: str | None = Field(default=None, repr=False)


class AccountQuery(Record):
    """Request for the history of one account."""

    username: Username


class AccountEntry(Record):
    """A change of an account: who, when, what, and the fields before and after. Never a hash or a secret.

    `of`: the revision that it undoes. `undoable`: its fields can be put back.
    """

    revision: Whole
    at: datetime
    by: Author
    act: Act
    of: Whole | None = None
    before: dict[str, Value] = Field(default_factory=dict)
    after: dict[str, Value] = Field(default_factory=dict)

    @property
    def undoable(self) -> bool:
        """Whether `undo` puts something back."""
        return bool(self.before) and self.act in ("changed", "disabled", "enabled", "removed", "undone")


class AccountHistory(Record):
    """The changes of an account, the newest first, at most `KEPT`. `revision`: the newest; `removed`: it is gone."""

    revision: Whole
    removed: bool
    entries: list[AccountEntry]
