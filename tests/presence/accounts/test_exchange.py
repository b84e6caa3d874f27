"""RULES of the exchange of accounts with a file (`exchange.py`)."""

import tomllib
from collections.abc import Sequence
from typing import Any

import pytest

from services.common.config import toml_text
from services.common.internal_api.accounts import ExportPage
from services.presence.accounts import exchange, rules
from services.presence.accounts.exchange import CannotImport, Change, changes_of
from services.presence.agents import totp
from services.presence.agents.accounts import Account, AccountsFile
from services.presence.agents.passwords import fingerprint
from tests.presence.conftest import HASH, account

OTHER_HASH = HASH[:-4] + "AAAA"
SECRET = totp.new_secret()
AN, CAS = account("an"), account("cas", "premies", capacity=3)


def officer(username: str, role: str = "administrator", **more: Any) -> Account:
    members = {"name": username.title(), "password_hash": HASH, "role": role, **more}
    return Account.model_validate({"username": username, **members})


BEA, BEHEER = officer("bea"), officer("beheer")
FULL = Account(
    username="lien",
    name='Lien "é"\t\\',
    password_hash=HASH,
    departments=("algemeen", "premies"),
    capacity=0,
    supervisor=True,
    locales=("nl", "fr"),
    totp_secret=SECRET,
    break_glass=True,
    disabled=True,
    must_change_password=True,
)


def page(*accounts: Account, more: bool = False, **known: Any) -> ExportPage:
    about = {"departments": ["algemeen", "premies"], "only_break_glass": False, "issuer_administers": False, **known}
    return ExportPage(accounts=[exchange.exported(one, 4, secrets=False) for one in accounts], more=more, **about)


def names(changes: Sequence[Change]) -> list[str]:
    return [one.request.username for one in changes]


def test_what_is_exported_is_the_accounts_file_of_these_accounts() -> None:
    accounts = (AN, CAS, BEA, officer("audra", "auditor", totp_secret=SECRET), FULL)
    tables = [exchange.exported(one, 4, secrets=True).members or {} for one in accounts]
    text = toml_text.document("accounts", tables, "first line", "second line")
    assert text.startswith("# first line\n# second line\n\n[[accounts]]\n")
    assert AccountsFile.model_validate(tomllib.loads(text)).accounts == accounts
    assert list(tables[0]) == ["username", "name", "password_hash", "departments", "locales"], "no defaults"


def test_a_document_of_no_tables_has_its_comments() -> None:
    assert toml_text.document("accounts", [], "nothing") == "# nothing\n"


def test_without_secrets_nothing_of_a_hash_or_secret_is_in_it() -> None:
    one = exchange.exported(FULL, 4, secrets=False)
    assert one.members is None
    text = one.model_dump_json()
    assert HASH not in text
    assert SECRET not in text
    assert (one.password, one.totp) == (fingerprint(HASH), totp.fingerprint(SECRET))
    assert HASH not in repr(exchange.exported(FULL, 4, secrets=True))


def test_the_same_accounts_are_no_change() -> None:
    accounts = (AN, CAS, BEA, FULL)
    assert changes_of(accounts, [page(AN, CAS, more=True), page(BEA, FULL)], remove_others=True) == []


def test_each_difference_is_a_change_that_shows_no_secret() -> None:
    wanted = [
        BEA,
        AN.model_copy(update={"name": "Anna", "capacity": 4}),
        CAS.model_copy(update={"password_hash": OTHER_HASH}),
        FULL.model_copy(update={"totp_secret": totp.new_secret(), "must_change_password": False}),
        account("dirk"),
    ]
    changes = {one.request.username: one for one in changes_of(wanted, [page(AN, BEA, CAS, FULL)], False)}
    assert (changes["an"].before, changes["an"].after) == (
        {"name": "An", "capacity": 1},
        {"name": "Anna", "capacity": 4},
    )
    assert (changes["cas"].fields, changes["cas"].request.base) == (["password"], 4)
    assert changes["lien"].fields == ["must_change_password", "totp"]
    assert (changes["dirk"].before, changes["dirk"].request.base) == ({}, 0)
    assert changes["dirk"].after == rules.view_of(account("dirk"))
    assert len(changes) == 4
    shown = repr([(one.before, one.after, one.fields) for one in changes.values()])
    assert "argon2" not in shown
    removed_totp = FULL.model_copy(update={"totp_secret": None, "break_glass": False})
    (change,) = changes_of([BEA, removed_totp], [page(BEA, FULL)], False)
    assert (change.fields, change.after["totp"]) == (["break_glass", "totp"], False)


def test_others_stay_unless_they_are_to_be_removed() -> None:
    known = [page(AN, BEA, CAS)]
    assert changes_of([BEA], known, remove_others=False) == []
    changed = [AN.model_copy(update={"capacity": 4})]
    assert names(changes_of(changed, known, remove_others=False)) == ["an"], "an administrator stays beside the file"
    removed = changes_of([BEA], known, remove_others=True)
    assert [(one.request.username, one.request.base, one.request.members) for one in removed] == [
        ("an", 4, None),
        ("cas", 4, None),
    ]
    assert removed[0].before["name"] == "An"


def test_an_administrator_remains_after_each_change() -> None:
    known = [page(AN, BEA, BEHEER)]
    blocked = BEA.model_copy(update={"disabled": True})
    dirk = officer("dirk")
    wanted = [blocked, AN.model_copy(update={"capacity": 2}), dirk]
    assert names(changes_of(wanted, known, remove_others=True)) == ["dirk", "an", "bea", "beheer"]


@pytest.mark.parametrize(
    ("wanted", "remove_others", "known"),
    [
        ([AN], True, {}),
        ([BEA.model_copy(update={"disabled": True})], False, {}),
        ([officer("bea", "auditor")], False, {}),
        ([account("bea")], False, {}),
        ([AN, BEA], False, {"only_break_glass": True}),
    ],
)
def test_a_file_that_leaves_nobody_to_administer_is_refused(
    wanted: list[Account], remove_others: bool, known: dict[str, Any]
) -> None:
    with pytest.raises(CannotImport, match="nobody could administer"):
        changes_of(wanted, [page(AN, BEA, **known)], remove_others)
    changes_of(wanted, [page(AN, BEA, **known, issuer_administers=True)], remove_others)
    changes_of(
        [*wanted, officer("dirk", totp_secret=SECRET, break_glass=True)], [page(AN, BEA, **known)], remove_others
    )


def test_an_unknown_department_is_refused() -> None:
    with pytest.raises(CannotImport, match="'an' serves 'weg', which is no department"):
        changes_of([BEA, account("an", "algemeen", "weg")], [page(AN, BEA)], False)
