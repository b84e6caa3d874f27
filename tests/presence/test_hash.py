"""`python -m services.presence.hash` makes a hash that its password, and no other, fits."""

import os
import subprocess
import sys

import argon2
import pytest

from tests.support.servers import PATIENCE, ROOT


def _hash(given: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "services.presence.hash"]
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        cwd=ROOT,
        check=False,
        env={**os.environ, **environ},
    )


def test_a_password_from_standard_input_becomes_a_hash_of_its_own_that_fits_it() -> None:
    made, again = _hash("geheime gele tram\n"), _hash("geheime gele tram\n")
    assert made.returncode == 0, made.stderr
    stored = made.stdout.strip()
    assert stored.startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(stored, "geheime gele tram")
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        argon2.PasswordHasher().verify(stored, "geheime gele tram ")
    assert again.stdout.strip() != stored
    assert argon2.PasswordHasher().verify(again.stdout.strip(), "geheime gele tram")


@pytest.mark.parametrize("password", ["", "\n", "kort\n", "elf tekens.\n"])
def test_of_a_password_that_is_too_short_no_hash_is_printed(password: str) -> None:
    made = _hash(password)
    assert (made.returncode, made.stdout) == (1, "")
    assert "at least 12 characters" in made.stderr


@pytest.mark.parametrize(
    ("password", "words", "why"),
    [
        ("qwertyuiop123", "", "list of common passwords"),
        ("mijn Wachtwoord 1", "", "easy to guess"),
        ("naast het Stadhuis", "stadhuis", "easy to guess"),
        ("vier groene fietsen", "ovo", "PASSWORD_WORDS is not a list"),
    ],
)
def test_of_a_password_that_is_not_good_enough_no_hash_is_printed(password: str, words: str, why: str) -> None:
    made = _hash(f"{password}\n", PASSWORD_WORDS=words)
    assert (made.returncode, made.stdout) == (1, "")
    assert why in made.stderr
    assert password not in made.stderr
