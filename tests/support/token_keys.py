"""Keys of services with which tests sign tokens, and the keys that each service holds."""

from deploy.token_keys.__main__ import public_entry
from services.common.http.key_ring import KeyRing, parse_public_keys
from services.common.http.tokens import Keys, Stage

PRIVATE = {"gateway": b"g" * 32, "presence": b"p" * 32, "operator": b"o" * 32}
PUBLIC = ",".join(public_entry(owner, key) for owner, key in PRIVATE.items())
SECRET = "a secret of the tests alone, long enough"


def keys_of(service: str, stage: Stage = "only", public: str = PUBLIC, private: bytes | None = None) -> Keys:
    """What this service holds: its own private key, if it has one, and the public ones of all."""
    ring = KeyRing(service, private or PRIVATE.get(service), parse_public_keys(public))
    return Keys(SECRET, ring=ring, stage=stage)
