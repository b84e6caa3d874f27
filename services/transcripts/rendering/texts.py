"""Texts of system entries in four languages, and the words around a transcript. No I/O."""

from __future__ import annotations

from services.common.config.departments import LOCALES
from services.common.events.types import Cause, CloseReason, Detail

_EVENTS: dict[Cause, dict[str, str]] = {
    Cause.OPENED: {
        "nl": "Welkom bij de chat. Een medewerker helpt u zo dadelijk verder.",
        "fr": "Bienvenue sur le chat. Un collaborateur va vous aider dans un instant.",
        "de": "Willkommen im Chat. Gleich hilft Ihnen eine Mitarbeiterin oder ein Mitarbeiter weiter.",
        "en": "Welcome to the chat. A member of staff will help you shortly.",
    },
    Cause.ASSIGNED: {
        "nl": "U bent nu verbonden met {name}.",
        "fr": "Vous êtes maintenant en contact avec {name}.",
        "de": "Sie sind jetzt mit {name} verbunden.",
        "en": "You are now connected with {name}.",
    },
    Cause.AGENT_LEFT: {
        "nl": "De verbinding met de medewerker is verbroken. U staat vooraan in de wachtrij.",
        "fr": "La connexion avec le collaborateur est interrompue. Vous êtes en tête de la file d'attente.",
        "de": "Die Verbindung zum Mitarbeiter ist unterbrochen. Sie stehen ganz vorne in der Warteschlange.",
        "en": "The connection with the member of staff was lost. You are at the front of the queue.",
    },
    Cause.TRANSFERRED: {
        "nl": "Uw gesprek wordt doorgegeven aan een andere medewerker.",
        "fr": "Votre conversation est transférée à un autre collaborateur.",
        "de": "Ihr Gespräch wird an eine andere Person weitergeleitet.",
        "en": "Your conversation is being passed on to another member of staff.",
    },
}
_BACK = {
    "nl": "Uw gesprek kon niet worden doorgegeven. Het gaat terug naar het team dat u eerst hielp.",
    "fr": "Votre conversation n'a pas pu être transférée. Elle revient à l'équipe qui vous aidait auparavant.",
    "de": "Ihr Gespräch konnte nicht weitergeleitet werden. Es geht zurück an das Team, das Ihnen zuvor geholfen hat.",
    "en": "Your conversation could not be passed on. It is going back to the team that was helping you before.",
}
_DETAILS: dict[tuple[Cause, Detail | None], dict[str, str]] = {
    (Cause.AGENT_LEFT, Detail.NOT_ACCEPTED): {
        "nl": "De medewerker kon uw gesprek niet aannemen. U staat vooraan in de wachtrij.",
        "fr": "Le collaborateur n'a pas pu prendre votre conversation. Vous êtes en tête de la file d'attente.",
        "de": "Ihr Gespräch konnte gerade nicht angenommen werden. Sie stehen ganz vorne in der Warteschlange.",
        "en": "The member of staff could not take your conversation. You are at the front of the queue.",
    },
    (Cause.TRANSFERRED, Detail.OVERFLOW): {
        "nl": "Uw gesprek gaat naar een andere dienst, waar sneller iemand vrij is.",
        "fr": "Votre conversation est transmise à un autre service, où quelqu'un est disponible plus rapidement.",
        "de": "Ihr Gespräch geht an eine andere Dienststelle, bei der schneller jemand frei ist.",
        "en": "Your conversation is going to another department, where someone is available sooner.",
    },
    (Cause.TRANSFERRED, Detail.REFUSED): _BACK,
    (Cause.TRANSFERRED, Detail.UNANSWERED): _BACK,
}
"""Texts for a cause with a detail. The event of the entry is still that of the cause."""
_CLOSED: dict[CloseReason, dict[str, str]] = {
    CloseReason.CITIZEN: {
        "nl": "U hebt het gesprek beëindigd.",
        "fr": "Vous avez mis fin à la conversation.",
        "de": "Sie haben das Gespräch beendet.",
        "en": "You ended the conversation.",
    },
    CloseReason.AGENT: {
        "nl": "De medewerker heeft het gesprek beëindigd.",
        "fr": "Le collaborateur a mis fin à la conversation.",
        "de": "Die Mitarbeiterin oder der Mitarbeiter hat das Gespräch beendet.",
        "en": "The member of staff ended the conversation.",
    },
    CloseReason.INACTIVE: {
        "nl": "Het gesprek is beëindigd omdat er een tijd geen activiteit was.",
        "fr": "La conversation a pris fin car il n'y avait plus d'activité.",
        "de": "Das Gespräch wurde beendet, weil es eine Zeit lang keine Aktivität gab.",
        "en": "The conversation ended because there was no activity for a while.",
    },
    CloseReason.NO_AGENT: {
        "nl": "Er is op dit moment geen medewerker vrij. Het gesprek is beëindigd.",
        "fr": "Aucun collaborateur n'est disponible pour le moment. La conversation est terminée.",
        "de": "Im Moment ist niemand verfügbar. Das Gespräch wurde beendet.",
        "en": "No member of staff is available at the moment. The conversation has ended.",
    },
}
_STAFF = {"nl": "een medewerker", "fr": "un collaborateur", "de": "unserem Team", "en": "a member of staff"}

