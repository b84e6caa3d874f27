"""`python -m services.presence.hash`: read a password from the terminal or standard input, print its argon2 hash."""

from __future__ import annotations

import asyncio
import getpass
import sys

from services.presence.agents.passwords import Passwords


def read_password() -> str:
    """Return what is typed (not shown), or the first line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")


def main() -> int:
    """Print the hash for `password_hash` in the accounts file. Return 1 when the password is empty."""
    password = read_password()
    if not password:
        print("An empty password is none: give one.", file=sys.stderr)
        return 1
    print(asyncio.run(Passwords().hash(password)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
