"""services/presence/agents/passwords.py: a hash fits its password and no other."""

import argon2

from services.presence.agents.passwords import Passwords


async def test_a_hash_fits_its_password_alone() -> None:
    passwords = Passwords()
    stored = await passwords.hash("géhéim")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(stored, "géhéim")
    assert not await passwords.verify(stored, "geheim")
    assert not await passwords.verify(None, "géhéim")


async def test_both_spellings_of_an_accent_are_one_password() -> None:
    passwords = Passwords()
    composed, decomposed = "g\u00e9heim", "ge\u0301heim"
    for chosen in (composed, decomposed):
        stored = await passwords.hash(chosen)
        assert await passwords.verify(stored, composed)
        assert await passwords.verify(stored, decomposed)


async def test_a_hash_of_the_other_spelling_from_an_earlier_release_still_fits() -> None:
    stored = argon2.PasswordHasher(time_cost=1, memory_cost=64).hash("ge\u0301heim")
    assert await Passwords().verify(stored, "ge\u0301heim")
    assert not await Passwords().verify(stored, "geheim")
