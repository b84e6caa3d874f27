"""RULES of the chain of hashes of a transcript, and of what is signed. docs/transcript-format.md defines both. No I/O.

The hash of an entry covers its place, its time, its author, the hash of the entry before, and a digest of its content.
That digest has a random salt. When the content is removed later its salt is removed with it: the digest then keeps the
chain whole, and says nothing of the content.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

VERSION = 1
SALT_BYTES = 16
HEADING = ("chat_id", "department", "locale", "opened_at")
METADATA = ("seq", "id", "from", "event", "at")
CONTENT = ("name", "text", "attachment")
ATTACHMENT = ("id", "name", "size", "content_type", "sha256")
LINK = ("salt", "removed", "prev")
STATEMENT = ("version", "chat_id", "entries", "head", "closed_at", "signed_at", "kid")
_SIGNED = b"eloket-transcript-v1\n"  # before what is signed, so that a signature is valid for nothing else
_CODE_BYTES, _GROUP = 15, 4
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's Base32, which has no letters that look like digits
_LOOKALIKES = str.maketrans("ILO", "110")
_BASE32 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET)
CODE_LENGTH = _CODE_BYTES * 8 // 5


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the canonical form: JSON with sorted keys, without white space, in UTF-8 (RFC 8785).

    It is that of RFC 8785 for the values that occur: texts, integers and objects of these, with keys in ASCII.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def content_digest(message: Mapping[str, Any], salt: bytes) -> str:
    """Return the digest of what a message says: SHA-256 of its salt and the canonical form of its content."""
    content = {name: message[name] for name in CONTENT if name in message}
    return hashlib.sha256(salt + canonical(content)).hexdigest()


def first_hash(heading: Mapping[str, Any]) -> str:
    """Return what the first entry follows: the hash of the heading of the transcript."""
    members = {name: heading[name] for name in HEADING}
    return hashlib.sha256(canonical({**members, "version": VERSION})).hexdigest()


def entry_hash(message: Mapping[str, Any], prev: str, digest: str) -> str:
    """Return the hash of an entry that follows the one with the hash `prev`. `digest`: that of its content."""
    members = {name: message[name] for name in METADATA if name in message}
    return hashlib.sha256(canonical({**members, "content": digest, "prev": prev})).hexdigest()


def split(joined: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a message as the protocol has it, and its link: what the chain adds to it."""
    message, link = dict(joined), {"seq": joined["seq"]}
    for name in LINK:
        if name in message:
            link[name] = message.pop(name)
    attachment = message.get("attachment")
    if isinstance(attachment, Mapping) and "sha256" in attachment:
        message["attachment"] = {name: value for name, value in attachment.items() if name != "sha256"}
        link["sha256"] = attachment["sha256"]
    return message, link


def join(message: Mapping[str, Any], link: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with what its link says of it: the opposite of `split`."""
    joined = {**message, **{name: link[name] for name in LINK if name in link}}
    if "sha256" in link and isinstance(message.get("attachment"), Mapping):
        joined["attachment"] = {**message["attachment"], "sha256": link["sha256"]}
    return joined


class Chain:
    """Builds the chain of a transcript, entry by entry.

    Attributes:
        head: The hash of the last entry, or of the heading.
        entries: The number of entries.
    """

    def __init__(self, heading: Mapping[str, Any]) -> None:
        self.head, self.entries = first_hash(heading), 0

    def add(self, message: Mapping[str, Any], salt: bytes) -> dict[str, Any]:
        """Return the message with its `salt` and with `prev`, the hash of the entry before."""
        made = {**message, "salt": salt.hex(), "prev": self.head}
        self._follow(message, content_digest(message, salt))
        return made

    def add_removed(self, message: Mapping[str, Any], digest: str) -> dict[str, Any]:
        """Return the message without its content, which was removed; `removed` is the digest that it had."""
        made = {name: message[name] for name in METADATA if name in message}
        made |= {"removed": digest, "prev": self.head}
        self._follow(message, digest)
        return made

    def _follow(self, message: Mapping[str, Any], digest: str) -> None:
        self.head = entry_hash(message, self.head, digest)
        self.entries += 1


# ── the signature ────────────────────────────────────────────────────────────────────────────────────────────────────


def signed_bytes(statement: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed for a statement."""
    return _SIGNED + canonical(statement)


def encoded(data: bytes) -> str:
    """Return bytes in base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: object) -> bytes | None:
    """Return the bytes of base64url without padding; None for anything else."""
    if not isinstance(text, str) or len(text) > 200:
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError:
        return None
    return data if encoded(data) == text else None


def jwk(public_key: bytes) -> dict[str, str]:
    """Return a public key as a JSON Web Key (RFC 8037)."""
    return {"kty": "OKP", "crv": "Ed25519", "x": encoded(public_key), "kid": kid_of(public_key), "use": "sig"}


def kid_of(public_key: bytes) -> str:
    """Return the id of a key: its thumbprint (RFC 7638)."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": encoded(public_key)}
    return encoded(hashlib.sha256(canonical(members)).digest())


def keys_of(published: object) -> dict[str, bytes]:
    """Return the public keys of a JSON Web Key Set by their ids.

    Keys of another kind are left out.

    Raises:
        ValueError: It is no key set.
    """
    keys = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(keys, list):
        raise ValueError("not a JSON Web Key Set")
    found = {}
    for key in keys:
        if isinstance(key, dict) and key.get("crv") == "Ed25519":
            data = decoded(key.get("x"))
            if data is not None and len(data) == 32:
                found[kid_of(data)] = data
    return found


# ── the code ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def code_of(statement: Mapping[str, Any]) -> str:
    """Return the code of a signed transcript, in groups: 120 bits of the hash of what is signed."""
    digest = hashlib.sha256(signed_bytes(statement)).digest()[:_CODE_BYTES]
    return _grouped(base64.b32encode(digest).decode().translate(_BASE32))


def normal_code(typed: str) -> str | None:
    """Return a code as `code_of` does, from what a person typed, or None when it cannot be a code.

    Case, spaces and hyphens do not matter. `I` and `L` are read as 1, and `O` as 0.
    """
    text = "".join(c for c in typed.upper() if c not in " -\u2010\u2011\u2012\u2013\t").translate(_LOOKALIKES)
    return _grouped(text) if len(text) == CODE_LENGTH and all(c in _ALPHABET for c in text) else None


def _grouped(text: str) -> str:
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))
