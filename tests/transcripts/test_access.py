"""Mirrors services/transcripts/access.py."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.tokens import Actor
from services.transcripts.access import Chat, refusal, uploader_of
from tests.transcripts.conftest import OPENED_AT

LIFE = timedelta(hours=48)
CHAT = Chat("c1", "algemeen", "nl", OPENED_AT, participants=frozenset({"an"}), closed_at=OPENED_AT)
CITIZEN = Actor(party="citizen", id="c1")
AN, BERT = Actor(party="agent", id="an"), Actor(party="agent", id="bert")


@pytest.mark.parametrize(
    ("actor", "chat", "hours", "answer"),
    [
        (CITIZEN, CHAT, 47, None),
        (CITIZEN, CHAT, 49, (401, "unauthenticated")),
        (CITIZEN, replace(CHAT, closed_at=None), 10_000, None),
        (CITIZEN, None, 0, (404, "no_such_chat")),
        (Actor(party="citizen", id="c2"), CHAT, 0, (403, "forbidden")),
        (Actor(party="citizen", id="c2"), None, 0, (403, "forbidden")),
        (AN, CHAT, 10_000, None),
        (BERT, CHAT, 0, (403, "forbidden")),
        (BERT, None, 0, (404, "no_such_chat")),
        (Actor(party="agent", id="bert", supervisor=True), CHAT, 10_000, None),
        (Actor(party="citizen", id="an"), CHAT, 0, (403, "forbidden")),
        (Actor(party="other", id="an"), CHAT, 0, (403, "forbidden")),
        (None, CHAT, 0, (401, "unauthenticated")),
    ],
)
def test_who_may(actor: Actor | None, chat: Chat | None, hours: int, answer: tuple[int, str] | None):
    refused = refusal(actor, "c1", chat, OPENED_AT + timedelta(hours=hours), LIFE)
    assert (refused and (refused.status, refused.code)) == answer


def test_as_whom_an_upload_counts():
    assert uploader_of(CITIZEN) == "citizen"
    assert uploader_of(AN) == "an"
