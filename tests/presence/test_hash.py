"""`python -m services.presence.hash` makes a hash that its password, and no other, fits."""

import subprocess
import sys

import argon2
import pytest

from tests.real import ROOT


def _hash(given: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "services.presence.hash"]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)


def test_a_password_from_standard_input_becomes_a_hash_that_fits_it() -> None:
    made = _hash("geheim wachtwoord\n")
    assert made.returncode == 0, made.stderr
    stored = made.stdout.strip()
    assert stored.startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(stored, "geheim wachtwoord")
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        argon2.PasswordHasher().verify(stored, "geheim wachtwoord ")


def test_two_hashes_of_one_password_differ() -> None:
    assert _hash("geheim\n").stdout != _hash("geheim\n").stdout
