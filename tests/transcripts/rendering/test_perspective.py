"""`services/transcripts/rendering/perspective.py`: a conversation as the office reads it."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from services.common.config.departments import LOCALES, Departments
from services.common.events.types import About, Cause, CloseReason, Detail, Entry, Party
from services.transcripts.rendering.perspective import event_text, for_office, of_office
from services.transcripts.rendering.text_format import as_text
from services.transcripts.rendering.texts import event_text as shown_to_citizen
from services.transcripts.rendering.transcript import Transcript
from tests.transcripts.conftest import OPENED_AT, entry

DEPARTMENTS = Departments.model_validate(
    {
        "default": "premies",
        "departments": [{"id": "premies", "names": {"nl": "Premies", "fr": "Primes", "de": "Prämien", "en": "Grants"}}],
    }
)
ZONE = ZoneInfo("Europe/Brussels")


def happened(event: Cause, reason: CloseReason | None = None, **about: object) -> Entry:
    words = shown_to_citizen("fr", event, "Lien", reason)
    one = entry("c", 2, Party.SYSTEM, words, event=event)
    return one.model_copy(update={"reason": reason, "about": About.model_validate(about) if about else None})


@pytest.mark.parametrize("locale", LOCALES)
def test_everything_that_can_happen_has_words_for_the_office_and_never_those_for_the_citizen(locale: str) -> None:
    seen = set()
    for event in Cause:
        for reason in CloseReason if event is Cause.CLOSED else [None]:
            for detail in [None] if event is Cause.CLOSED else [None, *Detail]:
                one = happened(event, reason, agent="Karel", **({"detail": detail.value} if detail else {}))
                words = event_text(one, locale)
                assert "{" not in words
                assert words != shown_to_citizen(locale, event, "Karel", reason, detail)
                seen.add(words)
    assert len(seen) >= 12, "no two events with the same words but where a detail says nothing more"


def test_the_actor_is_named_and_a_conversation_of_a_former_version_is_rendered_too() -> None:
    assert event_text(happened(Cause.CLOSED, CloseReason.CITIZEN), "nl") == "De burger heeft het gesprek beëindigd."
    assert event_text(happened(Cause.CLOSED, CloseReason.AGENT, agent="Karel"), "nl").startswith("Karel heeft")
    assert event_text(happened(Cause.ASSIGNED), "en") == "A member of staff accepted the conversation."


@pytest.mark.parametrize("locale", LOCALES)
def test_a_download_for_the_office_speaks_to_it_and_one_for_the_citizen_as_before(locale: str) -> None:
    entries = [
        entry("c", 1, Party.CITIZEN, "Ik heb een vraag").model_copy(update={"name": "Jan Peeters"}),
        happened(Cause.CLOSED, CloseReason.CITIZEN),
    ]
    theirs = Transcript("c", "premies", "Primes", "fr", OPENED_AT, None, entries)
    ours = of_office(theirs, locale, DEPARTMENTS)
    text = as_text(ours, ZONE).decode()
    assert "Vous avez mis fin" not in text
    assert "(vous)" not in text
    assert "Jan Peeters (" in text
    assert event_text(entries[1], locale) in text
    assert DEPARTMENTS.departments[0].names.in_(locale) in text
    assert "Ik heb een vraag" in text
    assert "Vous avez mis fin à la conversation." in as_text(theirs, ZONE).decode()
    assert replace(ours, entries=entries, locale="fr", department_name="Primes") == theirs


def test_what_participants_wrote_stays_as_they_wrote_it() -> None:
    said = entry("c", 1, Party.AGENT, "U hebt het gesprek beëindigd.")
    assert for_office(said, "nl") == said
