"""Makes key pairs with which the gateway, presence and the operator's commands sign tokens (docs/rotation.md).

`make token-keys` prints one for each of them, `ARGS=presence` one for presence alone. Nothing is stored.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence

from services.common.evidence import chain, ed25519
from services.common.http.key_ring import OWNERS


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the keys. Return 0; the parser ends the program with 2 when the arguments are invalid."""
    parser = argparse.ArgumentParser(prog="make token-keys", description="Make keys with which services sign tokens.")
    parser.add_argument("owner", nargs="*", help=f"{', '.join(OWNERS)}; none: all of them")
    owners = parser.parse_args(arguments).owner or OWNERS
    if unknown := [owner for owner in owners if owner not in OWNERS]:
        parser.error(f"{unknown[0]} signs nothing; choose of {', '.join(OWNERS)}")
    public = []
    for owner in owners:
        private = secrets.token_bytes(32)
        public.append(public_entry(owner, private))
        print(f"{owner}: private key, for this one alone ({'OPERATOR_KEY' if owner == 'operator' else 'SIGNING_KEY'}):")
        print(f"  {private.hex()}")
    print("public keys, for all services (VERIFICATION_KEYS):")
    print(f"  {','.join(public)}")
    return 0


def public_entry(owner: str, private_key: bytes) -> str:
    """Return what `VERIFICATION_KEYS` has of this private key."""
    return f"{owner}:{chain.encoded(ed25519.public_key_of(private_key))}"


if __name__ == "__main__":
    sys.exit(main())
