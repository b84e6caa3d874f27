"""RULES of verifying a transcript: intact, altered and where, or incomplete. No I/O.

It reads the JSON of a transcript, alone or in the PDF in which it is embedded. Whatever the bytes are, the answer is a
`Result`; nothing is raised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from services.common.evidence import chain, ed25519
from services.common.evidence.embedded import NoTranscript, embedded_json

MOST_BYTES = 12 * 1024 * 1024  # of a file, and of the JSON in a PDF
MOST_FINDINGS = 20
_HEX = re.compile(r"[0-9a-f]{64}")
_SALT = re.compile(r"[0-9a-f]{32}")
_TOP = {*chain.HEADING, "closed_at", "messages", "chain"}
_CHAIN = {"version", "head", "entries", "statement", "signature", "public_key", "code"}
_MESSAGE = {*chain.METADATA, *chain.CONTENT}
_LINK = {"seq", *chain.LINK, "sha256"}


class Verdict(StrEnum):
    """What a verification says."""

    INTACT = "intact"
    ALTERED = "altered"
    INCOMPLETE = "incomplete"  # entries are missing, or the end is not signed
    UNKNOWN_KEY = "unknown_key"  # it is signed, with a key that is not among the published ones
    NO_CHAIN = "no_chain"  # it has none: made before version 2, or taken away
    UNREADABLE = "unreadable"


class Why(StrEnum):
    """What was found."""

    ENTRY_ALTERED = "entry_altered"
    ENTRY_MOVED = "entry_moved"  # it is not at its place
    ENTRIES_ADDED = "entries_added"  # after the end that was signed
    ENTRIES_MISSING = "entries_missing"
    HEADING_ALTERED = "heading_altered"
    SOMEWHERE = "somewhere"  # the chain was made anew, and is not the one that was signed
    OTHER_CHAT = "other_chat"  # the signature is that of another chat
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KEY = "unknown_key"
    NOT_SIGNED = "not_signed"
    NO_CHAIN = "no_chain"
    TOO_LARGE = "too_large"
    CUT_OFF = "cut_off"
    NOT_A_TRANSCRIPT = "not_a_transcript"
    NEWER_FORMAT = "newer_format"


_OF_VERDICT = {
    Verdict.UNREADABLE: {Why.TOO_LARGE, Why.CUT_OFF, Why.NOT_A_TRANSCRIPT, Why.NEWER_FORMAT},
    Verdict.ALTERED: {
        Why.ENTRY_ALTERED,
        Why.ENTRY_MOVED,
        Why.ENTRIES_ADDED,
        Why.HEADING_ALTERED,
        Why.SOMEWHERE,
        Why.OTHER_CHAT,
        Why.BAD_SIGNATURE,
    },
    Verdict.NO_CHAIN: {Why.NO_CHAIN},
    Verdict.INCOMPLETE: {Why.ENTRIES_MISSING, Why.NOT_SIGNED},
    Verdict.UNKNOWN_KEY: {Why.UNKNOWN_KEY},
}
"""The verdict is the first one of which there is a finding."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `first` and `last`: the numbers of the entries; 0: it is not about entries."""

    why: Why
    first: int = 0
    last: int = 0


