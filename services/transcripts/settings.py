"""Settings of the transcript service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from services.common.config.settings import Settings as Shared
from services.common.evidence.chain import decoded
from services.transcripts.attachments.kinds import FINDINGS, Finding
from services.transcripts.outbox.addresses import Network, parse_networks


class Settings(Shared):
    """Settings that only transcripts has. Sizes are in bytes, times in seconds."""

    max_messages: int = Field(5_000, ge=10, description="entries of one chat; what participants say beyond is refused")
    max_text: int = Field(
        4_000_000,
        ge=100_000,
        description="bytes (UTF-8) of what is said in one chat; what participants say beyond is refused",
    )
    attachment_refuses: str = Field(
        ",".join(Finding),
        description="what a document may not hold, separated by commas; the default is all that is known: "
        + "; ".join(f"`{f}` ({what})" for f, what in FINDINGS.items()),
    )
    upload_idle: float = Field(20.0, gt=0, description="longest pause within an upload")
    upload_rate: float = Field(8 * 1024.0, gt=0, description="bytes a second that an upload brings at least")
    upload_time: float = Field(300.0, gt=0, description="longest time for one upload")
    unposted_life: float = Field(24 * 3600.0, gt=0, description="an uploaded file that nobody posts lives so long")
    former_access: int = Field(
        30 * 24 * 3600,
        gt=0,
        description="an agent who took part reads a conversation for so long after they left it or it ended",
    )
    claim_life: float = Field(
        24 * 3600.0,
        gt=0,
        description="an agent who claims a left question has it for so long, unless it is done before",
    )
    download_code_life: float = Field(
        7 * 24 * 3600.0,
        gt=0,
        description="a code with which a citizen downloads a conversation on another device is valid for so long",
    )
    silence_limit: float = Field(
        900.0,
        ge=0,
        le=7 * 24 * 3600.0,
        description="the chat of a citizen who is inactive for so long is closed; 0: never",
    )
    unusual_reading: int = Field(
        50,
        ge=0,
        description="an agent who reads more chats within an hour is reported (`unusual_reading`); 0: none is",
    )
    agent_figures: Literal["on", "off"] = Field(
        "off",
        description="`on`: reports have figures of each agent, and statistics have the agent's id until the "
        "conversation is erased; agree on it with the employees first. `off`: no figures, and stored ids are removed",
    )
    clamd_url: str = Field(
        "",
        description="ClamAV's daemon, which scans every file at its upload, and before a download when its signatures "
        "are newer: `tcp://host:port` or `unix:/path`; none: no scan",
        pattern=r"^$|^tcp://[^/\s:]+:\d+$|^unix:/.+$",
    )
    clamd_timeout: float = Field(
        20.0, gt=0, description="for one scan; then the file is refused, and may be sent again"
    )
    transcript_key: str = Field(
        "",
        description="private key that signs the ends of chats: 32 random bytes in hexadecimal, `openssl rand -hex 32`; "
        "none: transcripts are not signed",
        pattern="^([0-9a-fA-F]{64})?$",
    )
    transcript_keys_former: str = Field(
        "",
        description="public keys of former private keys, separated by commas, as `/api/transcript-keys` names them "
        "(`x`): they stay published",
    )
    integrations_file: Path | None = Field(
        None,
        description="the systems that are notified of chats and the clients that may read (docs/integration.md); none: "
        "there are none",
    )
    outbox_networks: str = Field(
        "",
        description="networks at which targets may be although they are not public, separated by commas: "
        "`10.20.0.0/16`; with `http://` of this machine: `127.0.0.0/8`",
    )
    outbox_ca_file: Path | None = Field(
        None, description="certificates (PEM) by which targets are verified, beside those of the system"
    )
    outbox_timeout: float = Field(15.0, gt=0, le=60, description="for one attempt of a delivery")
    outbox_patience: float = Field(
        3 * 24 * 3600.0, gt=0, le=30 * 24 * 3600.0, description="a delivery is tried for so long, then a dead letter"
    )
    pdf_fonts: Path | None = Field(None, description="a folder with further fonts for the PDF, such as Noto Sans CJK")

    @field_validator("attachment_refuses")
    @classmethod
    def _known_findings(cls, value: str) -> str:
        unknown = [f for f in _listed(value) if f not in set(Finding)]
        if unknown:
            raise ValueError(f"knows {', '.join(Finding)}, and nothing else")
        return value

    @field_validator("transcript_keys_former")
    @classmethod
    def _public_keys(cls, value: str) -> str:
        if any(len(decoded(key) or b"") != 32 for key in _listed(value)):
            raise ValueError("is not a list of public keys, each of 43 characters (the member `x` of a published key)")
        return value

    @property
    def private_key(self) -> bytes | None:
        """The parsed value of `transcript_key`."""
        return bytes.fromhex(self.transcript_key) or None

    @property
    def former_keys(self) -> list[bytes]:
        """The parsed value of `transcript_keys_former`."""
        return [decoded(key) or b"" for key in _listed(self.transcript_keys_former)]

    @field_validator("outbox_networks")
    @classmethod
    def _known_networks(cls, value: str) -> str:
        try:
            parse_networks(value)
        except ValueError:
            raise ValueError("is not a list of networks such as 10.20.0.0/16") from None
        return value

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """The parsed value of `outbox_networks`."""
        return parse_networks(self.outbox_networks)

    @property
    def refused_findings(self) -> frozenset[Finding]:
        """The parsed value of `attachment_refuses`."""
        return frozenset(Finding(f) for f in _listed(self.attachment_refuses))


def _listed(value: str) -> list[str]:
    return [part for part in (p.strip() for p in value.split(",")) if part]
