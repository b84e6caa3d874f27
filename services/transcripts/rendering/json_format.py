"""RULES of the conversation as JSON, with its chain of hashes. No I/O. docs/transcript-format.md defines the format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from services.common.events.types import IDENTIFICATION, Entry
from services.common.evidence import chain
from services.transcripts.rendering.transcript import Transcript, utc_time, whole


@dataclass(frozen=True)
class Proof:
    """What the chain of a transcript needs beside the log.

    Attributes:
        salts: The salts of the entries, one after the other.
        files: The SHA-256 of the files, by the seq of their entries.
        removed: The digests of contents that were removed, by seq.
        statement: What is signed; None: nothing is.
        signature: The signature of the statement.
        public_key: The key to the signature.
        code: The code of the signed transcript.
    """

    salts: bytes
    files: Mapping[int, str] = field(default_factory=dict)
    removed: Mapping[int, str] = field(default_factory=dict)
    statement: Mapping[str, Any] | None = None
    signature: bytes = b""
    public_key: bytes = b""
    code: str | None = None

    def salt(self, seq: int) -> bytes:
        """Return the salt of an entry."""
        return self.salts[(seq - 1) * chain.SALT_BYTES : seq * chain.SALT_BYTES]

    def message(self, entry: Entry) -> dict[str, Any]:
        """Return the message of an entry, with the SHA-256 of its file."""
        made = message(entry)
        if "attachment" in made and entry.seq in self.files:
            made["attachment"] = {**made["attachment"], "sha256": self.files[entry.seq]}
        return made


class _Headed(Protocol):
    @property
    def chat_id(self) -> str: ...
    @property
    def department(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def opened_at(self) -> Any: ...


def heading_of(chat: _Headed) -> dict[str, str]:
    """Return the heading that the first entry of the chain follows."""
    return {
        "chat_id": chat.chat_id,
        "department": chat.department,
        "locale": chat.locale,
        "opened_at": utc_time(chat.opened_at),
    }


def chained(built: chain.Chain, proof: Proof, entry: Entry) -> dict[str, Any]:
    """Add an entry to the chain. Return its message with its place in the chain."""
    if entry.seq in proof.removed:
        return built.add_removed(message(entry), proof.removed[entry.seq])
    return built.add(proof.message(entry), proof.salt(entry.seq))


def as_json(transcript: Transcript, proof: Proof | None = None) -> bytes:
    """Return the conversation as data, as the protocol has it."""
    return whole(JsonParts(transcript, proof), transcript).encode()


def message(entry: Entry) -> dict[str, Any]:
    """Return the entry as the citizen was shown it: the protocol's message frame.

    Members without a value are left out.
    """
    made: dict[str, Any] = {"seq": entry.seq, "id": entry.id, "from": entry.party.value}
    if entry.name is not None:
        made["name"] = entry.name
    if entry.text is not None:
        made["text"] = entry.text
    if entry.attachment is not None:
        made["attachment"] = entry.attachment.model_dump()
    if entry.event is not None:
        made["event"] = entry.event.value
    elif entry.identification is not None:
        made["event"] = IDENTIFICATION
    made["at"] = utc_time(entry.at)
    return made


class JsonParts:
    """JSON in parts; see `as_json`."""

    def __init__(self, transcript: Transcript, proof: Proof | None = None) -> None:
        self._transcript, self._begun = transcript, False
        self._proof, self._chain = proof, chain.Chain(heading_of(transcript))
        self._links: list[bytes] = []

    def before(self) -> str:
        """Return the beginning of the object, up to its list of messages."""
        closed_at = self._transcript.closed_at
        head: dict[str, Any] = {
            **heading_of(self._transcript),
            "closed_at": utc_time(closed_at) if closed_at else None,
            "messages": [],
        }
        return orjson.dumps(head).decode().removesuffix("]}")

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next messages."""
        messages = ",".join(orjson.dumps(self._message(entry)).decode() for entry in entries)
        comma = "," if messages and self._begun else ""
        self._begun = self._begun or bool(messages)
        return comma + messages

    def _message(self, entry: Entry) -> dict[str, Any]:
        """Return the message as participants were shown it: what the chain adds stands in the chain."""
        if not self._proof:
            return message(entry)
        made, link = chain.split(chained(self._chain, self._proof, entry))
        self._links.append(orjson.dumps(link))
        return made

    def after(self) -> str:
        """Return the end of the object: its chain; nothing for a conversation that has none."""
        proof = self._proof
        if proof is None:
            return "]}"
        statement = proof.statement
        made = {
            "version": chain.VERSION,
            "head": self._chain.head,
            "entries": [orjson.Fragment(link) for link in self._links],
            "statement": statement,
            "signature": chain.encoded(proof.signature) if statement else None,
            "public_key": chain.encoded(proof.public_key) if statement else None,
            "code": proof.code,
        }
        return '],"chain":' + orjson.dumps(made).decode() + "}"
