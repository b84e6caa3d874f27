"""Changes of accounts in a real database: one write each, recorded, undone, and refused where nobody could go on."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from services.common.clock import utcnow
from services.common.config.toml_file import ConfigurationError
from services.common.http.problems import Problem
from services.common.internal_api.accounts import (
    PAGE,
    AccountChanged,
    AccountEntry,
    AccountForm,
    AccountsImport,
    AccountsQuery,
    AccountWish,
    ExportQuery,
    ImportedAccount,
)
from services.common.internal_api.configuration import Author
from services.common.mongo.client import Database
from services.presence.accounts import changes as changes_module
from services.presence.accounts.changes import JOB, AccountChanges
from services.presence.accounts.exchange import members_of
from services.presence.accounts.held import HeldAccounts
from services.presence.accounts.secret_seal import SecretSeal
from services.presence.accounts.store import AccountStore
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from services.presence.agents.passwords import Passwords
from services.presence.configuration import Configuration
from services.presence.oidc.roles import Membership
from services.presence.settings import PresenceSettings
from services.presence.stores import Stores
from tests.presence.conftest import HASH, standing
from tests.support.servers import PATIENCE

NOW = datetime(2026, 12, 24, 10, tzinfo=UTC)
KEY, NEWER = b"k" * 32, b"n" * 32
FILE = f"""
[[accounts]]
username = "an"
name = "An"
password_hash = "{HASH}"
departments = ["algemeen"]
capacity = 2
locales = ["nl", "fr"]

[[accounts]]
username = "beheer"
name = "Beheer"
password_hash = "{HASH}"
role = "administrator"

