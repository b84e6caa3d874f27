"""`/.well-known/security.txt` (RFC 9116): whom a finder tells, until when, and nothing without a contact."""

import datetime as dt

import aiohttp
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from services.common.http import problems
from services.gateway.http.security import security_txt
from services.gateway.settings import Settings
from tests.gateway.standing import SECRET, listening

CONTACTS = "mailto:security@gent.example, https://gent.example/lek"
EXPIRES = "2027-01-31T23:00:00Z"
BEFORE = dt.datetime(2027, 1, 31, 22, 59, tzinfo=dt.UTC)


def settings(**more: str) -> Settings:
    return Settings.model_validate({"token_secret": SECRET, **more})


async def answered(more: dict[str, str], now: dt.datetime = BEFORE) -> tuple[int, str, str]:
    app = FastAPI()
    problems.install(app)
    security_txt.install(app, settings(**more), lambda: now)
    async with (
        listening(app, ws="none") as (_, address),
        aiohttp.ClientSession(f"http://{address}") as session,
        session.get("/.well-known/security.txt") as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_it_names_the_contacts_until_they_expire() -> None:
    given = {"security_contact": CONTACTS, "security_expires": EXPIRES, "public_origins": "https://chat.gent.example"}
    status, kind, text = await answered(given)
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert text == (
        "Contact: mailto:security@gent.example\nContact: https://gent.example/lek\nExpires: 2027-01-31T23:00:00Z\n"
        "Preferred-Languages: nl, fr, de, en\nCanonical: https://chat.gent.example/.well-known/security.txt\n"
    )
    status, kind, text = await answered(given, BEFORE + dt.timedelta(minutes=1))
    assert (status, kind) == (404, "application/problem+json")
    assert '"code":"no_security_contact"' in text.replace(" ", "")


async def test_without_a_contact_it_is_not_there() -> None:
    status, _, text = await answered({})
    assert status == 404
    assert "no_security_contact" in text


@pytest.mark.parametrize(
    "given",
    [
        {"security_contact": CONTACTS},
        {"security_expires": EXPIRES},
        {"security_contact": "security@gent.example", "security_expires": EXPIRES},
        {"security_contact": "http://gent.example", "security_expires": EXPIRES},
        {"security_contact": "mailto:a@b.example\nExpires: x", "security_expires": EXPIRES},
        {"security_contact": CONTACTS, "security_expires": "2027-01-31"},
        {"security_contact": CONTACTS, "security_expires": "soon"},
    ],
)
def test_what_would_be_no_valid_file_is_refused_at_the_start(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        settings(**given)
