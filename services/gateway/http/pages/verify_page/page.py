"""RULES of the page that verifies transcripts: its forms and its answers. It needs no script. No I/O after import."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from services.common.config.departments import Departments
from services.common.internal_api.transcripts import SignedTranscript, VerifiedFile, VerifiedFinding, VerifiedMessage
from services.common.texts import Catalogue, supported_language
from services.gateway.http.pages.citizen_page import common_values, load_page

PATH = "/verify"
TEXTS = Catalogue(Path(__file__).parent / "translations")
PARTIES = ("citizen", "agent", "system")
DETAILS = ("chat", "department", "opened", "closed", "entries", "removed", "signed", "key")
PROBLEMS = ("unknown_code", "rate_limited", "unavailable", "too_large", "too_slow", "timeout", "invalid")
_TEMPLATE = load_page(Path(__file__).parent)


def render(
    locale: str,
    zone: ZoneInfo,
    departments: Departments,
    answer: VerifiedFile | SignedTranscript | None = None,
    problem: str = "",
    typed: str = "",
    seconds: int = 0,
) -> str:
    """Return the whole page.

    Args:
        locale: The language; one that is not offered becomes Dutch.
        zone: The time zone of the times that are shown.
        departments: All departments, for their names.
        answer: What was found; None: nothing was verified.
        problem: The code of the problem with what was sent; empty: there is none.
        typed: The code that was typed.
        seconds: How long to wait before the next attempt.
    """
    locale = supported_language(locale)
    known = problem if not problem or TEXTS.has(f"problem.{problem}") else "unavailable"
    return _TEMPLATE.render(
        **common_values(TEXTS, locale, PATH),
        problem=TEXTS.text(locale, f"problem.{known}", seconds=seconds) if known else "",
        about_code=problem == "unknown_code",
        typed=typed,
        result=_result(answer, locale, zone, departments) if answer else None,
    )


def _result(
    answer: VerifiedFile | SignedTranscript, locale: str, zone: ZoneInfo, departments: Departments
) -> dict[str, Any]:
    """Return what the page shows of an answer."""

    def at(time: str) -> str:
        return local(time, zone)

    if isinstance(answer, SignedTranscript):
        department = departments.get(answer.department)
        details = [
            ("chat", answer.chat_id),
            ("department", department.names.in_(locale) if department else answer.department),
            ("opened", at(answer.opened_at.isoformat())),
            ("closed", at(answer.closed_at)),
            ("entries", str(answer.entries)),
            ("signed", at(answer.signed_at)),
            ("key", answer.kid),
        ]
        shown = {"findings": [], "details": _details(details, locale), "messages": [], "more": False, "pdf": False}
        return {"verdict": "code", "good": True, **shown}
    details = [
        ("chat", answer.chat_id),
        ("opened", at(answer.opened_at)),
        ("closed", at(answer.closed_at)),
        ("entries", str(answer.entries) if answer.chat_id else ""),
        ("removed", str(answer.removed) if answer.removed else ""),
        ("signed", at(answer.signed_at)),
        ("key", answer.kid),
    ]
    return {
        "verdict": answer.verdict,
        "good": answer.verdict == "intact",
        "findings": list(_findings(answer.findings, locale)),
        "details": _details(details, locale),
        "messages": [_message(message, locale, at(message.at)) for message in answer.messages],
        "more": answer.entries > len(answer.messages) > 0,
        "pdf": answer.pdf and answer.verdict != "unreadable",
    }


def _details(details: Iterable[tuple[str, str]], locale: str) -> list[tuple[str, str]]:
    return [(TEXTS.text(locale, f"detail.{name}"), value) for name, value in details if value]


def _findings(findings: Iterable[VerifiedFinding], locale: str) -> Iterable[str]:
    for finding in findings:
        key = f"why.{finding.why}"
        several = f"{key}.several"
        if finding.last > finding.first and TEXTS.has(several):
            key = several
        if TEXTS.has(key):
            yield TEXTS.text(locale, key, first=finding.first, last=finding.last)


def _message(message: VerifiedMessage, locale: str, at: str) -> dict[str, Any]:
    party = message.party if message.party in PARTIES else "system"
    sender = TEXTS.text(locale, f"party.{party}")
    return {
        "seq": message.seq,
        "sender": f"{message.name} ({sender})" if message.name and party != "system" else sender,
        "at": at,
        "text": TEXTS.text(locale, "file", name=message.file) if message.file else message.text or "",
        "removed": message.removed,
    }


def local(time: str, zone: ZoneInfo) -> str:
    """Return a time of a transcript in the time zone, with its offset; as it is when it is no time."""
    try:
        moment = datetime.fromisoformat(time)
        return moment.astimezone(zone).isoformat(sep=" ", timespec="seconds").replace("+", " +")
    except (ValueError, OverflowError):
        return time[:100]
