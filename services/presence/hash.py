"""`python -m services.presence.hash`: read a password from the terminal or standard input, print its argon2 hash.

`python -m services.presence.hash --totp [USERNAME]`: print a new secret for one-time passwords, and its address for an
authenticator.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys

from services.presence.agents import totp
from services.presence.agents.password_rules import problem_of, unfit, words_of
from services.presence.agents.passwords import Passwords


def read_password(prompt: str = "Password: ") -> str:
    """Return what is typed (not shown) after this prompt, or the first line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\r\n")


def main() -> int:
    """Print the hash for `password_hash` in the accounts file. Return 1 when the password is not good enough.

    The words of the installation are those of `PASSWORD_WORDS` in the environment. With `--totp`: print what
    `totp_secret` and the agent's authenticator need.
    """
    if sys.argv[1:2] == ["--totp"]:
        secret = totp.new_secret()
        print(f'totp_secret = "{secret}"')
        print(totp.uri(secret, sys.argv[2] if len(sys.argv) > 2 else "agent"))
        return 0
    password = read_password()
    try:
        why = unfit(password, words=words_of(os.environ.get("PASSWORD_WORDS", "")))
    except ValueError as error:
        print(f"PASSWORD_WORDS {error}", file=sys.stderr)
        return 1
    if why:
        print(problem_of(why).detail, file=sys.stderr)
        return 1
    print(asyncio.run(Passwords().hash(password)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
