"""Mirrors services/transcripts/outbox/contacts.py, on the real database and a register over real HTTP."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.common.config.departments import Departments, load_departments
from services.common.config.integrations import ContactRegister
from services.common.events.types import Cause, Party
from services.common.mongo.client import Database
from services.transcripts.log.store import Store
from services.transcripts.log.writer import now_ms
from services.transcripts.outbox.addresses import parse_networks
from services.transcripts.outbox.contacts import (
    MOST_ANSWER_TEXT,
    MOST_CONTENT,
    REGISTER,
    ContactSender,
    shortened,
)
from services.transcripts.outbox.http import CheckedClient, tls_context
from services.transcripts.outbox.rules import Outcome, Verdict
from services.transcripts.outbox.store import Delivery
from services.transcripts.settings import Settings
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import OPENED_AT, entry, new_id, opened_event, seal_entry
from tests.transcripts.outbox.open_klant import TOKEN, Register, registering
from tests.transcripts.outbox.receiver import LOOPBACK

DELIVERED = Outcome(Verdict.DELIVERED)


def failed(cause: str) -> Outcome:
    return Outcome(Verdict.FAILED, cause)


@pytest.fixture
async def register() -> AsyncIterator[Register]:
    async with registering() as made:
        yield made
        assert made.wrong == [], "what was sent is not of the specification"


@pytest.fixture
def departments(make_settings: Callable[..., Settings]) -> Departments:
    return load_departments(make_settings().departments_file)


MakeContacts = Callable[..., ContactSender]


@pytest.fixture
async def contacts(register: Register, store: Store, departments: Departments) -> AsyncIterator[MakeContacts]:
    """Makes senders to the register."""
    clients: list[CheckedClient] = []

    def make(networks: str = LOOPBACK, token: str = TOKEN, **more: Any) -> ContactSender:
        clients.append(CheckedClient(parse_networks(networks), tls_context(None), PATIENCE))
        target = ContactRegister.model_validate({"id": "klanten", "url": register.url, "token": "env:X", **more})
        return ContactSender(target, token, clients[-1], store, departments, now_ms)

    yield make
    for client in clients:
        await client.close()


def closed(chat_id: str, department: str = "algemeen") -> list[Delivery]:
    data = {"chat_id": chat_id, "department": department, "reason": "agent"}
    return [Delivery("klanten:x", "claim", new_id(), "chat.closed", OPENED_AT, data, 1, OPENED_AT, chat_id, department)]


async def ended(store: Store, *said: tuple[Party, str], accepted: bool = True, locale: str = "nl") -> str:
    """A chat that has ended, in which this was said."""
    chat = new_id()
    await store.open_chats([opened_event(chat, locale=locale)])
    log = [entry(chat, 1, Party.SYSTEM, "Verbonden", id="accepted", event=Cause.ASSIGNED)] if accepted else []
    log += [entry(chat, seq, party, text) for seq, (party, text) in enumerate(said, len(log) + 1)]
    seal = seal_entry(chat, len(log) + 1)
    await store.insert([*log, seal])
    await store.close_chats([seal])
    return chat


SAID = ((Party.CITIZEN, "Waar is mijn premie?"), (Party.AGENT, "Onderweg."), (Party.CITIZEN, "Dank u"))


async def test_a_chat_is_registered_without_what_was_said(
    register: Register, store: Store, contacts: MakeContacts
) -> None:
    chat = await ended(store, *SAID)
    assert await contacts().send(closed(chat)) == DELIVERED
    (made,) = register.made
    assert made["klantcontact"] == {
        "kanaal": "chat",
        "onderwerp": "Chat: Algemene vragen",
        "taal": "nld",
        "vertrouwelijk": True,
        "indicatieContactGelukt": True,
        "plaatsgevondenOp": "2026-11-22T15:00:00.123Z",
    }
    assert made["onderwerpobject"]["onderwerpobjectidentificator"] == {
        "objectId": chat,
        "codeObjecttype": "chat",
        "codeRegister": "eloket-chat",
        "codeSoortObjectId": "uuid",
    }
    assert not any(word in str(register.made) for word in ("premie", "Peeters", "Bert"))


async def test_a_chat_is_registered_for_the_department_in_which_it_ended(
    register: Register, store: Store, contacts: MakeContacts
) -> None:
    chat = await ended(store, *SAID)
    assert await contacts().send(closed(chat, "premies")) == DELIVERED
    assert register.made[0]["klantcontact"]["onderwerp"] == "Chat: Premies en toelagen"


async def test_by_choice_the_register_has_what_was_said(
    register: Register, store: Store, contacts: MakeContacts
) -> None:
    chat = await ended(store, *SAID, locale="fr")
    sender = contacts(content="messages", channel="webchat", confidential=False)
    assert await sender.send(closed(chat)) == DELIVERED
    (contact,) = register.about(chat, REGISTER)
    assert (contact["inhoud"], contact["reactie"]) == ("Waar is mijn premie?\nDank u", "Onderweg.")
    assert (contact["kanaal"], contact["vertrouwelijk"], contact["taal"]) == ("webchat", False, "fra")


async def test_a_long_conversation_is_cut_to_what_the_register_takes(
    register: Register, store: Store, contacts: MakeContacts
) -> None:
    chat = await ended(store, *((party, "é" * 900) for party in (Party.CITIZEN, Party.AGENT) for _ in range(6)))
    assert await contacts(content="messages").send(closed(chat)) == DELIVERED
    (contact,) = register.about(chat, REGISTER)
    assert (len(contact["inhoud"]), len(contact["reactie"])) == (MOST_CONTENT, MOST_ANSWER_TEXT)
    assert contact["inhoud"].endswith("…")


async def test_that_no_agent_came_is_registered(register: Register, store: Store, contacts: MakeContacts) -> None:
    chat = await ended(store, (Party.CITIZEN, "Is daar iemand?"), accepted=False)
    assert await contacts().send(closed(chat)) == DELIVERED
    assert register.about(chat, REGISTER)[0]["indicatieContactGelukt"] is False


async def test_an_agent_who_came_late_is_found(register: Register, store: Store, contacts: MakeContacts) -> None:
    waiting = [(Party.CITIZEN, f"Ik wacht {n}") for n in range(250)]
    chat = await ended(store, *waiting, (Party.AGENT, "Goeiedag"), accepted=False)
    assert await contacts().send(closed(chat)) == DELIVERED
    assert register.about(chat, REGISTER)[0]["indicatieContactGelukt"] is True


async def test_an_attempt_whose_answer_was_lost_makes_no_second_contact(
    register: Register, store: Store, contacts: MakeContacts
) -> None:
    chat, sender = await ended(store, *SAID), contacts()
    register.lose_answers = 1
    assert await sender.send(closed(chat)) == failed("connection")
    assert await sender.send(closed(chat)) == DELIVERED
    assert await sender.send(closed(chat)) == DELIVERED, "a replay"
    assert len(register.about(chat, REGISTER)) == 1


async def test_a_chat_whose_log_is_not_sealed_yet_is_registered_later(
    register: Register, store: Store, contacts: MakeContacts
) -> None:
    chat = new_id()
    assert await contacts().send(closed(chat)) == failed("log_not_sealed")
    await store.open_chats([opened_event(chat)])
    assert await contacts().send(closed(chat)) == failed("log_not_sealed")
    assert register.requests == []


async def test_an_erased_chat_is_not_registered(register: Register, database: Database, contacts: MakeContacts) -> None:
    chat = new_id()
    await database["erased"].insert_one({"_id": chat})
    assert await contacts().send(closed(chat)) == DELIVERED
    assert register.requests == []


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([500], failed("status_500")),
        ([200, 400], failed("status_400")),
        ([200, 403], failed("status_403")),
        ([302], failed("status_302")),
        ([200, 302], failed("status_302")),
        ([410], Outcome(Verdict.HOPELESS, "status_410")),
    ],
)
async def test_what_the_register_refuses_is_tried_again(
    register: Register, store: Store, contacts: MakeContacts, statuses: list[int], outcome: Outcome
) -> None:
    chat = await ended(store, *SAID)
    register.statuses = list(statuses)
    assert await contacts().send(closed(chat)) == outcome
    assert register.made == []


async def test_a_wrong_token_is_a_failure(register: Register, store: Store, contacts: MakeContacts) -> None:
    assert await contacts(token="other").send(closed(await ended(store, *SAID))) == failed("status_401")


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b'{"count": "1"}', b'{"count": -1}', b'{"count": true}', b" " * 300_000]
)
async def test_an_answer_that_is_not_of_the_specification_makes_no_contact(
    register: Register, store: Store, contacts: MakeContacts, answer: bytes
) -> None:
    register.answer = answer
    assert await contacts().send(closed(await ended(store, *SAID))) == failed("not_understood")
    assert register.made == []


async def test_nothing_is_sent_to_an_address_that_is_not_allowed(
    register: Register, store: Store, contacts: MakeContacts
) -> None:
    assert await contacts(networks="").send(closed(await ended(store, *SAID))) == failed("refused_address")
    assert register.requests == []


def test_a_text_is_cut_at_its_most() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
