"""RULES of a transcript for the office: system entries in the agents' words, the citizen by name. No I/O.

What the citizen was shown stays as it is. Only downloads for agents and supervisors are reworded.
"""

from __future__ import annotations

from dataclasses import replace

from services.common.config.departments import Departments
from services.common.events.types import Cause, CloseReason, Entry, Party
from services.transcripts.rendering.texts import TEXTS, event_key, identification_text
from services.transcripts.rendering.transcript import Transcript


class OfficeEntry(Entry):
    """An entry as agents and supervisors read it. `label` replaces the name of the party."""

    label: str | None = None


def for_office(entry: Entry, locale: str) -> Entry:
    """Return the entry in the office's words, in this language. Messages stay as they are."""
    if entry.party is Party.CITIZEN:
        return OfficeEntry.model_construct(**dict(entry), label=TEXTS.text(locale, "to_office.citizen"))
    step = entry.identification
    if step is not None and entry.text:  # without a text it was erased
        text = identification_text("to_office", locale, step, entry.about.agent if entry.about else None)
        return entry.model_copy(update={"text": text})
    if entry.event is None:
        return entry
    return entry.model_copy(update={"text": event_text(entry, locale)})


def of_office(transcript: Transcript, locale: str, departments: Departments) -> Transcript:
    """Return the conversation as agents and supervisors read it, in this language."""
    department = departments.get(transcript.department)
    return replace(
        transcript,
        locale=locale,
        department_name=department.names.in_(locale) if department else transcript.department,
        entries=[for_office(entry, locale) for entry in transcript.entries],
    )


def event_text(entry: Entry, locale: str) -> str:
    """Return what has happened, in words for agents and supervisors.

    Conversations from earlier releases name no agent.
    """
    about, event = entry.about, entry.event or Cause.OPENED
    more = about.detail if about else None
    if event is Cause.CLOSED:
        more = entry.reason or CloseReason.INACTIVE
    name = (about.agent if about else None) or TEXTS.text(locale, "to_office.unnamed_agent")
    return TEXTS.text(locale, event_key("to_office", event, more), name=name)