WORDS: dict[str, dict[str, str]] = {
    "title": {"nl": "Chatgesprek", "fr": "Conversation par chat", "de": "Chatgespräch", "en": "Chat conversation"},
    "department": {"nl": "Dienst", "fr": "Service", "de": "Dienststelle", "en": "Department"},
    "chat": {
        "nl": "Nummer van het gesprek",
        "fr": "Numéro de la conversation",
        "de": "Nummer des Gesprächs",
        "en": "Conversation number",
    },
    "opened": {"nl": "Begonnen", "fr": "Début", "de": "Begonnen", "en": "Started"},
    "closed": {"nl": "Beëindigd", "fr": "Fin", "de": "Beendet", "en": "Ended"},
    "still_open": {
        "nl": "Het gesprek was nog bezig toen u dit bestand ophaalde.",
        "fr": "La conversation était encore en cours lors du téléchargement de ce fichier.",
        "de": "Das Gespräch lief noch, als Sie diese Datei heruntergeladen haben.",
        "en": "The conversation was still going on when you downloaded this file.",
    },
    "messages": {"nl": "Berichten", "fr": "Messages", "de": "Nachrichten", "en": "Messages"},
    "attachment": {"nl": "Bijlage", "fr": "Pièce jointe", "de": "Anhang", "en": "Attachment"},
    "citizen": {"nl": "U", "fr": "Vous", "de": "Sie", "en": "You"},
    "agent": {"nl": "Medewerker", "fr": "Collaborateur", "de": "Mitarbeiter", "en": "Member of staff"},
    "system": {"nl": "Chat", "fr": "Chat", "de": "Chat", "en": "Chat"},
    "times": {
        "nl": "Alle tijden zijn Belgische tijd, met het verschil met UTC.",
        "fr": "Toutes les heures sont en heure belge, avec le décalage par rapport à l'UTC.",
        "de": "Alle Zeiten sind belgische Zeit mit dem Abstand zu UTC.",
        "en": "All times are Belgian time, with the offset from UTC.",
    },
    "data": {
        "nl": "Het gesprek als gegevens (JSON)",
        "fr": "La conversation sous forme de données (JSON)",
        "de": "Das Gespräch als Daten (JSON)",
        "en": "The conversation as data (JSON)",
    },
    "one_unprintable": {
        "nl": "1 teken niet afdrukbaar",
        "fr": "1 caractère non imprimable",
        "de": "1 Zeichen nicht druckbar",
        "en": "1 character cannot be printed",
    },
    "some_unprintable": {
        "nl": "{n} tekens niet afdrukbaar",
        "fr": "{n} caractères non imprimables",
        "de": "{n} Zeichen nicht druckbar",
        "en": "{n} characters cannot be printed",
    },
    "unprintable": {
        "nl": "Sommige tekens konden niet worden afgedrukt. "
        "De download als webpagina (HTML) of tekst (TXT) heeft ze wel.",
        "fr": "Certains caractères n'ont pas pu être imprimés. Le téléchargement en page web (HTML) ou en texte (TXT) "
        "les contient.",
        "de": "Einige Zeichen konnten nicht gedruckt werden. "
        "Der Download als Webseite (HTML) oder Text (TXT) enthält sie.",
        "en": "Some characters could not be printed. The download as a web page (HTML) or text (TXT) has them.",
    },
    "page": {
        "nl": "Bladzijde {n} van {of}",
        "fr": "Page {n} sur {of}",
        "de": "Seite {n} von {of}",
        "en": "Page {n} of {of}",
    },
}


def locale_of(locale: str) -> str:
    """Return one of the four languages; Dutch for any other."""
    return locale if locale in LOCALES else "nl"


def event_text(
    locale: str,
    event: Cause,
    name: str | None = None,
    reason: CloseReason | None = None,
    detail: Detail | None = None,
) -> str:
    """Return the text of this event for the citizen, in the chat's language."""
    language = locale_of(locale)
    if event is Cause.CLOSED:
        return _CLOSED[reason or CloseReason.INACTIVE][language]
    return _DETAILS.get((event, detail), _EVENTS[event])[language].replace("{name}", name or _STAFF[language])


def word(locale: str, key: str) -> str:
    """Return a word or sentence of the transcript itself, in the chat's language."""
    return WORDS[key][locale_of(locale)]