@dataclass
class Result:
    """What a verification found.

    Attributes:
        findings: What is wrong; empty when it is intact.
        pdf: Whether the transcript was embedded in a PDF, whose pages are not verified.
        chat_id: The chat, as the file says; empty: not known.
        entries: Entries in the file.
        removed: How many of these have no content any more.
        opened_at: When the chat began, as the file says.
        closed_at: When it ended.
        signed_at: When it was signed; empty: it is not.
        kid: The id of the key.
        messages: The messages as they were verified, for a reader who wants to compare them.
    """

    findings: list[Finding] = field(default_factory=list)
    pdf: bool = False
    chat_id: str = ""
    entries: int = 0
    removed: int = 0
    opened_at: str = ""
    closed_at: str = ""
    signed_at: str = ""
    kid: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The verdict of the findings."""
        found = {finding.why for finding in self.findings}
        return next((verdict for verdict, whys in _OF_VERDICT.items() if whys & found), Verdict.INTACT)

    def add(self, why: Why, first: int = 0, last: int = 0) -> None:
        """Note a finding, once."""
        finding = Finding(why, first, last or first)
        if finding not in self.findings and len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    def as_data(self) -> dict[str, Any]:
        """Return the result as JSON can hold it, without the messages."""
        made = {**asdict(self), "verdict": self.verdict.value}
        made["findings"] = [{"why": f.why.value, "first": f.first, "last": f.last} for f in self.findings]
        del made["messages"]
        return made


class _Twice(ValueError):
    """An object has a member twice."""


def verify_file(content: bytes, keys: Mapping[str, bytes]) -> Result:
    """Verify a file: the JSON of a transcript, or a PDF with it.

    Args:
        content: The bytes of the file.
        keys: The published public keys by their ids.
    """
    result = Result()
    if len(content) > MOST_BYTES:
        result.add(Why.TOO_LARGE)
        return result
    if content[:1024].lstrip().startswith(b"%PDF"):
        result.pdf = True
        try:
            content = embedded_json(content, MOST_BYTES)
        except NoTranscript as error:
            result.add(Why.CUT_OFF if error.cut_off else Why.NOT_A_TRANSCRIPT)
            return result
    try:
        data = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_refuse)
    except _Twice:
        result.add(Why.NOT_A_TRANSCRIPT)
    except (ValueError, RecursionError):
        looks = content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b'{"chat_id"')
        result.add(Why.CUT_OFF if looks else Why.NOT_A_TRANSCRIPT)
    else:
        _verify(data, keys, result)
    return result


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. One that has a member twice means one thing to one program and another to the next."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice
    return made


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _verify(data: Any, keys: Mapping[str, bytes], result: Result) -> None:
    if not isinstance(data, dict) or not isinstance(data.get("messages"), list):
        return result.add(Why.NOT_A_TRANSCRIPT)
    if not all(isinstance(data.get(name), str) for name in chain.HEADING):
        return result.add(Why.NOT_A_TRANSCRIPT)
    closed_at = data.get("closed_at")
    result.chat_id, result.opened_at = data["chat_id"], data["opened_at"]
    result.closed_at = closed_at if isinstance(closed_at, str) else ""
    result.entries = len(data["messages"])
    proof = data.get("chain")
    if proof is None:
        return result.add(Why.NO_CHAIN)
    if not isinstance(proof, dict):
        return result.add(Why.NOT_A_TRANSCRIPT)
    if proof.get("version") != chain.VERSION:
        return result.add(Why.NEWER_FORMAT if isinstance(proof.get("version"), int) else Why.NOT_A_TRANSCRIPT)
    if not set(data) <= _TOP or not set(proof) <= _CHAIN:
        result.add(Why.HEADING_ALTERED)
    head, last = _entries(data, result)
    _end(data, proof, head, last, keys, result)
    return None


def _entries(data: dict[str, Any], result: Result) -> tuple[str, int]:
    """Follow the chain. Return the hash of the last entry, and the number of the entry that should be next."""
    head, wanted, follows = chain.first_hash(data), 1, True
    links = _links(data["chain"].get("entries"))
    for place, message in enumerate(data["messages"], 1):
        message = _joined(message, links)
        digest = _digest(message)
        if digest is None:
            seq = message.get("seq") if isinstance(message, dict) else None
            result.add(Why.ENTRY_ALTERED, seq if type(seq) is int and 0 < seq < 2**53 else place)
            wanted, follows = wanted + 1, False
            continue
        seq = message["seq"]
        if seq > wanted:
            result.add(Why.ENTRIES_MISSING, wanted, seq - 1)
            follows = False
        elif seq < wanted:
            result.add(Why.ENTRY_MOVED, seq)
            follows = False
        if follows and message["prev"] != head:
            if seq == 1:
                result.add(Why.HEADING_ALTERED)
            else:
                result.add(Why.ENTRY_ALTERED, seq - 1)
        head, wanted, follows = chain.entry_hash(message, message["prev"], digest), max(wanted, seq + 1), True
        result.removed += "removed" in message
        result.messages.append(message)
    return head, wanted


def _links(entries: Any) -> dict[int, dict[str, Any]]:
    """Return the links of the chain by the numbers of their entries. What has another form is left out."""
    found: dict[int, dict[str, Any]] = {}
    for link in entries if isinstance(entries, list) else ():
        if isinstance(link, dict) and set(link) <= _LINK and type(link.get("seq")) is int:
            found.setdefault(link["seq"], link)
    return found


def _joined(message: Any, links: Mapping[int, Mapping[str, Any]]) -> Any:
    """Return a message with its link; one with a member that nothing covers, or without a link, as it is."""
    if not isinstance(message, dict) or not set(message) <= _MESSAGE or type(message.get("seq")) is not int:
        return message
    return chain.join(message, links.get(message["seq"], {}))


def _digest(message: Any) -> str | None:
    """Return the digest of the content of a message; None for one that has a form that was never handed out."""
    if not isinstance(message, dict) or not set(message) <= {*_MESSAGE, *chain.LINK}:
        return None
    if type(message.get("seq")) is not int or not 0 < message["seq"] < 2**53:
        return None
    texts = [message.get(name) for name in ("id", "from", "at", "prev")]
    texts += [message[name] for name in ("event", "name", "text") if name in message]
    if not all(isinstance(text, str) for text in texts) or not _HEX.fullmatch(message["prev"]):
        return None
    removed, salt = message.get("removed"), message.get("salt")
    if removed is not None:
        unknown = not isinstance(removed, str) or not _HEX.fullmatch(removed) or salt is not None
        return None if unknown or any(name in message for name in chain.CONTENT) else removed
    if not isinstance(salt, str) or not _SALT.fullmatch(salt) or not _is_attachment(message.get("attachment")):
        return None
    return chain.content_digest(message, bytes.fromhex(salt))


def _is_attachment(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not set(value) <= set(chain.ATTACHMENT):
        return False
    return all(type(v) is int if name == "size" else isinstance(v, str) for name, v in value.items())


def _end(
    data: dict[str, Any], proof: dict[str, Any], head: str, wanted: int, keys: Mapping[str, bytes], result: Result
) -> None:
    """Verify the signature, and that the chain ends where the statement says."""
    statement = proof.get("statement")
    whole = not result.findings
    if statement is None:
        result.add(Why.NOT_SIGNED)
        if whole and proof.get("head") != head:
            result.add(Why.ENTRY_ALTERED, wanted - 1)
        return
    if not _is_statement(statement):
        result.add(Why.BAD_SIGNATURE)
        return
    result.signed_at, result.kid = statement["signed_at"], statement["kid"]
    _signature(statement, proof, keys, result)
    if statement["chat_id"] != data["chat_id"]:
        result.add(Why.OTHER_CHAT)
        return
    if statement["entries"] >= wanted:
        result.add(Why.ENTRIES_MISSING, wanted, statement["entries"])
    elif statement["entries"] < wanted - 1:
        result.add(Why.ENTRIES_ADDED, statement["entries"] + 1, wanted - 1)
    elif whole and statement["head"] != head:
        if proof.get("head") == head:
            result.add(Why.SOMEWHERE)
        else:
            result.add(Why.ENTRY_ALTERED, wanted - 1)
    if statement["closed_at"] != data.get("closed_at") or proof.get("head") != statement["head"]:
        result.add(Why.HEADING_ALTERED)
    if proof.get("code") not in (None, chain.code_of(statement)):
        result.add(Why.HEADING_ALTERED)


def _is_statement(statement: Any) -> bool:
    if not isinstance(statement, dict) or set(statement) != set(chain.STATEMENT):
        return False
    numbers = type(statement["version"]) is int and type(statement["entries"]) is int
    return numbers and all(isinstance(statement[n], str) for n in chain.STATEMENT if n not in ("version", "entries"))


def _signature(statement: dict[str, Any], proof: dict[str, Any], keys: Mapping[str, bytes], result: Result) -> None:
    signature = chain.decoded(proof.get("signature")) or b""
    key = keys.get(statement["kid"])
    if key is None:
        own = chain.decoded(proof.get("public_key")) or b""
        if chain.kid_of(own) == statement["kid"] and ed25519.verify(own, chain.signed_bytes(statement), signature):
            result.add(Why.UNKNOWN_KEY)
            return
    if key is None or not ed25519.verify(key, chain.signed_bytes(statement), signature):
        result.add(Why.BAD_SIGNATURE)
