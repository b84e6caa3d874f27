"""Sealed secrets of one-time passwords (`secret_seal.py`)."""

import pytest

from services.presence.accounts.secret_seal import SecretSeal
from services.presence.accounts.store import account_of
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from tests.presence.conftest import HASH

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = totp.new_secret()
MEMBERS = {"username": "an", "name": "An", "password_hash": HASH, "departments": ("algemeen",), "break_glass": True}


def test_a_secret_is_opened_by_the_key_that_sealed_it_for_its_account() -> None:
    seal = SecretSeal([NEW])
    stored = seal.close(SECRET, "an")
    assert SECRET not in stored
    assert seal.open(stored, "an") == SECRET
    assert seal.close(SECRET, "an") != stored, "each has a nonce of its own"
    assert seal.open(stored, "bert") == stored, "it is the second factor of no other account"
    assert SecretSeal([OLD]).open(stored, "an") == stored
    head, _, text = stored.rpartition(".")
    for changed in (text[:-2] + ("AA" if text[-2:] != "AA" else "BB"), text[:10], "", "!", "é"):
        assert seal.open(f"{head}.{changed}", "an") == f"{head}.{changed}"


def test_former_keys_open_and_the_newest_seals() -> None:
    former, both = SecretSeal([OLD]), SecretSeal([NEW, OLD])
    stored = former.close(SECRET, "an")
    assert both.open(stored, "an") == SECRET
    assert (both.is_newest(stored), former.is_newest(stored)) == (False, True)
    again = both.close(SECRET, "an")
    assert both.is_newest(again)
    assert SecretSeal([NEW]).open(again, "an") == SECRET


def test_a_secret_in_clear_is_as_it_is_and_not_of_the_newest_key() -> None:
    seal = SecretSeal([NEW])
    assert seal.open(SECRET, "an") == SECRET
    assert not seal.is_newest(SECRET)


def test_one_that_no_key_opens_is_stored_again_as_it_is() -> None:
    stored = SecretSeal([OLD]).close(SECRET, "an")
    assert totp.is_sealed(stored)
    assert SecretSeal([NEW]).close(stored, "an") == stored
    found = account_of({**MEMBERS, "totp_secret": stored})
    assert (found.totp_secret, found.break_glass) == (stored, True)
    assert totp.known_of(stored) == {}, "what other replicas know of the secret stays"
    assert totp.fingerprint(stored) not in ("", totp.fingerprint(SECRET))


def test_neither_a_file_nor_a_release_that_knows_none_takes_a_sealed_secret() -> None:
    stored = SecretSeal([NEW]).close(SECRET, "an")
    with pytest.raises(ValueError, match="is not base32"):
        totp.secret_bytes(stored)
    with pytest.raises(ValueError, match="is not base32"):
        Account.model_validate({**MEMBERS, "totp_secret": stored})
