"""Transcripts with a chain, made without a service."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common.evidence import chain

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
Data = dict[str, Any]


def public(key: Ed25519PrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes_raw()


KEYS = {chain.kid_of(public()): public()}


def messages(texts: list[str]) -> list[Data]:
    """One message for each text, between a beginning and an end."""
    said = [
        {"seq": n, "id": f"m{n}", "from": ("citizen", "agent")[n % 2], "name": "An", "text": text, "at": time(n)}
        for n, text in enumerate(texts, 2)
    ]
    last = len(texts) + 2
    opened = {"seq": 1, "id": "o", "from": "system", "text": "Welkom", "event": "opened", "at": time(1)}
    closed = {"seq": last, "id": "c", "from": "system", "text": "Einde", "event": "closed", "at": time(last)}
    return [opened, *said, closed]


def time(n: int) -> str:
    return f"2026-11-22T15:{n // 60 % 60:02}:{n % 60:02}.123Z"


def transcript(
    texts: list[str],
    signed: bool = True,
    key: Ed25519PrivateKey = KEY,
    chat: str = "chat-1",
    removed: tuple[int, ...] = (),
    file_of: int = 0,
) -> Data:
    """A transcript as it is handed out. `removed`: entries without content; `file_of`: the entry that is a file."""
    heading = {"chat_id": chat, "department": "algemeen", "locale": "nl", "opened_at": time(0)}
    built, said = chain.Chain(heading), messages(texts)
    made = []
    for message in said:
        salt = message["seq"].to_bytes(chain.SALT_BYTES, "big")
        if message["seq"] == file_of:
            del message["text"]
            message["attachment"] = {"id": "f", "name": "a.pdf", "size": 9, "content_type": "x", "sha256": "0" * 64}
        if message["seq"] in removed:
            made.append(built.add_removed(message, chain.content_digest(message, salt)))
        else:
            made.append(built.add(message, salt))
    return sealed({**heading, "closed_at": said[-1]["at"], "messages": made}, built, signed, key)


def sealed(data: Data, built: chain.Chain, signed: bool = True, key: Ed25519PrivateKey = KEY) -> Data:
    """The transcript with the end of its chain, signed with this key."""
    statement: Data = {
        "version": 1,
        "chat_id": data["chat_id"],
        "entries": built.entries,
        "head": built.head,
        "closed_at": data["closed_at"],
        "signed_at": time(59),
        "kid": chain.kid_of(public(key)),
    }
    proof = {
        "version": 1,
        "head": built.head,
        "statement": statement if signed else None,
        "signature": chain.encoded(key.sign(chain.signed_bytes(statement))) if signed else None,
        "public_key": chain.encoded(public(key)) if signed else None,
        "code": chain.code_of(statement) if signed else None,
    }
    return {**data, "chain": proof}


def rebuilt(data: Data) -> Data:
    """The transcript with a chain that was made anew from what it says: what a forger without the key can do."""
    built = chain.Chain(data)
    made = []
    for message in data["messages"]:
        salt = bytes.fromhex(message["salt"])
        made.append(built.add({k: v for k, v in message.items() if k not in ("salt", "prev")}, salt))
    proof = {**data["chain"], "head": built.head}
    return {**data, "messages": made, "chain": proof}


def content(data: Data) -> bytes:
    """The bytes of the file. `data` has the links of the chain in the messages; the file has them in the chain."""
    said, links = [], []
    for message in data["messages"] if isinstance(data.get("messages"), list) else ():
        if isinstance(message, dict) and "seq" in message:
            message, link = chain.split(message)
            links.append(link)
        said.append(message)
    if isinstance(data.get("messages"), list):
        data = {**data, "messages": said}
    if isinstance(data.get("chain"), dict):
        data = {**data, "chain": {**data["chain"], "entries": links}}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def copy(data: Data) -> Data:
    made: Data = json.loads(json.dumps(data))
    return made
