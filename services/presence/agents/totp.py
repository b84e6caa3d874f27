"""Time-based one-time passwords (RFC 6238): HMAC-SHA-1, six digits, steps of 30 seconds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote

STEP = 30  # seconds
WINDOW = 1  # steps before and after the present one whose codes are accepted, for clocks that differ
DIGITS = 6
LEAST_BYTES = 16  # of a secret (RFC 4226, requirement R6)
ISSUER = "e-loket chat"
SEALED = "sealed."
"""The beginning of a secret as it is stored that no key opens (`accounts/secret_seal.py`)."""


def new_secret() -> str:
    """Return a random secret of 160 bits in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def secret_bytes(secret: str) -> bytes:
    """Return the bytes of a secret in base32; case, spaces and padding do not matter.

    Raises:
        ValueError: It is not base32, or shorter than `LEAST_BYTES`.
    """
    text = secret.replace(" ", "").rstrip("=").upper()
    try:
        key = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raise ValueError("is not base32; make one with: python -m services.presence.hash --totp") from None
    if len(key) < LEAST_BYTES:
        raise ValueError("is too short; make one with: python -m services.presence.hash --totp")
    return key


def is_sealed(secret: str | None) -> bool:
    """Return whether this is a sealed secret: there is one, and nobody knows which."""
    return secret is not None and secret.startswith(SEALED)


def fingerprint(secret: str | None) -> str:
    """Return what tells replicas which secret an account has now, and nothing of the secret; empty without one.

    Of a sealed secret it is `sealed`, which is that of no secret.
    """
    if is_sealed(secret):
        return "sealed"
    return hashlib.sha256(b"totp " + secret_bytes(secret)).hexdigest()[:32] if secret else ""


def known_of(secret: str | None) -> dict[str, str]:
    """Return the member `second_factor` of a document. A replica that cannot open the secret leaves it as it is."""
    return {} if is_sealed(secret) else {"second_factor": fingerprint(secret)}


def code_at(secret: str, step: int) -> str:
    """Return the code of this step (RFC 4226 §5.3)."""
    mac = hmac.digest(secret_bytes(secret), step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(moment: datetime) -> int:
    """Return the step that contains this moment."""
    return int(moment.timestamp()) // STEP


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the step of the window whose code this is, or None. Spaces in the code do not matter."""
    given = code.replace(" ", "").encode("utf-8", "surrogatepass")
    present = step_of(now)
    found = None
    for step in range(present - WINDOW, present + WINDOW + 1):  # all of them, so that the time reveals nothing
        if hmac.compare_digest(code_at(secret, step).encode(), given):
            found = step
    return found


def uri(secret: str, name: str) -> str:
    """Return the address that an authenticator reads as a QR code ("Key Uri Format" of Google Authenticator)."""
    label = f"{quote(ISSUER)}:{quote(name)}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(ISSUER)}&algorithm=SHA1&digits={DIGITS}&period={STEP}"
