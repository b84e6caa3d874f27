"""Texts of transcripts and of system entries in four languages, from `translations/`. No I/O after the import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from services.common.events.types import Cause, CloseReason, Detail, Identification
from services.common.texts import Catalogue

TEXTS = Catalogue(Path(__file__).parent / "translations")


def event_key(reader: Literal["to_citizen", "to_office"], event: Cause, more: str | None) -> str:
    """Return the key of an event's text.

    It is the key of the event with its reason or detail (`more`) when there is such a text, else that of the event. A
    detail of a later release has no text.
    """
    key = f"{reader}.{event}.{more}"
    return key if TEXTS.has(key) else f"{reader}.{event}"


def event_text(
    locale: str,
    event: Cause,
    name: str | None = None,
    reason: CloseReason | None = None,
    detail: Detail | None = None,
) -> str:
    """Return the text of this event for the citizen, in the chat's language."""
    more = (reason or CloseReason.INACTIVE) if event is Cause.CLOSED else detail
    name = name or TEXTS.text(locale, "to_citizen.unnamed_agent")
    return TEXTS.text(locale, event_key("to_citizen", event, more), name=name)


def identification_text(
    reader: Literal["to_citizen", "to_office"], locale: str, step: Identification, agent: str | None
) -> str:
    """Return the text of a step in the identification of the citizen.

    Args:
        reader: Whom it is for.
        locale: The language.
        step: The step.
        agent: The name of the agent who asks.
    """
    agent = agent or TEXTS.text(locale, f"{reader}.unnamed_agent")
    level = TEXTS.text(locale, f"level.{step.level}") if step.level else ""
    key = f"{reader}.identification.{step.step}"
    return TEXTS.text(locale, key, agent=agent, name=step.name or "", issuer=step.issuer or "", level=level)
