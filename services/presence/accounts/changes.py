"""Changes of the accounts that are stored: validated, recorded, undone; one at a time over all replicas.

Every replica looks for other revisions, so a change that another replica has stored is found. It takes effect as a
changed accounts file does (`agents/account_changes.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from services.common.clock import utcnow
from services.common.http.problems import Problem
from services.common.internal_api.accounts import (
    EXPORTED,
    AccountChanged,
    AccountChecked,
    AccountEntry,
    AccountForm,
    AccountHistory,
    Accounts,
    AccountsImport,
    AccountsImported,
    AccountsQuery,
    AccountView,
    AccountWish,
    Act,
    ExportPage,
    ExportQuery,
    ImportedAccount,
    WishedAct,
)
from services.common.internal_api.configuration import Author
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.presence.accounts import exchange, rules
from services.presence.accounts.held import HeldAccounts
from services.presence.accounts.store import AccountStore, StoredAccount, UnreadableAccount, account_of
from services.presence.agents import totp
from services.presence.agents.accounts import Account, require_fit
from services.presence.agents.passwords import Passwords
from services.presence.agents.people_store import with_chosen
from services.presence.configuration import Configuration
from services.presence.settings import PresenceSettings
from services.presence.stores import Stores

log = structlog.get_logger()

LOOK_EVERY = 2.0  # seconds between two looks for other revisions
SEAL_EVERY = 600.0  # seconds between two looks for secrets that a replica with former keys has sealed
JOB, LEASE = "accounts", 10.0  # the lease of a change
PATIENCE, AGAIN = 1.5, 0.05  # seconds for which a change waits for the lease, and between two tries
LOOK_WITHIN = 1.0  # seconds for the look after a change
CLOCKS_DIFFER = 0.1  # of a lease: so long before its end nothing is written any more
LIMIT = 3.0
"""Seconds for a change that has the lease. It ends long before another one can begin, and before the gateway stops
waiting (5 s): else a password could be made that nobody reads."""
ACTS: Mapping[WishedAct, Act] = {
    "add": "added",
    "change": "changed",
    "disable": "disabled",
    "enable": "enabled",
    "remove": "removed",
    "make_password": "password_made",
    "make_totp": "totp_made",
    "remove_totp": "totp_removed",
    "undo": "undone",
}
SECRETS = ("make_password", "make_totp", "remove_totp")
"""Acts that are refused for the own account of an administrator, who changes their password on another page."""


@dataclass(frozen=True)
class _Planned:
    """What a wish makes of an account.

    Attributes:
        account: The account; None: it is removed.
        was: The fields that change, as they were.
        becomes: The same fields as they become.
        fields: What changes, by name.
        password: The password that was made.
        secret: The secret of one-time passwords that was made.
    """

    account: Account | None
    was: dict[str, Any]
    becomes: dict[str, Any]
    fields: list[str]
    password: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)


class AccountChanges:
    """The accounts as this replica knows and changes them."""

    def __init__(
        self,
        settings: PresenceSettings,
        store: AccountStore,
        stores: Stores,
        passwords: Passwords,
        held: HeldAccounts,
        configuration: Configuration,
        clock: Callable[[], datetime],
    ) -> None:
        """Create what knows no accounts yet.

        Args:
            settings: The settings.
            store: The accounts.
            stores: The other stores: their leases.
            passwords: Hashes passwords.
            held: Where the newest accounts are held, for the watch of the configuration.
            configuration: The departments, and the roles of the issuer, that apply.
            clock: Returns the present.
        """
        self.store = store
        self._settings, self._stores, self._passwords, self._held = settings, stores, passwords, held
        self._configuration, self._clock = configuration, clock
        self._looking = asyncio.Lock()

    async def begin(self, first: Configuration) -> None:
        """Hold the accounts. At the first start they are those of the accounts file.

        Args:
            first: The departments, and what the accounts file has.

        Raises:
            ConfigurationError: The accounts file is invalid.
        """
        if not await self.store.begun():
            require_fit(first.file, first.departments, f"ACCOUNTS_FILE {self._settings.accounts_file}")
            found = [(one, rules.view_of(one)) for one in first.file.accounts]
            await self.store.begin(found, self._clock())
            log.info("accounts_begun", accounts=len(found))
        await self.look(again=True)  # also when this is tried a second time: secrets may be left to be sealed

    async def look(self, again: bool = False) -> bool:
        """Hold the newest accounts, if a revision differs from those that are held. Return whether they were read.

        `again`: also if none does. Secrets that are not sealed with the newest key are sealed with it.
        """
        async with self._looking:  # one look at a time: what is read last is held last
            if await self.store.revisions() == self._held.revisions and not again:
                return False
            found, revisions = await self.store.all()
            self._held.take(found, revisions)
        for one in found:
            if one.account is not None and totp.is_sealed(one.account.totp_secret):
                log.error("second_factor_not_opened", account_id=one.account.id)
        sealed = [await self.store.seal_again(one) for one in found if one.outdated]
        if any(sealed):
            log.info("second_factors_sealed", accounts=sum(sealed))
        return True

    async def run(self) -> None:
        """Look for changes of other replicas until cancelled."""
        sealed = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            again = time.monotonic() - sealed > SEAL_EVERY
            try:
                await self.look(again)
                sealed = time.monotonic() if again else sealed
            except DEPENDENCY_ERRORS as error:
                log.warning("accounts_not_read", error=type(error).__name__)

    async def listed(self, query: AccountsQuery) -> Accounts:
        """Return accounts."""
        if query.removed:
            gone, more = await self.store.listed_removed(query.search.strip(), query.after)
            return Accounts(accounts=[_gone(one, removal) for one, removal in gone], more=more)
        found, more = await self.store.listed(query.search.strip(), query.after)
        return Accounts(accounts=[view for one in found if (view := _shown(one)) is not None], more=more)

    async def history(self, username: str) -> AccountHistory:
        """Return the history of an account, also of a removed one.

        Raises:
            Problem: 404 `no_such_account`.
        """
        if (found := await self._get(username)) is None:
            raise _no_such_account()
        entries = await self.store.history(username)
        return AccountHistory(revision=found.revision, removed=found.account is None, entries=entries)

    async def _get(self, username: str) -> StoredAccount | None:
        """Return this account, also a removed one; None: there never was one.

        Raises:
            Problem: 409 `account_of_later_release`.
        """
        try:
            return await self.store.get(username)
        except UnreadableAccount:
            detail = "A later release of presence has stored this account. Update presence to that release again."
            raise Problem(409, "account_of_later_release", detail) from None

    async def check(self, wish: AccountWish) -> AccountChecked:
        """Return what `change` would change. Nothing is stored.

        Raises:
            Problem: As `change`.
        """
        await self.require_administering(wish.by)
        found = await self._get(wish.username)
        if found is not None and await self._is_repetition(found, wish):
            return AccountChecked(fields=[])
        return AccountChecked(fields=(await self._planned(wish, self._required(found, wish))).fields)

    async def change(self, wish: AccountWish) -> AccountChanged:
        """Change an account. A wish that changes nothing makes no revision; neither does a repetition.

        Raises:
            Problem: 403 `forbidden`; 404 `no_such_account`, `no_such_revision`; 409 `changed`, `username_taken`,
                `account_of_later_release`; 422 with a code and the `field`; 503 `unavailable`.
        """
        async with self._alone() as before_end:
            await self.require_administering(wish.by)
            found = await self._get(wish.username)
            if found is not None and await self._is_repetition(found, wish):
                return AccountChanged(account=_shown(found), fields=[])
            before = self._required(found, wish)
            return await self._change(wish, found, before, before_end)

    async def require_administering(self, by: Author) -> None:
        """Check that the author of a change is still an administrator.

        Their session ends some seconds after their account was blocked or lost its role. Until then they could undo it.

        Raises:
            Problem: 403 `forbidden`.
        """
        if by.role == "operator":
            return
        only = self._settings.oidc_local == "off"
        known = await self.store.administrators()
        if any(one.id == by.id and rules.may_administer(one, only) for one in known):
            return
        if not await self._stores.officers.is_of_issuer(by.id):
            raise Problem(403, "forbidden", "Only an administrator may do this, and you are no longer one.")

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[datetime]:
        """Do one change at a time, so that two administrators cannot take each other's role in the same moment.

        Yields:
            By the clock of the database, until when a write may be made. The database refuses one that hangs, and
            arrives when another change may have begun.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                end = await self._wait_for_lease()
        except TimeoutError:
            raise Problem(
                503, "unavailable", "Another account is being changed. Try again in 5 seconds.", {"Retry-After": "5"}
            ) from None
        try:
            async with asyncio.timeout(LIMIT):
                yield end - timedelta(seconds=LEASE * CLOCKS_DIFFER)
        except TimeoutError:
            raise _took_too_long() from None
        finally:
            with contextlib.suppress(*DEPENDENCY_ERRORS):  # it ends by itself; the answer may have a made password
                await self._stores.leases.release(JOB, self._clock())

    async def _wait_for_lease(self) -> datetime:
        """Return the end of the lease that was taken."""
        while True:
            end = utcnow() + timedelta(seconds=LEASE)
            if await self._stores.leases.take(JOB, LEASE, self._clock()):
                return end
            await asyncio.sleep(AGAIN)

    async def _is_repetition(self, found: StoredAccount, wish: AccountWish) -> bool:
        """Return whether the newest revision is what is wished: the request has arrived twice.

        A request that makes a secret is never taken for a repetition: the secret was in the first answer alone.
        """
        if wish.act in ("add", *SECRETS) or found.by != wish.by or found.revision != wish.base + 1:
            return False
        newest = next(iter(await self.store.history(found.username)), None)
        if newest is None or newest.revision != found.revision:
            return False
        brought_back = not newest.before  # an undone removal made a password
        if newest.act != ACTS[wish.act] or newest.of != wish.of or brought_back:
            return False
        return wish.form is None or (
            found.account is not None
            and rules.members_of(rules.form_of(rules.view_of(found.account))) == rules.members_of(wish.form)
        )

    def _required(self, found: StoredAccount | None, wish: AccountWish) -> Account | None:
        """Return the account as it is, if the author of the wish has seen that.

        Raises:
            Problem: As `change`.
        """
        before = found.account if found else None
        if wish.act == "add":
            if before is not None:
                detail = "There is an account with this username already. Choose another one."
                raise Problem(409, "username_taken", detail, field="username")
            return None
        if found is None:
            raise _no_such_account()
        if found.revision != wish.base:
            raise changed_meanwhile(found)
        if before is None and wish.act != "undo":
            raise _no_such_account()
        return before

    async def _planned(self, wish: AccountWish, before: Account | None) -> _Planned:
        """Return what a wish makes of an account, if that is allowed.

        Raises:
            Problem: As `change`.
        """
        after, password, secret = await self._wished(wish, before)
        await self._require_allowed(wish, before, after)
        was, is_ = rules.differing(
            rules.view_of(before) if before else {},
            rules.view_of(after) if after else {},
        )
        fields = list({**was, **is_})
        if before is not None and after is not None:
            fields += ["password"] if password else []
            fields += ["totp"] if secret and "totp" not in fields else []
        return _Planned(after, was, is_, fields, password, secret)

    async def _change(
        self, wish: AccountWish, found: StoredAccount | None, before: Account | None, end: datetime
    ) -> AccountChanged:
        plan = await self._planned(wish, before)
        if not plan.fields:
            return AccountChanged(account=_shown(found), fields=[])
        made = await self._store(wish.username, found, plan, ACTS[wish.act], wish.by, end, wish.of)
        if made is None:
            newest = await self._get(wish.username)
            if newest is None:
                raise _no_such_account()
            raise _took_too_long() if found and newest.revision == found.revision else changed_meanwhile(newest)
        await self._try_to_look()
        uri = totp.uri(plan.secret, wish.username) if plan.secret else None
        return AccountChanged(account=_shown(made), fields=plan.fields, password=plan.password, totp=uri)

    async def _store(
        self,
        username: str,
        found: StoredAccount | None,
        plan: _Planned,
        act: Act,
        by: Author,
        end: datetime,
        of: int | None = None,
    ) -> StoredAccount | None:
        """Store a revision after the one that was found, with its entry.

        Return None when there is a newer one, or when it is too late for this one (`end`).
        """
        revision = (found.revision if found else 0) + 1
        entry = AccountEntry(
            revision=revision, at=self._clock(), by=by, act=act, of=of, before=plan.was, after=plan.becomes
        )
        if not await self.store.put(username, plan.account, entry, end):
            return None
        known = plan.account or (found.account if found else None)
        log.info("account_changed", account_id=known.id if known else None, act=act, by=by.id)
        return StoredAccount(username, plan.account, revision, entry.at, by)

    async def _try_to_look(self) -> None:
        """Look for other revisions. A failure is only logged: the answer to a stored change may have a password."""
        try:
            async with asyncio.timeout(LOOK_WITHIN):
                await self.look()
        except (*DEPENDENCY_ERRORS, TimeoutError) as error:  # the next look finds it
            log.warning("accounts_not_read", error=type(error).__name__)

    async def _wished(self, wish: AccountWish, before: Account | None) -> tuple[Account | None, str | None, str | None]:
        """Return the account that is wished, and the password and the secret that were made for it."""
        if wish.act == "undo":
            return await self._undone(wish, before)
        if wish.act == "add":
            if not rules.is_username(wish.username):
                raise _invalid("username_wrong", "username", "Use small letters, digits and . _ @ -, at most 100.")
            return await self._new(wish.username, self._validated(wish.form, None), {})
        assert before is not None
        if wish.act == "change":
            return await self._with_members(before, rules.members_of(self._validated(wish.form, before))), None, None
        if wish.act == "remove":
            return None, None, None
        if wish.act in ("disable", "enable"):
            return before.model_copy(update={"disabled": wish.act == "disable"}), None, None
        if wish.act == "make_password":
            password = rules.new_password()
            changes = {"password_hash": await self._passwords.hash(password), "must_change_password": True}
            return before.model_copy(update=changes), password, None
        if wish.act == "make_totp":
            secret = totp.new_secret()
            return before.model_copy(update={"totp_secret": secret}), None, secret
        if before.break_glass:
            raise _invalid("second_factor_missing", "totp", "An account for emergencies needs one-time passwords.")
        return before.model_copy(update={"totp_secret": None}), None, None

    async def _undone(self, wish: AccountWish, before: Account | None) -> tuple[Account | None, str | None, str | None]:
        """Return the account with the fields as they were before a change. A password or a secret never comes back."""
        entries = await self.store.history(wish.username)
        entry = next((one for one in entries if one.revision == wish.of), None)
        if entry is None:
            raise Problem(404, "no_such_revision", "This change is not kept (any more).")
        if not entry.undoable:
            raise _invalid("cannot_undo", "of", "This change cannot be undone.")
        if before is None:
            if entry.revision != wish.base:  # that is the removal
                raise _invalid("cannot_undo", "of", "The account is removed. Undo that first.")
            form = rules.form_of({**entry.before, "break_glass": False})  # its second factor is gone
            more = {"disabled": entry.before["disabled"]}
            return await self._new(wish.username, self._validated(form, None), more)
        if entry.act == "removed":
            raise _invalid("cannot_undo", "of", "The account is there again.")
        view = {**rules.view_of(before), **entry.before}  # whether it had a second factor is not taken from it
        members = rules.members_of(self._validated(rules.form_of(view), before))
        return await self._with_members(before, {**members, "disabled": view["disabled"]}), None, None

    async def _new(self, username: str, form: AccountForm, more: Mapping[str, Any]) -> tuple[Account, str, None]:
        """Return an account with a password for one login."""
        password = rules.new_password()
        made = Account(
            username=username,
            password_hash=await self._passwords.hash(password),
            must_change_password=True,
            **rules.members_of(form),
            **more,
        )
        return made, password, None

    async def _with_members(self, before: Account, members: Mapping[str, Any]) -> Account:
        """Return the account with these members, and with what a form does not have as it was."""
        kept = {"username", "password_hash", "totp_secret", "disabled", "must_change_password"}
        made = account_of({**before.model_dump(include=kept), **members})
        if made.id == before.id:
            return made
        # A password that a person has chosen is kept by their id. Without it the one before it would count again.
        counting = (await self.with_chosen([before]))[0].model_dump(include={"password_hash", "must_change_password"})
        return made.model_copy(update=counting)

    async def with_chosen(self, accounts: Sequence[Account]) -> list[Account]:
        """Return these accounts with the passwords that count: what people have chosen is stored beside the account."""
        ids = [one.id for one in accounts]
        chosen = await self._stores.agents.chosen_passwords(ids) | await self._stores.officers.chosen_passwords(ids)
        return [with_chosen(one, chosen.get(one.id)) for one in accounts]

    # ── exchange with a file ─────────────────────────────────────────────────────────────────────────────────────────

    async def export(self, query: ExportQuery) -> ExportPage:
        """Return accounts with the passwords that count.

        Raises:
            Problem: 409 `second_factor_not_opened`: no file can have the secret of an account.
        """
        found, more = await self.store.page(query.after, EXPORTED)
        if query.secrets:
            _require_opened(found)
        accounts = await self.with_chosen([one.account for one in found if one.account is not None])
        revisions = {one.username: one.revision for one in found}
        return ExportPage(
            accounts=[exchange.exported(one, revisions[one.username], query.secrets) for one in accounts],
            more=more,
            departments=list(self._configuration.departments.ids),
            only_break_glass=self._settings.oidc_local == "off",
            issuer_administers=self._issuer_administers(),
        )

    async def import_accounts(self, given: AccountsImport) -> AccountsImported:
        """Change these accounts in their order, each with one write. Nothing is changed when one of them is wrong.

        One that another author has changed meanwhile stays as it is.

        Raises:
            Problem: 422 `invalid_account`, `department_unknown`, `last_administrator`; 503 `unavailable`.
        """
        wanted = [(one, self._account_of(one)) for one in given.accounts]
        async with self._alone() as end:
            found = await self.store.some([one.username for one in given.accounts])
            todo = [(one, account) for one, account in wanted if _is_as_seen(found.get(one.username), one.base)]
            await self._require_administrator({one.username: account for one, account in todo})
            done = []
            for one, account in todo:
                if await self._import_one(one.username, found.get(one.username), account, given.by, end):
                    done.append(one.username)
            await self._try_to_look()
        return AccountsImported(
            done=done, meanwhile=[one.username for one in given.accounts if one.username not in done]
        )

    async def _import_one(
        self, username: str, found: StoredAccount | None, after: Account | None, by: Author, end: datetime
    ) -> bool:
        before = found.account if found else None
        if before is not None and after is not None:
            after = await self._with_same_password(before, after)
        if before == after:
            return True
        was, becomes = rules.differing(
            rules.view_of(before) if before else {},
            rules.view_of(after) if after else {},
        )
        plan = _Planned(after, was, becomes, [])
        return await self._store(username, found, plan, "imported" if after else "removed", by, end) is not None

    async def _with_same_password(self, before: Account, after: Account) -> Account:
        """Return the account as it is to be. If its password is the one that counts, what is stored of it stays."""
        (counting,) = await self.with_chosen([before])
        parts = ("id", "password_hash", "must_change_password")
        if any(getattr(counting, part) != getattr(after, part) for part in parts):
            return after
        kept = before.model_dump(include={"password_hash", "must_change_password"})
        return after.model_copy(update=kept)

    def _account_of(self, one: ImportedAccount) -> Account | None:
        """Return the account of these members, if it can be one.

        Raises:
            Problem: 422 `invalid_account`, `department_unknown`.
        """
        if one.members is None:
            return None
        try:
            account = Account.model_validate({**one.members, "username": one.username})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise _invalid("invalid_account", place, f"'{one.username}': {place}: {first['msg']}.") from None
        for department in account.departments:
            if department not in self._configuration.departments.ids:
                detail = f"'{one.username}' serves '{department}', which is no department (any more)."
                raise _invalid("department_unknown", "departments", detail)
        return account

    async def _require_administrator(self, changes: Mapping[str, Account | None]) -> None:
        """Check that an administrator can log in after these changes, or at the issuer.

        Raises:
            Problem: 422 `last_administrator`.
        """
        only = self._settings.oidc_local == "off"
        stay = [one for one in await self.store.administrators() if one.username not in changes]
        if self._issuer_administers() or any(rules.may_administer(one, only) for one in (*stay, *changes.values())):
            return
        raise _invalid("last_administrator", "role", "Nobody could administer any more. Add an administrator first.")

    def _issuer_administers(self) -> bool:
        mapping = self._configuration.file.oidc
        return mapping is not None and any(one.role == "administrator" for one in mapping.roles)

    def _validated(self, form: AccountForm | None, before: Account | None) -> AccountForm:
        """Return the form, if nothing is wrong with it.

        Raises:
            Problem: 422 with a code and the `field`.
        """
        if form is None:
            raise _invalid("form_missing", "form", "Say what the account is to be.")
        second_factor = before is not None and before.totp_secret is not None
        fault = rules.fault_of(form, self._configuration.departments.ids, second_factor)
        if fault is not None:
            raise _invalid(*fault)
        return form

    async def _require_allowed(self, wish: AccountWish, before: Account | None, after: Account | None) -> None:
        """Check that an administrator remains, and that the author keeps their own account and role.

        Raises:
            Problem: 422 `own_account`, `last_administrator`.
        """
        only = self._settings.oidc_local == "off"
        own = before is not None and before.id == wish.by.id
        loses = rules.may_administer(before, only) and not rules.may_administer(after, only)
        place = {"remove": "username", "disable": "disabled"}.get(wish.act, "role")
        if own and (loses or wish.act in SECRETS):
            detail = "This is your own account. Ask another administrator. Your own password is changed elsewhere."
            raise _invalid("own_account", place, detail)
        if not loses or self._issuer_administers():
            return
        others = await self.store.administrators()
        if not any(one.username != wish.username and rules.may_administer(one, only) for one in others):
            raise _invalid("last_administrator", place, "This is the last administrator. Add another one first.")


