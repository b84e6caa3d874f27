"""Values that a browser or the database keeps and nobody else reads or changes (JWE, RFC 7516: `dir`, A256GCM)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from services.common.http.tokens import Keys


class Seal:
    """Encrypts and authenticates with a key derived from `TOKEN_SECRET` for one purpose."""

    def __init__(self, keys: Keys, purpose: str) -> None:
        self._keys = [OctKey.import_key(key) for key in keys.derived(f"seal {purpose}")]

    def close(self, content: Mapping[str, Any], until: datetime) -> str:
        """Return the sealed content, which is valid until this moment."""
        text = json.dumps({**content, "exp": int(until.timestamp())})
        return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, text, self._keys[0])

    def open(self, sealed: str, now: datetime) -> dict[str, Any] | None:
        """Return the content; None when it is not one of ours, or no longer valid."""
        for key in self._keys:
            try:
                content = json.loads(jwe.decrypt_compact(sealed, key, algorithms=["dir", "A256GCM"]).plaintext or b"")
            except (JoseError, ValueError):
                continue
            return content if content.get("exp", 0) > now.timestamp() else None
        return None