[[accounts]]
username = "bea"
name = "Bea"
password_hash = "{HASH}"
role = "administrator"
"""
ISSUER = """
[oidc]
roles_claim = "roles"
[[oidc.roles]]
value = "beheerder"
role = "administrator"
"""
AN = AccountForm(name="An", role="agent", departments=["algemeen"], capacity=2, locales=["nl", "fr"])


def administrator(username: str) -> Author:
    made = Account(username=username, name=username.title(), password_hash=HASH, role="administrator")
    return Author(id=made.id, name=made.name, role="administrator")


BEHEER, BEA = administrator("beheer"), administrator("bea")
OPERATOR = Author(id="griffie", name="griffie", role="operator")


class Replica:
    """What a replica of presence has."""

    def __init__(self, settings: PresenceSettings, db: Database, keys: Sequence[bytes] = (KEY,)) -> None:
        self.held, self.store, self.stores = HeldAccounts(), AccountStore(db, SecretSeal(keys)), Stores(db)
        self.first = Configuration.first(settings)
        self.changes = AccountChanges(
            settings, self.store, self.stores, Passwords(), self.held, self.first, standing(NOW)
        )

    async def do(self, act: Any, username: str, base: int, by: Author = BEHEER, **more: Any) -> AccountChanged:
        return await self.changes.change(AccountWish(username=username, base=base, act=act, by=by, **more))

    async def check(self, act: Any, username: str, base: int, by: Author = BEHEER, **more: Any) -> list[str]:
        wish = AccountWish(username=username, base=base, act=act, by=by, **more)
        return (await self.changes.check(wish)).fields

    async def take_in(self, *accounts: tuple[Account | str, int]) -> tuple[list[str], list[str]]:
        """Import these accounts, each with the revision that the operator has seen; a username: it is removed."""
        given = [
            ImportedAccount(username=one, base=base)
            if isinstance(one, str)
            else ImportedAccount(username=one.username, base=base, members=members_of(one))
            for one, base in accounts
        ]
        found = await self.changes.import_accounts(AccountsImport(accounts=given, by=OPERATOR))
        return found.done, found.meanwhile

    async def account(self, username: str) -> Account:
        found = await self.store.get(username)
        assert found is not None
        assert found.account is not None
        return found.account


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
async def replicas(settings: PresenceSettings, db: Database, file: Path) -> tuple[Replica, Replica]:
    settings = settings.model_copy(update={"accounts_file": file, "config_source": "database"})
    both = Replica(settings, db), Replica(settings, db)
    await asyncio.gather(*(one.changes.begin(one.first) for one in both))
    return both


async def refused(request: Awaitable[object]) -> tuple[int, str, Any]:
    """Status, code and field of the problem with which this is refused."""
    with pytest.raises(Problem) as caught:
        await request
    return caught.value.status, caught.value.code, caught.value.extra.get("field")


async def test_the_first_accounts_are_those_of_the_file_and_only_at_the_first_start(
    replicas: tuple[Replica, Replica], settings: PresenceSettings, db: Database, file: Path
) -> None:
    one, other = replicas
    assert one.held.revisions == other.held.revisions == {"an": 1, "bea": 1, "beheer": 1}
    assert {a.username: a for a in one.held.accounts} == {a.username: a for a in one.first.file.accounts}
    await one.do("remove", "an", 1)
    file.write_text(FILE.replace('"bea"', '"cas"').replace('"An"', '"Uit het bestand"'))
    later = Replica(settings.model_copy(update={"accounts_file": file, "config_source": "database"}), db)
    await later.changes.begin(later.first)
    assert later.held.revisions == {"bea": 1, "beheer": 1}


async def test_a_start_that_was_broken_off_is_finished_by_the_next(
    settings: PresenceSettings, db: Database, file: Path
) -> None:
    replica = Replica(settings.model_copy(update={"accounts_file": file, "config_source": "database"}), db)
    first = replica.first.file.accounts[0]
    await replica.store.begin([(first.model_copy(update={"name": "Al bewaard"}), {})], NOW)
    await db["accounts_begun"].delete_many({})  # it died before the others
    await replica.changes.begin(replica.first)
    assert replica.held.revisions == {"an": 1, "bea": 1, "beheer": 1}
    assert (await replica.account("an")).name == "Al bewaard", "what is stored stays"


async def test_a_file_that_names_no_department_is_refused_at_the_first_start(
    settings: PresenceSettings, db: Database, file: Path
) -> None:
    file.write_text(FILE.replace('"algemeen"', '"weg"'))
    replica = Replica(settings.model_copy(update={"accounts_file": file, "config_source": "database"}), db)
    with pytest.raises(ConfigurationError, match="'an' serves 'weg', which is no department"):
        await replica.changes.begin(replica.first)
    assert not await replica.store.begun()


async def test_a_change_is_recorded_found_by_the_other_replica_and_undone(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    form = AN.model_copy(update={"name": "Anna", "capacity": 4})
    made = await one.do("change", "an", 1, form=form)
    assert (made.fields, made.password, made.totp) == (["name", "capacity"], None, None)
    assert await other.changes.look()
    assert not await other.changes.look()
    (anna,) = [a for a in other.held.accounts if a.username == "an"]
    assert (anna.name, anna.capacity, anna.password_hash) == ("Anna", 4, HASH)
    await other.do("disable", "an", 2, BEA)
    undone = await one.do("undo", "an", 3, of=2)
    assert undone.fields == ["name", "capacity"]
    account = await one.account("an")
    assert (account.name, account.capacity, account.disabled) == ("An", 2, True), "what came later stays"
    history = await one.changes.history("an")
    assert [(e.act, e.by.name, e.of) for e in history.entries] == [
        ("undone", "Beheer", 2),
        ("disabled", "Bea", None),
        ("changed", "Beheer", None),
        ("begun", "ACCOUNTS_FILE", None),
    ]
    changed = history.entries[2]
    assert (changed.before, changed.after) == ({"name": "An", "capacity": 2}, {"name": "Anna", "capacity": 4})
    assert [e.undoable for e in history.entries] == [True, True, True, False]


async def test_of_two_administrators_the_second_is_refused_with_the_name_of_the_first(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    outcomes = await asyncio.gather(
        one.do("change", "an", 1, form=AN.model_copy(update={"capacity": 4})),
        other.do("change", "an", 1, BEA, form=AN.model_copy(update={"capacity": 5})),
        return_exceptions=True,
    )
    (problem,) = [o for o in outcomes if isinstance(o, Problem)]
    first = await one.store.get("an")
    assert first is not None
    assert first.revision == 2
    assert (problem.status, problem.code, problem.extra["by"]) == (409, "changed", first.by.name)


async def test_a_request_that_arrives_twice_makes_one_revision(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    form = AN.model_copy(update={"capacity": 4})
    await one.do("change", "an", 1, form=form)
    assert (await other.do("change", "an", 1, form=form)).fields == []
    assert (await refused(other.do("change", "an", 1, BEA, form=form)))[:2] == (409, "changed")
    assert (await one.do("change", "an", 2, form=form)).fields == [], "nothing has changed"
    assert (await one.changes.history("an")).revision == 2
    await one.do("make_password", "an", 2)
    assert (await refused(one.do("make_password", "an", 2)))[:2] == (409, "changed"), "the first one was not read"
    await one.do("make_totp", "an", 3)
    assert (await refused(one.do("make_totp", "an", 3)))[:2] == (409, "changed"), "the first one was not read"


async def test_another_request_of_the_same_administrator_is_no_repetition(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    form = AN.model_copy(update={"capacity": 4})
    await one.do("change", "an", 1, form=form)
    another = other.do("change", "an", 1, form=form.model_copy(update={"capacity": 5}))
    assert (await refused(another))[:2] == (409, "changed")
    assert (await refused(other.do("disable", "an", 1)))[:2] == (409, "changed")
    await one.do("disable", "an", 2)
    await one.do("undo", "an", 3, of=2)
    assert (await other.do("undo", "an", 3, of=2)).fields == []
    assert (await refused(other.do("undo", "an", 3, of=3)))[:2] == (409, "changed")


async def test_a_new_account_has_a_password_for_one_login(replicas: tuple[Replica, Replica]) -> None:
    one, _ = replicas
    made = await one.do("add", "cas", 0, form=AN)
    assert made.account is not None
    assert made.account.revision == 1
    assert made.password is not None
    assert len(made.password) >= 16
    account = await one.account("cas")
    assert account.must_change_password
    assert await Passwords().verify(account.password_hash, made.password)
    history = await one.changes.history("cas")
    assert made.password not in repr(history)
    assert account.password_hash not in repr(history)
    assert await refused(one.do("add", "cas", 0, form=AN)) == (409, "username_taken", "username")
    assert await refused(one.do("add", "Cas!", 0, form=AN)) == (422, "username_wrong", "username")
    wrong = AN.model_copy(update={"departments": []})
    assert await refused(one.do("add", "dirk", 0, form=wrong)) == (422, "department_missing", "departments")
    assert await refused(one.do("add", "dirk", 0)) == (422, "form_missing", "form")


async def test_secrets_are_made_shown_once_and_never_undone(replicas: tuple[Replica, Replica]) -> None:
    one, _ = replicas
    made = await one.do("make_totp", "an", 1)
    secret = (await one.account("an")).totp_secret
    assert secret is not None
    assert made.totp is not None
    assert f"secret={secret}&" in made.totp
    assert made.fields == ["totp"]
    again = await one.do("make_totp", "an", 2)
    assert again.fields == ["totp"]
    assert again.totp != made.totp
    await one.do("change", "an", 3, form=AN.model_copy(update={"break_glass": True}))
    assert await refused(one.do("remove_totp", "an", 4)) == (422, "second_factor_missing", "totp")
    await one.do("change", "an", 4, form=AN)
    await one.do("remove_totp", "an", 5)
    assert await refused(one.do("undo", "an", 6, of=5)) == (422, "second_factor_missing", "break_glass")
    new = await one.do("make_password", "an", 6)
    assert new.fields == ["password"]
    assert (await one.account("an")).must_change_password
    for revision in (1, 2, 6, 7):
        assert await refused(one.do("undo", "an", 7, of=revision)) == (422, "cannot_undo", "of")
    assert await refused(one.do("undo", "an", 7, of=99)) == (404, "no_such_revision", None)
    stored = repr((await one.changes.history("an")).entries)
    assert secret not in stored
    assert str(new.password) not in stored


async def test_a_removed_account_keeps_no_hash_and_comes_back_with_another_password(
    replicas: tuple[Replica, Replica], db: Database
) -> None:
    one, _ = replicas
    await one.do("make_totp", "an", 1)
    removed = await one.do("remove", "an", 2)
    assert removed.account is None
    document = await db["accounts"].find_one({"_id": "an"})
    assert "argon2" not in repr(document)
    assert await refused(one.do("enable", "an", 3)) == (404, "no_such_account", None)
    (gone,) = (await one.changes.listed(AccountsQuery(removed=True))).accounts
    assert (gone.username, gone.name, gone.capacity, gone.revision, gone.removed) == ("an", "An", 2, 3, True)
    assert await refused(one.do("undo", "an", 3, of=2)) == (422, "cannot_undo", "of")
    back = await one.do("undo", "an", 3, of=3)
    assert back.password is not None
    assert (await one.changes.listed(AccountsQuery(removed=True))).accounts == []
    account = await one.account("an")
    assert (account.name, account.capacity, account.totp_secret) == ("An", 2, None)
    assert account.must_change_password
    assert account.password_hash != HASH
    assert await refused(one.do("undo", "an", 4, of=3)) == (422, "cannot_undo", "of")
    again = one.do("undo", "an", 3, of=3)
    assert (await refused(again))[:2] == (409, "changed"), "it arrived twice, and the password was not read"
    await one.do("remove", "an", 4)
    new = await one.do("add", "an", 0, form=AN)
    assert new.account is not None
    assert new.account.revision == 6


async def test_only_the_last_removal_is_undone_and_without_a_second_factor(replicas: tuple[Replica, Replica]) -> None:
    one, _ = replicas
    await one.do("make_totp", "an", 1)
    await one.do("change", "an", 2, form=AN.model_copy(update={"break_glass": True}))
    await one.do("disable", "an", 3)
    await one.do("remove", "an", 4)
    assert await refused(one.do("undo", "an", 5, of=3)) == (422, "cannot_undo", "of"), "a change of a removed account"
    await one.do("undo", "an", 5, of=5)
    account = await one.account("an")
    assert (account.disabled, account.break_glass, account.totp_secret) == (True, False, None)
    await one.do("remove", "an", 6)
    assert await refused(one.do("undo", "an", 7, of=5)) == (422, "cannot_undo", "of"), "a removal before the last"
    await one.do("undo", "an", 7, of=7)


@pytest.mark.parametrize("act", ["disable", "remove", "make_password", "make_totp", "remove_totp"])
async def test_nobody_takes_their_own_account_away(replicas: tuple[Replica, Replica], act: str) -> None:
    one, _ = replicas
    assert (await refused(one.do(act, "beheer", 1)))[:2] == (422, "own_account")
    assert (await refused(one.do("change", "beheer", 1, form=AN)))[:2] == (422, "own_account")
    await one.do("change", "beheer", 1, form=AccountForm(name="Beheer B", role="administrator"))


async def test_the_last_administrator_stays_also_when_two_disable_each_other(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    outcomes = await asyncio.gather(
        one.do("disable", "bea", 1), other.do("disable", "beheer", 1, BEA), return_exceptions=True
    )
    (problem,) = [o for o in outcomes if isinstance(o, Problem)]
    assert (problem.status, problem.code) == (403, "forbidden"), "who is blocked already does not block the other"
    (last,) = await one.store.administrators()
    form = AN.model_copy(update={"name": "X"})
    for act, more in (("remove", {}), ("change", {"form": form})):
        assert (await refused(one.do(act, last.username, 1, OPERATOR, **more)))[1] == "last_administrator"


async def test_a_check_says_what_would_change_and_changes_nothing(
    replicas: tuple[Replica, Replica], db: Database
) -> None:
    one, _ = replicas
    before = await db["accounts"].find().sort("_id", 1).to_list(None)
    form = AN.model_copy(update={"name": "Anna", "capacity": 4})
    assert await one.check("change", "an", 1, form=form) == ["name", "capacity"]
    assert await one.check("change", "an", 1, form=AN) == []
    assert await one.check("make_password", "an", 1) == ["password"]
    assert await one.check("make_totp", "an", 1) == ["totp"]
    assert await one.check("remove_totp", "an", 1) == []
    assert "name" in await one.check("add", "cas", 0, form=AN)
    assert "name" in await one.check("remove", "an", 1)
    assert await refused(one.check("change", "an", 2, form=form)) == (409, "changed", None)
    assert await refused(one.check("disable", "beheer", 1)) == (422, "own_account", "disabled")
    assert await refused(one.check("add", "an", 0, form=AN)) == (409, "username_taken", "username")
    assert await db["accounts"].find().sort("_id", 1).to_list(None) == before
    await one.do("change", "an", 1, form=form)
    assert await one.check("change", "an", 1, form=form) == [], "it has arrived"


async def test_a_made_password_is_answered_whatever_fails_after_it_is_stored(
    replicas: tuple[Replica, Replica], db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = replicas
    await db["accounts"].insert_one({"_id": "x", "account": {"name": 7}, "removed": False, "revision": 1, "at": NOW})

    async def broken(*_: object) -> None:
        raise AutoReconnect("broken by a test")

    monkeypatch.setattr(one.stores.leases, "release", broken)
    made = await one.do("make_password", "an", 1)
    assert made.password is not None
    assert await Passwords().verify((await one.account("an")).password_hash, made.password)


@pytest.mark.parametrize("role", ["administrator", "auditor"])
async def test_a_password_that_a_person_has_chosen_counts_also_in_another_role(
    replicas: tuple[Replica, Replica], role: Any
) -> None:
    """Else the password before it, which an administrator made and knew, would count again."""
    one, _ = replicas
    made = await one.do("make_password", "an", 1)
    agent = await one.account("an")
    await one.stores.agents.put_accounts([agent], NOW)
    chosen = await Passwords().hash("vier groene fietsen")
    assert await one.stores.agents.change_password(agent.id, agent.password_hash, chosen)
    await one.do("change", "an", 2, form=AccountForm(name="An", role=role))
    officer = await one.account("an")
    assert (officer.password_hash, officer.must_change_password) == (chosen, False)
    await one.stores.officers.put_accounts([officer])
    again = await Passwords().hash("vijf rode fietsen")
    assert await one.stores.officers.change_password(officer.id, chosen, again)
    await one.do("undo", "an", 3, of=3)
    back = await one.account("an")
    assert (back.password_hash, back.must_change_password) == (again, False)
    assert not await Passwords().verify(back.password_hash, str(made.password))
    await one.do("change", "an", 4, form=AN.model_copy(update={"capacity": 3}))
    assert (await one.account("an")).password_hash == again, "a change in the same role leaves it alone"


# ── exchange with a file ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_import_is_recorded_and_can_be_undone(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    an = await one.account("an")
    secret = totp.new_secret()
    anna = an.model_copy(update={"name": "Anna", "disabled": True, "totp_secret": secret})
    cas = an.model_copy(update={"username": "cas"})
    assert await one.take_in((anna, 1), (cas, 0), ("bea", 1)) == (["an", "cas", "bea"], [])
    assert (await one.account("an"), await one.account("cas")) == (anna, cas)
    entry = (await one.changes.history("an")).entries[0]
    assert (entry.act, entry.by, entry.undoable) == ("imported", OPERATOR, True)
    assert entry.before == {"name": "An", "disabled": False, "totp": False}
    assert secret not in repr(entry)
    assert not (await one.changes.history("cas")).entries[0].undoable
    assert (await one.changes.history("bea")).entries[0].act == "removed"
    assert await other.changes.look()
    assert await one.take_in((anna, 2)) == (["an"], [])
    assert (await one.changes.history("an")).revision == 2, "nothing has changed"
    await other.do("undo", "an", 2, of=2)
    undone = await one.account("an")
    assert (undone.name, undone.disabled, undone.totp_secret) == ("An", False, secret)
    await one.take_in((undone.model_copy(update={"totp_secret": None}), 3))
    assert not (await one.changes.history("an")).entries[0].undoable, "a second factor never comes back"
    await one.take_in(("cas", 1))
    assert await one.take_in((cas, 0)) == (["cas"], []), "one that was removed"


async def test_what_others_have_changed_meanwhile_is_left_alone(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    an = await one.account("an")
    await other.do("change", "an", 1, form=AN.model_copy(update={"capacity": 4}))
    await other.do("add", "cas", 0, form=AN)
    wanted = [(an.model_copy(update={"name": "X", "username": name}), base) for name, base in (("an", 1), ("cas", 0))]
    assert await one.take_in(*wanted, ("weg", 1), ("bea", 1)) == (["bea"], ["an", "cas", "weg"])
    assert ((await one.account("an")).name, (await one.account("cas")).name) == ("An", "An")


async def test_an_import_that_is_wrong_or_leaves_no_administrator_changes_nothing(
    replicas: tuple[Replica, Replica], db: Database
) -> None:
    one, _ = replicas
    an, bea = await one.account("an"), await one.account("bea")
    before = await db["accounts"].find().sort("_id", 1).to_list(None)
    anna = (an.model_copy(update={"name": "Anna"}), 1)
    blocked = bea.model_copy(update={"disabled": True})
    nobody = (422, "last_administrator", "role")
    assert await refused(one.take_in(anna, ("bea", 1), ("beheer", 1))) == nobody
    assert await refused(one.take_in(anna, (blocked, 1), ("beheer", 1))) == nobody
    lost = an.model_copy(update={"departments": ("weg",)})
    assert await refused(one.take_in((an, 1), (lost, 1))) == (422, "department_unknown", "departments")
    members = {**members_of(an), "password_hash": "demo"}
    wrong = AccountsImport(accounts=[ImportedAccount(username="an", base=1, members=members)], by=OPERATOR)
    assert await refused(one.changes.import_accounts(wrong)) == (422, "invalid_account", "password_hash")
    assert await db["accounts"].find().sort("_id", 1).to_list(None) == before
    assert await one.take_in(anna, ("bea", 1)) == (["an", "bea"], []), "one remains"
    assert await refused(one.take_in(("beheer", 1))) == nobody
    assert await one.take_in((blocked.model_copy(update={"disabled": False}), 0), ("beheer", 1)) == (
        ["bea", "beheer"],
        [],
    )


async def test_two_imports_that_each_take_one_of_two_administrators_leave_one(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    outcomes = await asyncio.gather(one.take_in(("bea", 1)), other.take_in(("beheer", 1)), return_exceptions=True)
    assert [o.code for o in outcomes if isinstance(o, Problem)] == ["last_administrator"]
    assert len(await one.store.administrators()) == 1


async def test_an_export_has_the_password_that_counts_and_an_import_of_it_leaves_that_alone(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "EXPORTED", 2)
    one, _ = replicas
    an = await one.account("an")
    await one.stores.agents.put_accounts([an], NOW)
    chosen = await Passwords().hash("vier groene fietsen")
    assert await one.stores.agents.change_password(an.id, an.password_hash, chosen)
    first = await one.changes.export(ExportQuery(secrets=True))
    assert ([a.username for a in first.accounts], first.more) == (["an", "bea"], True)
    assert first.accounts[0].members == members_of(an.model_copy(update={"password_hash": chosen}))
    rest = await one.changes.export(ExportQuery(after="bea"))
    assert ([a.username for a in rest.accounts], rest.more, rest.accounts[0].members) == (["beheer"], False, None)
    assert (rest.only_break_glass, rest.issuer_administers) == (False, False)
    assert set(rest.departments) == set(one.first.departments.ids)
    same = an.model_copy(update={"password_hash": chosen, "capacity": 7})
    await one.take_in((same, 1))
    stored = await one.account("an")
    assert (stored.capacity, stored.password_hash) == (7, an.password_hash), "the person can go on choosing"
    other = an.model_copy(update={"password_hash": await Passwords().hash("iets anders")})
    await one.take_in((other, 2))
    assert await one.account("an") == other


async def test_the_last_one_is_whom_the_issuer_does_not_replace(
    settings: PresenceSettings, db: Database, file: Path
) -> None:
    """Where others have to log in at the issuer, only a break-glass account counts beside its administrators."""
    file.write_text(FILE + f'break_glass = true\ntotp_secret = "{totp.new_secret()}"\n')  # of bea, the last one there
    known = {"accounts_file": file, "config_source": "database", "oidc_local": "off"}
    one = Replica(settings.model_copy(update=known), db)
    await one.changes.begin(one.first)
    last = (422, "last_administrator")
    assert (await refused(one.do("remove", "bea", 1, OPERATOR)))[:2] == last
    assert (await refused(one.take_in(("bea", 1))))[:2] == last
    await one.do("remove", "beheer", 1, OPERATOR)
    file.write_text(file.read_text() + ISSUER)
    replaced = Replica(settings.model_copy(update=known), db)
    assert (await replaced.changes.export(ExportQuery())).issuer_administers
    assert await replaced.take_in(("an", 1)) == (["an"], [])
    await replaced.do("remove", "bea", 1, OPERATOR)
    assert await one.store.administrators() == []


async def test_who_is_no_administrator_any_more_changes_nothing_until_their_session_ends(
    replicas: tuple[Replica, Replica], settings: PresenceSettings, db: Database
) -> None:
    one, other = replicas
    nobody = (403, "forbidden", None)
    await one.do("disable", "bea", 1)
    assert await refused(other.do("enable", "bea", 2, BEA)) == nobody
    assert await refused(other.do("undo", "bea", 2, BEA, of=2)) == nobody
    assert await refused(other.check("add", "cas", 0, BEA, form=AN)) == nobody
    assert await refused(other.do("add", "cas", 0, BEA, form=AN)) == nobody
    await one.do("enable", "bea", 2)
    await one.do("change", "bea", 3, form=AN)
    assert await refused(other.do("undo", "bea", 4, BEA, of=4)) == nobody
    assert await refused(one.do("disable", "an", 1, Author(id="x", name="X", role="administrator"))) == nobody
    person = Membership("sub", "org", "", "Ida", False, (), 0, (), role="administrator")
    await one.stores.officers.put_person("ida", person, "https://issuer.example")
    await one.do("disable", "an", 1, Author(id="ida", name="Ida", role="administrator"))
    await one.stores.officers.disable(["ida"])
    assert await refused(one.do("enable", "an", 2, Author(id="ida", name="Ida", role="administrator"))) == nobody
    off = Replica(settings.model_copy(update={"config_source": "database", "oidc_local": "off"}), db)
    assert await refused(off.do("enable", "an", 2)) == nobody, "they have to log in at the issuer"


async def test_a_change_waits_for_the_one_before_it_and_no_longer_than_is_promised(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = replicas
    assert await other.stores.leases.take(JOB, 60, NOW)
    monkeypatch.setattr(changes_module, "PATIENCE", 0.2)
    assert (await refused(one.do("disable", "an", 1)))[:2] == (503, "unavailable")
    await other.stores.leases.release(JOB, NOW)
    await one.do("disable", "an", 1)


async def test_accounts_are_listed_by_pages_and_found_by_a_text(replicas: tuple[Replica, Replica]) -> None:
    one, _ = replicas
    many = [Account(username=f"x{n:03}", name=f"Naam ({n})", password_hash=HASH, role="auditor") for n in range(PAGE)]
    await one.store.begin([(account, {}) for account in many], NOW)
    first = await one.changes.listed(AccountsQuery())
    assert (len(first.accounts), first.more, first.accounts[0].username) == (PAGE, True, "an")
    rest = await one.changes.listed(AccountsQuery(after=first.accounts[-1].username))
    assert ([a.username for a in rest.accounts], rest.more) == (["x047", "x048", "x049"], False)
    found = await one.changes.listed(AccountsQuery(search="NAAM (7)"))
    assert [a.username for a in found.accounts] == ["x007"]
    assert HASH not in repr(first)


# ── the secrets of one-time passwords at rest ────────────────────────────────────────────────────────────────────────


async def everything(db: Database) -> str:
    """Return all that is stored."""
    return str([[doc async for doc in db[name].find({})] for name in await db.list_collection_names()])


def settings_of(settings: PresenceSettings, file: Path) -> PresenceSettings:
    return settings.model_copy(update={"accounts_file": file, "config_source": "database"})


async def test_a_secret_is_nowhere_in_the_database(replicas: tuple[Replica, Replica], db: Database) -> None:
    one, other = replicas
    made = await one.do("make_totp", "an", 1)
    secret = (await other.account("an")).totp_secret
    assert secret
    assert f"secret={secret}&" in str(made.totp)
    await one.take_in(((await one.account("an")).model_copy(update={"name": "Anna"}), 2))
    await one.stores.agents.put_accounts([await one.account("an")], NOW)
    stored = await everything(db)
    assert "'an'" in stored
    assert secret not in stored
    assert secret not in repr(await one.store.get("an"))


async def test_secrets_of_the_file_are_sealed_too(settings: PresenceSettings, db: Database, file: Path) -> None:
    secret = totp.new_secret()
    file.write_text(FILE + f'totp_secret = "{secret}"\n')
    replica = Replica(settings_of(settings, file), db)
    await replica.changes.begin(replica.first)
    assert (await replica.account("bea")).totp_secret == secret
    assert secret not in await everything(db)


async def test_what_was_stored_in_clear_goes_on_and_is_sealed_without_a_revision(
    replicas: tuple[Replica, Replica], settings: PresenceSettings, db: Database, file: Path
) -> None:
    one, _ = replicas
    secret = totp.new_secret()
    await db["accounts"].update_one({"_id": "an"}, {"$set": {"account.totp_secret": secret}})
    assert (await one.account("an")).totp_secret == secret
    later = Replica(settings_of(settings, file), db)
    await later.changes.begin(later.first)
    assert {a.username: a.totp_secret for a in later.held.accounts}["an"] == secret
    assert secret not in await everything(db)
    assert (later.held.revisions or {})["an"] == 1
    assert (await one.account("an")).totp_secret == secret


async def test_a_replaced_key_seals_again_all_that_the_former_one_has_sealed(
    replicas: tuple[Replica, Replica], settings: PresenceSettings, db: Database, file: Path
) -> None:
    one, _ = replicas
    await one.do("make_totp", "an", 1)
    secret = (await one.account("an")).totp_secret
    both = Replica(settings_of(settings, file), db, [NEWER, KEY])
    await both.changes.begin(both.first)
    assert (await both.account("an")).totp_secret == secret
    alone = Replica(settings_of(settings, file), db, [NEWER])
    assert (await alone.account("an")).totp_secret == secret
    still = Replica(settings_of(settings, file), db, [KEY, NEWER])  # a replica that has not been restarted yet
    await still.do("make_totp", "an", 2)
    await both.changes.look()
    newest = (await still.account("an")).totp_secret
    assert (await alone.account("an")).totp_secret == newest != secret


async def test_an_outdated_secret_is_not_put_in_the_place_of_a_newer_one(
    replicas: tuple[Replica, Replica], settings: PresenceSettings, db: Database, file: Path
) -> None:
    one, _ = replicas
    await one.do("make_totp", "an", 1)
    both = Replica(settings_of(settings, file), db, [NEWER, KEY])
    found = await both.store.get("an")
    assert found is not None
    await one.do("make_totp", "an", 2)
    newest = (await one.account("an")).totp_secret
    assert not await both.store.seal_again(found)
    assert (await both.account("an")).totp_secret == newest


async def test_a_secret_that_no_key_opens_is_kept_and_can_be_replaced(
    replicas: tuple[Replica, Replica], settings: PresenceSettings, db: Database, file: Path
) -> None:
    one, _ = replicas
    await one.do("make_totp", "beheer", 1, by=BEA)
    secret = (await one.account("beheer")).totp_secret
    other = Replica(settings_of(settings, file), db, [NEWER])
    with capture_logs() as logged:
        await other.changes.begin(other.first)
    assert [(e["event"], e["account_id"]) for e in logged] == [("second_factor_not_opened", BEHEER.id)]
    form = AccountForm(name="Het beheer", role="administrator", break_glass=True)
    await other.do("change", "beheer", 2, by=BEA, form=form)
    assert ((await one.account("beheer")).totp_secret, (await one.account("beheer")).name) == (secret, "Het beheer")
    assert len((await other.changes.export(ExportQuery())).accounts) == 3
    export = other.changes.export(ExportQuery(secrets=True))
    assert await refused(export) == (409, "second_factor_not_opened", None)
    await other.do("make_totp", "beheer", 3, by=BEA)
    assert not totp.is_sealed((await other.account("beheer")).totp_secret)


# ── what a later release has stored, which was then taken back ───────────────────────────────────────────────────────


async def test_an_account_of_a_later_release_is_left_out_and_stays_as_it_is(
    replicas: tuple[Replica, Replica], settings: PresenceSettings, db: Database, file: Path
) -> None:
    await db["accounts"].update_one({"_id": "an"}, {"$set": {"revision": 2, "account.role": "registrar"}})
    before = await db["accounts"].find_one({"_id": "an"})
    replica = Replica(settings_of(settings, file), db)
    with capture_logs() as logged:
        await replica.changes.begin(replica.first)
    assert [(e["event"], e["revision"]) for e in logged] == [("account_not_read", 2)]
    assert [a.username for a in replica.held.accounts] == ["bea", "beheer"]
    assert not await replica.changes.look(), "it is not read again and again"
    assert [a.username for a in (await replica.changes.listed(AccountsQuery())).accounts] == ["bea", "beheer"]
    for request in (
        replica.do("disable", "an", 2),
        replica.do("add", "an", 0, form=AN),
        replica.check("remove", "an", 2),
        replica.changes.history("an"),
    ):
        assert await refused(request) == (409, "account_of_later_release", None)
    found = Account(username="an", name="An", password_hash=HASH, departments=("algemeen",))
    for base in (0, 2):
        assert await replica.take_in((found, base)) == ([], ["an"])
    assert await db["accounts"].find_one({"_id": "an"}) == before


async def test_a_member_that_only_a_later_release_knows_stays(replicas: tuple[Replica, Replica], db: Database) -> None:
    one, _ = replicas
    later = {"account.keys": ["k"], "by.organisation": "Gent", "by.role": "registrar"}
    await db["accounts"].update_one({"_id": "an"}, {"$set": later})
    await one.do("change", "an", 1, form=AN.model_copy(update={"name": "Anna"}))
    await one.do("disable", "an", 2)
    doc = await db["accounts"].find_one({"_id": "an"})
    assert doc is not None
    assert (doc["account"]["keys"], doc["account"]["name"], doc["account"]["disabled"]) == (["k"], "Anna", True)
    await one.do("remove", "an", 3)
    assert (await db["accounts"].find_one({"_id": "an"}) or {})["account"] is None, "a removed one keeps nothing"


async def test_an_act_that_only_a_later_release_knows_is_left_out_of_the_history(
    replicas: tuple[Replica, Replica], db: Database
) -> None:
    one, _ = replicas
    await one.do("disable", "an", 1)
    known = await db["accounts"].find_one({"_id": "an"})
    assert known is not None
    later = {**known["history"][-1], "revision": 3, "act": "delegated"}
    await db["accounts"].update_one({"_id": "an"}, {"$set": {"revision": 3}, "$push": {"history": later}})
    with capture_logs() as logged:
        assert [e.revision for e in (await one.changes.history("an")).entries] == [2, 1]
    assert [(e["event"], e["act"]) for e in logged] == [("account_entry_not_read", "delegated")]
    assert (await one.do("enable", "an", 3)).fields == ["disabled"]
    assert (await one.do("enable", "an", 3)).fields == [], "a repetition"
    assert (await one.do("undo", "an", 4, of=4)).fields == ["disabled"]
    doc = await db["accounts"].find_one({"_id": "an"})
    assert doc is not None
    assert [e["act"] for e in doc["history"]] == ["begun", "disabled", "delegated", "enabled", "undone"]


# ── what hangs ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_write_that_hangs_for_longer_than_its_lease_changes_nothing(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = replicas
    monkeypatch.setattr(changes_module, "LEASE", 0.5)
    put = one.store.put

    async def hanging(username: str, account: Account | None, entry: AccountEntry, before: datetime) -> bool:
        await asyncio.sleep((before - utcnow()).total_seconds() + 0.2)
        return await put(username, account, entry, before)

    monkeypatch.setattr(one.store, "put", hanging)
    assert await refused(one.do("disable", "beheer", 1, by=BEA)) == (503, "unavailable", None)
    assert await one.take_in(("an", 1)) == ([], ["an"])
    assert not (await other.account("beheer")).disabled
    assert (await other.account("an")).name == "An"


async def test_a_look_that_hangs_does_not_put_older_accounts_in_the_place_of_newer_ones(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = replicas
    reads, goes_on, every = asyncio.Event(), asyncio.Event(), one.store.all

    async def hanging() -> Any:
        found = await every()
        if not reads.is_set():
            reads.set()
            await goes_on.wait()
        return found

    monkeypatch.setattr(one.store, "all", hanging)
    first = asyncio.create_task(one.changes.look(again=True))
    async with asyncio.timeout(PATIENCE):
        await reads.wait()
        await other.do("disable", "an", 1)
        second = asyncio.create_task(one.changes.look())
        await asyncio.wait({second}, timeout=0.5)
        goes_on.set()
        await asyncio.gather(first, second)
    assert (one.held.revisions or {})["an"] == 2
