"""services/presence/agents/passwords.py: a hash fits its password and no other."""

from services.presence.agents.passwords import Passwords


async def test_a_hash_fits_its_password_alone() -> None:
    passwords = Passwords()
    stored = await passwords.hash("géhéim")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(stored, "géhéim")
    assert not await passwords.verify(stored, "geheim")
    assert not await passwords.verify(None, "géhéim")
