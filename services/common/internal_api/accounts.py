"""Internal API of the accounts that presence stores (`CONFIG_SOURCE=database`). No I/O.

Every request is answered with 409 `configuration_in_file` where the accounts are in a file. Only an export of the
operator has hashes of passwords and secrets of one-time passwords. Apart from it, a password or a secret is only in the
answer to the request that makes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from services.common.events.types import Record, Whole
from services.common.internal_api.configuration import Author

ACCOUNTS = "/internal/accounts"  # AccountsQuery → Accounts
ACCOUNTS_CHECK = "/internal/accounts/check"  # AccountWish → AccountChecked; refused as ACCOUNTS_CHANGE
ACCOUNTS_CHANGE = "/internal/accounts/change"  # AccountWish → AccountChanged | 404 no_such_account | 409 | 422
ACCOUNTS_HISTORY = "/internal/accounts/history"  # AccountQuery → AccountHistory | 404 no_such_account
# Of the operator alone, for `make accounts-export` and `make accounts-import`:
ACCOUNTS_EXPORT = "/internal/accounts/export"  # ExportQuery → ExportPage
ACCOUNTS_IMPORT = "/internal/accounts/import"  # AccountsImport → AccountsImported | 422 last_administrator, …

PAGE = 50  # accounts in one answer
EXPORTED = 200  # accounts in one answer to the operator
IMPORTED = 20  # accounts in one request of the operator: they are changed while one lease lasts
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
    "imported",
]
"""How a revision of an account came to be: of the accounts file at the first start, by each `AccountWish`, and by
an import."""
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
Language = Annotated[str, Field(max_length=10)]
"""A language that an agent speaks, as `nl`."""
MOST_LANGUAGES = 10
Sought = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]  # MongoDB takes no expression with \x00


class AccountForm(Record):
    """The fields of an account that an administrator fills in. An officer has no departments and takes no chats."""

    name: Annotated[str, Field(max_length=200)]
    role: Role
    departments: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=1_000)] = Field(
        default_factory=list
    )
    capacity: Annotated[int, Field(ge=-(2**31), le=2**31)] = 1
    locales: Annotated[list[Language], Field(max_length=MOST_LANGUAGES)] = Field(default_factory=list)
    break_glass: bool = False


class AccountView(AccountForm):
    """An account as administrators see it. `totp`: it has a second factor. `by`: who made this revision, and when.

    `removed`: it is there no more; the fields are as they were.
    """

    username: str
    disabled: bool = False
    totp: bool = False
    revision: Whole
    at: datetime
    by: Author
    removed: bool = False


class AccountsQuery(Record):
    """Request for accounts, by their usernames: after this one, with this text in the username or the name.

    `removed`: for accounts that are removed, in place of those that are not.
    """

    search: Sought = ""
    after: Username = ""
    removed: bool = False


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


class AccountChecked(Record):
    """What a wish would change, by the names of the fields. None: nothing, or the request has arrived twice.

    Nothing is stored: a change is noted in the access log before it is made.
    """

    fields: list[str]


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
        """Whether `undo` puts something back. A second factor never comes back."""
        fields = self.before.keys() - {"totp"}
        return bool(fields) and self.act in ("changed", "disabled", "enabled", "removed", "undone", "imported")


class AccountHistory(Record):
    """The changes of an account, the newest first, at most `KEPT`. `revision`: the newest; `removed`: it is gone."""

    revision: Whole
    removed: bool
    entries: list[AccountEntry]


class ExportQuery(Record):
    """Request for all accounts, by their usernames: after this one. `secrets`: with what nobody else gets."""

    after: Username = ""
    secrets: bool = False


class ExportedAccount(Record):
    """An account with the password that counts: the one that its person has chosen, where they have.

    Attributes:
        username: Whose it is.
        revision: Its revision.
        view: What administrators see of it.
        must_change_password: The password is for one login.
        password: The fingerprint of the hash.
        totp: The fingerprint of the secret of one-time passwords; empty: there is none.
        members: What the accounts file has of it, with hash and secret; only with `secrets`.
    """

    username: str
    revision: Whole
    view: dict[str, Value]
    must_change_password: bool = False
    password: str
    totp: str
    members: dict[str, Value] | None = Field(default=None, repr=False)


class ExportPage(Record):
    """Accounts, at most `EXPORTED`, and what an import has to know.

    Attributes:
        accounts: The accounts.
        more: There are others after them.
        departments: The departments that an account can serve.
        only_break_glass: Other accounts log in at the issuer.
        issuer_administers: The issuer has a role of administrators.
    """

    accounts: list[ExportedAccount]
    more: bool
    departments: list[str]
    only_break_glass: bool
    issuer_administers: bool


class ImportedAccount(Record):
    """What an account is to be: the members that the accounts file has of it, or None: removed.

    `base`: the revision that the operator has seen; 0: there was no account.
    """

    username: Username
    base: Whole = 0
    members: dict[str, Value] | None = Field(default=None, repr=False)


class AccountsImport(Record):
    """Request to change these accounts, in this order."""

    accounts: Annotated[list[ImportedAccount], Field(max_length=IMPORTED)]
    by: Author


class AccountsImported(Record):
    """The usernames of the accounts that were changed, and of those that others have changed meanwhile: left alone."""

    done: list[str]
    meanwhile: list[str]
