"""RULES of what citizens read while a supervisor has closed the intake of a department. No I/O after the import."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.common.config.departments import LOCALES, Notice, Text
from services.common.events.types import Intake
from services.common.internal_api.supervision import REASONS
from services.common.texts import Catalogue

TEXTS = Catalogue(Path(__file__).parent / "translations")


def notice_of_intake(intake: Intake) -> Notice:
    """Return the message for the button and the info sheet. A reason that is not known is shown as `other`."""
    reason = intake.reason if intake.reason in REASONS else "other"
    text = Text(**{locale: TEXTS.text(locale, f"intake.{reason}") for locale in LOCALES})
    return Notice(start=intake.until - timedelta(days=1), end=intake.until, text=text)
