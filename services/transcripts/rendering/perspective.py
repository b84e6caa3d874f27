"""RULES of a transcript for the office: system entries in the agents' words, the citizen by name. No I/O.

What the citizen was shown stays as it is. Only downloads for agents and supervisors are reworded.
"""

from __future__ import annotations

from dataclasses import replace

from services.common.config.departments import LOCALES, Departments
from services.common.events.types import Cause, CloseReason, Entry, Party
from services.transcripts.rendering.formats import Transcript
from services.transcripts.rendering.texts import locale_of

_CITIZEN = {"nl": "Burger", "fr": "Citoyen", "de": "Bürgerin oder Bürger", "en": "Citizen"}
_SOMEBODY = {"nl": "Een medewerker", "fr": "Un collaborateur", "de": "Jemand vom Team", "en": "A member of staff"}
_WORDS: dict[str, dict[str, str]] = {
    "opened": {
        "nl": "De burger heeft het gesprek gestart.",
        "fr": "Le citoyen a commencé la conversation.",
        "de": "Die Bürgerin oder der Bürger hat das Gespräch begonnen.",
        "en": "The citizen started the conversation.",
    },
    "assigned": {
        "nl": "{name} heeft het gesprek aangenomen.",
        "fr": "{name} a accepté la conversation.",
        "de": "{name} hat das Gespräch angenommen.",
        "en": "{name} accepted the conversation.",
    },
    "agent_left": {
        "nl": "{name} is niet meer verbonden. De burger staat vooraan in de wachtrij.",
        "fr": "{name} n'est plus en ligne. Le citoyen est en tête de la file d'attente.",
        "de": "{name} ist nicht mehr verbunden. Die Bürgerin oder der Bürger steht ganz vorne in der Warteschlange.",
        "en": "{name} is no longer connected. The citizen is at the front of the queue.",
    },
    "agent_left/not_accepted": {
        "nl": "{name} heeft het gesprek niet aangenomen. De burger staat vooraan in de wachtrij.",
        "fr": "{name} n'a pas accepté la conversation. Le citoyen est en tête de la file d'attente.",
        "de": "{name} hat das Gespräch nicht angenommen. Die Bürgerin oder der Bürger steht ganz vorne.",
        "en": "{name} did not accept the conversation. The citizen is at the front of the queue.",
    },
    "transferred": {
        "nl": "{name} heeft het gesprek doorgegeven.",
        "fr": "{name} a transféré la conversation.",
        "de": "{name} hat das Gespräch weitergeleitet.",
        "en": "{name} passed the conversation on.",
    },
    "transferred/refused": {
        "nl": "{name} heeft het doorgegeven gesprek geweigerd. Het gaat terug.",
        "fr": "{name} a refusé la conversation transférée. Elle revient.",
        "de": "{name} hat das weitergeleitete Gespräch abgelehnt. Es geht zurück.",
        "en": "{name} refused the conversation that was passed on. It goes back.",
    },
    "transferred/unanswered": {
        "nl": "Niemand heeft het doorgegeven gesprek aangenomen. Het gaat terug.",
        "fr": "Personne n'a accepté la conversation transférée. Elle revient.",
        "de": "Niemand hat das weitergeleitete Gespräch angenommen. Es geht zurück.",
        "en": "Nobody accepted the conversation that was passed on. It goes back.",
    },
    "transferred/overflow": {
        "nl": "Het gesprek gaat naar een andere dienst, omdat de wachttijd te lang werd.",
        "fr": "La conversation passe à un autre service, car l'attente devenait trop longue.",
        "de": "Das Gespräch geht an eine andere Dienststelle, weil die Wartezeit zu lang wurde.",
        "en": "The conversation goes to another department, because the wait became too long.",
    },
    "closed/citizen": {
        "nl": "De burger heeft het gesprek beëindigd.",
        "fr": "Le citoyen a mis fin à la conversation.",
        "de": "Die Bürgerin oder der Bürger hat das Gespräch beendet.",
        "en": "The citizen ended the conversation.",
    },
    "closed/agent": {
        "nl": "{name} heeft het gesprek beëindigd.",
        "fr": "{name} a mis fin à la conversation.",
        "de": "{name} hat das Gespräch beendet.",
        "en": "{name} ended the conversation.",
    },
    "closed/inactive": {
        "nl": "Het gesprek is beëindigd omdat de burger niets meer liet weten.",
        "fr": "La conversation a pris fin car le citoyen n'a plus donné de nouvelles.",
        "de": "Das Gespräch wurde beendet, weil von der Bürgerin oder dem Bürger nichts mehr kam.",
        "en": "The conversation ended because nothing more was heard from the citizen.",
    },
    "closed/no_agent": {
        "nl": "Er was geen medewerker vrij. Het gesprek is beëindigd.",
        "fr": "Aucun collaborateur n'était disponible. La conversation a pris fin.",
        "de": "Es war niemand verfügbar. Das Gespräch wurde beendet.",
        "en": "No member of staff was available. The conversation ended.",
    },
}


class Retold(Entry):
    """An entry as agents and supervisors read it. `label` replaces the name of the party."""

    label: str | None = None


def for_office(entry: Entry, locale: str) -> Entry:
    """Return the entry in the office's words, in this language. Messages stay as they are."""
    language = locale_of(locale)
    if entry.party is Party.CITIZEN:
        return Retold.model_construct(**dict(entry), label=_CITIZEN[language])
    if entry.event is None:
        return entry
    return entry.model_copy(update={"text": event_text(entry, language)})


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
        more = (entry.reason or CloseReason.INACTIVE).value
    words = _WORDS.get(f"{event.value}/{more}") or _WORDS[event.value]
    name = (about.agent if about else None) or _SOMEBODY[locale_of(locale)]
    return words[locale_of(locale)].replace("{name}", name)


def language_of(asked: str, accepted: str, otherwise: str) -> str:
    """Return the language of the reader.

    It is `asked`, else the best of `Accept-Language` that is offered, else the language of the conversation. The
    weights of `Accept-Language` (RFC 9110, 12.5.4) count. Parts that are not understood are ignored.
    """
    if asked in LOCALES:
        return asked
    wanted: list[tuple[float, str]] = []
    for part in accepted[:200].split(","):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.strip().lower().split("-")[0]
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        if language in LOCALES and quality > 0:
            wanted.append((quality, language))
    return max(wanted, key=lambda one: one[0])[1] if wanted else otherwise