def _require_opened(found: Sequence[StoredAccount]) -> None:
    sealed = [one.username for one in found if one.account is not None and totp.is_sealed(one.account.totp_secret)]
    if sealed:
        detail = f"No key opens the second factor of '{sealed[0]}': look at SECOND_FACTOR_KEYS, or make a new one."
        raise Problem(409, "second_factor_not_opened", detail)


def _is_as_seen(found: StoredAccount | None, base: int) -> bool:
    """Return whether the operator has seen the newest revision. They see nothing of a removed account."""
    if found is None or found.account is None:
        return base == 0
    return found.revision == base


def changed_meanwhile(newest: StoredAccount) -> Problem:
    """Return the problem 409 `changed`: there is a newer revision than its author has seen."""
    detail = f"{newest.by.name} has changed this account meanwhile. Look at it, and make your change again."
    return Problem(409, "changed", detail, revision=newest.revision, by=newest.by.name)


def _shown(found: StoredAccount | None) -> AccountView | None:
    if found is None or found.account is None:
        return None
    view = rules.view_of(found.account)
    return AccountView(username=found.username, revision=found.revision, at=found.at, by=found.by, **view)


def _took_too_long() -> Problem:
    return Problem(503, "unavailable", "This took too long. Look whether it was done.")


def _gone(found: StoredAccount, removal: AccountEntry) -> AccountView:
    """Return a removed account as it was before its removal."""
    return AccountView.model_validate(
        {
            **removal.before,
            "username": found.username,
            "revision": found.revision,
            "at": found.at,
            "by": found.by,
            "removed": True,
        }
    )


def _no_such_account() -> Problem:
    return Problem(404, "no_such_account", "There is no such account (any more).")


def _invalid(code: str, place: str, detail: str) -> Problem:
    return Problem(422, code, detail, field=place)
