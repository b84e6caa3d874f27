"""RULES of the exchange of accounts with a file: what an import would change, and in which order. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.common.internal_api.accounts import ExportedAccount, ExportPage, ImportedAccount
from services.presence.accounts import rules
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from services.presence.agents.passwords import fingerprint

_ALWAYS = ("username", "name", "password_hash")


class CannotImport(Exception):
    """The file is refused as a whole; the exception says why."""


@dataclass(frozen=True)
class Change:
    """What an import changes of one account.

    Attributes:
        request: The account as presence gets it.
        before: The fields that change, as they were; empty: there was no account.
        after: The same fields as they become; empty: it is removed.
        secrets: What changes and is not shown, by name.
    """

    request: ImportedAccount
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    secrets: Sequence[str]

    @property
    def fields(self) -> list[str]:
        """The names of what changes."""
        return [*{**self.before, **self.after}, *self.secrets]


def members_of(account: Account) -> dict[str, Any]:
    """Return the members of an account in the accounts file, without those that have their default."""
    given = account.model_dump(mode="json", exclude_defaults=True)
    return {name: getattr(account, name) for name in _ALWAYS} | given


def exported(account: Account, revision: int, secrets: bool) -> ExportedAccount:
    """Return an account, with the password that counts, for the operator."""
    return ExportedAccount(
        username=account.username,
        revision=revision,
        view=rules.view_of(account),
        must_change_password=account.must_change_password,
        password=fingerprint(account.password_hash),
        totp=totp.fingerprint(account.totp_secret),
        members=members_of(account) if secrets else None,
    )


def changes_of(wanted: Sequence[Account], known: Sequence[ExportPage], remove_others: bool) -> list[Change]:
    """Return what an import changes: first who may administer afterwards, last who may no more.

    An administrator remains after each change, wherever the import stops.

    Args:
        wanted: The accounts of the file.
        known: The accounts of presence, all pages of them.
        remove_others: Accounts that are not in the file are removed; else they stay as they are.

    Raises:
        CannotImport: An account serves what is no department, or nobody could administer afterwards.
    """
    rest = known[-1]
    for account in wanted:
        for department in account.departments:
            if department not in rest.departments:
                raise CannotImport(f"'{account.username}' serves '{department}', which is no department.")
    stored = {one.username: one for page in known for one in page.accounts}
    ranked = [(one, _rank(one, stored.get(one.username), rest.only_break_glass)) for one in wanted]
    ranked_changes = [(rank, change) for one, rank in ranked if (change := _change(one, stored.get(one.username)))]
    named = {account.username for account in wanted}
    others = [one for username, one in stored.items() if username not in named]
    remaining = any(rules.may_administer(one, rest.only_break_glass) for one in wanted)
    if remove_others:
        ranked_changes += [(_rank(None, one, rest.only_break_glass), _removal(one)) for one in others]
    else:
        remaining = remaining or any(rules.administers(one.view, rest.only_break_glass) for one in others)
    if not remaining and not rest.issuer_administers:
        raise CannotImport("afterwards nobody could administer: no administrator could log in.")
    return [change for _, change in sorted(ranked_changes, key=lambda both: both[0])]


def _rank(wanted: Account | None, stored: ExportedAccount | None, only_break_glass: bool) -> int:
    if rules.may_administer(wanted, only_break_glass):
        return 0
    return 2 if stored is not None and rules.administers(stored.view, only_break_glass) else 1


def _change(wanted: Account, stored: ExportedAccount | None) -> Change | None:
    base = stored.revision if stored else 0
    request = ImportedAccount(username=wanted.username, base=base, members=members_of(wanted))
    view = rules.view_of(wanted)
    if stored is None:
        return Change(request, {}, view, [])
    before, after = rules.differing(stored.view, view)
    secrets = ["password"] if fingerprint(wanted.password_hash) != stored.password else []
    if wanted.must_change_password != stored.must_change_password:
        secrets.append("must_change_password")
    if totp.fingerprint(wanted.totp_secret) != stored.totp and "totp" not in after:
        secrets.append("totp")
    return Change(request, before, after, secrets) if before or secrets else None


def _removal(stored: ExportedAccount) -> Change:
    return Change(ImportedAccount(username=stored.username, base=stored.revision), stored.view, {}, [])
