"""RULES of changes of accounts (`rules.py`), and the accounts that a process holds (`held.py`)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.common.config.departments import load_departments
from services.common.internal_api.accounts import AccountForm
from services.common.internal_api.configuration import Author
from services.presence.accounts import rules
from services.presence.accounts.held import HeldAccounts, without_unknown_departments
from services.presence.accounts.store import StoredAccount
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from tests.common.config.test_departments import GOOD
from tests.presence.conftest import HASH, account

AGENT = AccountForm(name="An", role="agent", departments=["algemeen"], capacity=2, locales=["nl", "fr"])
OFFICER = AccountForm(name="Audra", role="auditor")
SECRET = totp.new_secret()


def made(form: AccountForm) -> Account:
    return Account(username="an", password_hash=HASH, totp_secret=SECRET, **rules.members_of(form))


@pytest.mark.parametrize(
    "form",
    [
        AGENT,
        AGENT.model_copy(update={"role": "supervisor", "capacity": 0, "break_glass": True}),
        AccountForm(name="Audra", role="auditor", capacity=0, locales=["nl", "fr", "de", "en"]),
    ],
)
def test_the_form_of_a_made_account_is_that_form(form: AccountForm) -> None:
    assert rules.form_of(rules.view_of(made(form))) == form


def test_what_an_officer_does_not_have_is_left_out() -> None:
    one = made(AGENT.model_copy(update={"role": "administrator"}))
    assert (one.role, one.departments, one.supervisor) == ("administrator", (), False)


def test_a_view_has_no_hash_and_no_secret() -> None:
    shown = repr(rules.view_of(made(AGENT)))
    assert HASH not in shown
    assert SECRET not in shown
    assert rules.view_of(made(AGENT))["totp"] is True


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": "  "}, "name_wrong", "name"),
        ({"name": "x" * 101}, "name_wrong", "name"),
        ({"name": "An\nBert"}, "name_wrong", "name"),
        ({"name": "An\x1b[2J"}, "name_wrong", "name"),
        ({"name": "An\u2028"}, "name_wrong", "name"),
        ({"departments": []}, "department_missing", "departments"),
        ({"departments": ["algemeen", "weg"]}, "department_unknown", "departments"),
        ({"capacity": 0}, "capacity_wrong", "capacity"),
        ({"capacity": 51}, "capacity_wrong", "capacity"),
        ({"role": "supervisor", "capacity": -1}, "capacity_wrong", "capacity"),
        ({"locales": []}, "locale_wrong", "locales"),
        ({"locales": ["es"]}, "locale_wrong", "locales"),
        ({"break_glass": True}, "second_factor_missing", "break_glass"),
        ({"role": "administrator", "departments": [], "break_glass": True}, "second_factor_missing", "break_glass"),
    ],
)
def test_each_fault_has_its_code_and_field(changes: dict[str, Any], code: str, field: str) -> None:
    fault = rules.fault_of(AGENT.model_copy(update=changes), ["algemeen"], False)
    assert fault is not None
    assert fault[:2] == (code, field)


def test_a_right_form_has_no_fault() -> None:
    assert rules.fault_of(AGENT, ["algemeen"], False) is None
    assert rules.fault_of(AGENT.model_copy(update={"role": "supervisor", "capacity": 0}), ["algemeen"], False) is None
    assert rules.fault_of(OFFICER.model_copy(update={"break_glass": True}), [], True) is None


def test_made_passwords_are_long_and_never_the_same() -> None:
    many = {rules.new_password() for _ in range(100)}
    assert len(many) == 100
    assert {len(one) for one in many} == {20}


def test_only_fields_that_differ_are_recorded() -> None:
    before = rules.view_of(made(AGENT))
    after = rules.view_of(made(AGENT.model_copy(update={"capacity": 5})))
    assert rules.differing(before, after) == ({"capacity": 2}, {"capacity": 5})
    assert rules.differing({}, after) == ({}, after)
    assert rules.differing(after, after) == ({}, {})


@pytest.mark.parametrize(
    ("changes", "only_break_glass", "may"),
    [
        ({}, False, True),
        ({"disabled": True}, False, False),
        ({"role": "auditor"}, False, False),
        ({}, True, False),
        ({"break_glass": True}, True, True),
    ],
)
def test_who_may_administer(changes: dict[str, Any], only_break_glass: bool, may: bool) -> None:
    one = made(AccountForm(name="B", role="administrator")).model_copy(update=changes)
    assert rules.may_administer(one, only_break_glass) is may
    assert not rules.may_administer(None, only_break_glass)


def test_held_accounts_are_seen_by_their_revisions_alone() -> None:
    held, by = HeldAccounts(), Author(id="x", name="x", role="operator")
    assert held.open("rb").read() == b""
    both = [StoredAccount(one, account(one), n, datetime.now(UTC), by) for n, one in enumerate(("bert", "an"), 1)]
    held.take(both, {"bert": 1, "an": 2, "later": 7})
    assert held.open("rb").read() == b"an 2\nbert 1\nlater 7\n"
    assert [one.username for one in held.accounts] == ["bert", "an"]


def test_a_department_that_is_gone_disables_only_who_serves_no_other(tmp_path: Path) -> None:
    file = tmp_path / "departments.toml"
    file.write_text(GOOD)
    both, gone, fine = account("both", "algemeen", "weg"), account("gone", "weg"), account("fine", "algemeen")
    blocked = both.model_copy(update={"disabled": True})
    found = without_unknown_departments([both, gone, fine, blocked], load_departments(file))
    assert [(one.departments, one.disabled) for one in found] == [
        (("algemeen",), False),
        ((), True),
        (("algemeen",), False),
        (("algemeen",), True),
    ]
