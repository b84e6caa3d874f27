"""Every event has words in every language, and a language that we do not have reads Dutch."""

import pytest

from services.common.config.departments import LOCALES
from services.common.events.types import Cause, CloseReason, Detail
from services.common.texts import supported_language
from services.transcripts.rendering.texts import event_text


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("cause", [c for c in Cause if c is not Cause.CLOSED])
def test_each_event(locale: str, cause: Cause) -> None:
    text = event_text(locale, cause, "An")
    assert text.strip()
    assert "{" not in text
    assert ("An" in text) is (cause is Cause.ASSIGNED)


@pytest.mark.parametrize("locale", LOCALES)
def test_each_end_has_words_of_its_own(locale: str) -> None:
    texts = {event_text(locale, Cause.CLOSED, None, reason) for reason in CloseReason}
    assert len(texts) == len(CloseReason)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    ("cause", "detail"),
    [
        (Cause.AGENT_LEFT, Detail.NOT_ACCEPTED),
        (Cause.TRANSFERRED, Detail.OVERFLOW),
        (Cause.TRANSFERRED, Detail.REFUSED),
        (Cause.TRANSFERRED, Detail.UNANSWERED),
    ],
)
def test_what_has_more_behind_it_is_said_in_true_words(locale: str, cause: Cause, detail: Detail) -> None:
    assert event_text(locale, cause, detail=detail) != event_text(locale, cause)


@pytest.mark.parametrize("detail", Detail)
def test_the_reason_of_an_earlier_change_leaves_the_words_of_a_later_one_alone(detail: Detail) -> None:
    assert event_text("nl", Cause.ASSIGNED, "An", detail=detail) == "U bent nu verbonden met An."
    assert event_text("nl", Cause.CLOSED, detail=detail) == event_text("nl", Cause.CLOSED)


def test_the_languages_differ() -> None:
    assert len({event_text(locale, Cause.OPENED) for locale in LOCALES}) == len(LOCALES)


def test_an_agent_without_a_name_has_a_general_name() -> None:
    assert event_text("nl", Cause.ASSIGNED) == "U bent nu verbonden met een medewerker."


def test_a_language_that_we_do_not_have() -> None:
    assert supported_language("pt") == "nl"
    assert event_text("pt", Cause.OPENED) == event_text("nl", Cause.OPENED)
