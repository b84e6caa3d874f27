"""Signatures of webhooks (Standard Webhooks 1.0.0, symmetric: HMAC-SHA256). No I/O."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime


def signed_headers(id_: str, at: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """Return the headers that identify and sign a request.

    Args:
        id_: The id of the notice, the same in every attempt.
        at: The time of this attempt.
        body: The body as it is sent.
        secrets: The secrets, the present one first. There is one signature by each.
    """
    timestamp = str(int(at.timestamp()))
    content = f"{id_}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
