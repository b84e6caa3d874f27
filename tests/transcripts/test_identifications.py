"""services/transcripts/identifications.py on the real broker and database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from services.common.events.identification import (
    OPEN_FOR,
    IdentificationAsked,
    IdentificationDeclined,
    IdentificationEnded,
)
from services.common.events.types import AssuranceLevel, Cause, CloseReason, Entry, IdentificationStep, Party
from services.transcripts.identifications import MOST_REQUESTS, Identifications, open_request
from services.transcripts.log.entry_factory import opening_entries
from services.transcripts.log.sequencing import NewEntry, PendingEntries
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer, now_ms
from tests.support.conditions import until
from tests.support.publishers import publishing
from tests.transcripts.conftest import EventObserver, new_id, opened_event


class Asking:
    """A chat with an open log, and what handles its identification."""

    def __init__(self, store: Store, writer: Writer, identifications: Identifications, observer: EventObserver) -> None:
        self.chat, self.now = new_id(), now_ms()
        self.store, self.writer, self.identifications, self.observer = store, writer, identifications, observer

    async def begin(self, locale: str = "nl") -> None:
        event = opened_event(self.chat, question=None, locale=locale)
        await self.store.open_chats([event])
        await self.put(*opening_entries(event))

    async def put(self, *entries: NewEntry) -> None:
        pending = PendingEntries()
        for entry in entries:
            pending.add(entry)
        await self.writer.store(pending)

    async def ask(self, request: str | None = None) -> str:
        request = request or new_id()
        await self.identifications.asked(
            IdentificationAsked(chat_id=self.chat, id=request, agent_id="agent-an", agent_name="An")
        )
        return request

    async def identify(self, request: str, name: str = "Lien De Smet") -> None:
        await self.identifications.ended(
            IdentificationEnded(
                chat_id=self.chat, id=request, name=name, level=AssuranceLevel.HIGH, issuer="Toegangsbeheer"
            )
        )

    async def steps(self) -> list[IdentificationStep]:
        found = await self.store.identifications(self.chat)
        return [entry.identification.step for entry in found if entry.identification]

    async def published(self, number: int) -> list[Entry]:
        await until(lambda: len(self.observer.stored(self.chat)) >= number, "the entries")
        return self.observer.stored(self.chat)


@pytest.fixture
async def asking(vhost_url: str, store: Store, observer: EventObserver) -> AsyncIterator[Asking]:
    async with publishing(vhost_url, "transcripts") as publisher:
        writer = Writer(store, 5_000)
        made = Asking(store, writer, Identifications(store, writer, publisher, lambda: made.now), observer)
        await made.begin()
        yield made


async def test_a_request_and_its_answer_are_entries_of_the_system(asking: Asking) -> None:
    request = await asking.ask()
    await asking.identify(request)
    asked, answered = await asking.published(2)
    assert (asked.seq, answered.seq) == (2, 3)
    assert {asked.party, answered.party} == {Party.SYSTEM}
    assert (asked.event, answered.event) == (None, None), "an earlier release reads them as texts"
    assert asked.text == "An vraagt of u zich wilt identificeren. U kiest zelf of u dat doet."
    assert answered.text == (
        "U hebt zich geïdentificeerd via Toegangsbeheer als Lien De Smet. Betrouwbaarheidsniveau: hoog."
    )
    step = answered.identification
    assert step is not None
    assert (step.id, step.name, step.level, step.issuer) == (request, "Lien De Smet", "high", "Toegangsbeheer")
    assert await asking.store.identifications(asking.chat) == [asked, answered]


async def test_each_request_has_one_answer_the_first_one(asking: Asking) -> None:
    request = await asking.ask()
    await asyncio.gather(
        asking.identifications.declined(IdentificationDeclined(chat_id=asking.chat, id=request)),
        asking.identify(request),
        asking.identifications.ended(IdentificationEnded(chat_id=asking.chat, id=request)),
    )
    first = (await asking.steps())[1]
    await asking.identify(request, "Iemand Anders")
    assert await asking.steps() == [IdentificationStep.ASKED, first]


async def test_repeated_events_are_published_again_and_stored_once(asking: Asking) -> None:
    request = await asking.ask()
    await asking.ask(request)
    for _ in range(2):
        await asking.identifications.declined(IdentificationDeclined(chat_id=asking.chat, id=request))
    published = await asking.published(4)
    assert [entry.seq for entry in published] == [2, 2, 3, 3]
    assert published[2].text == "U hebt ervoor gekozen om u niet te identificeren. Het gesprek gaat gewoon verder."


async def test_an_answer_without_a_request_is_not_stored(asking: Asking) -> None:
    await asking.identify(new_id())
    request = await asking.ask()
    stranger = IdentificationDeclined(chat_id=new_id(), id=request)
    with pytest.raises(ValueError, match="unknown chat"):
        await asking.identifications.declined(stranger)
    for wrong in ({"chat_id": "x"}, {"id": "x"}):
        with pytest.raises(ValueError, match="not an identification"):
            await asking.identifications.declined(stranger.model_copy(update=wrong))
    assert await asking.steps() == [IdentificationStep.ASKED]


async def test_a_second_request_waits_for_the_answer_to_the_first_or_its_end(asking: Asking) -> None:
    first = await asking.ask()
    await asking.ask()
    assert await asking.steps() == [IdentificationStep.ASKED]
    asking.now = now_ms() + OPEN_FOR
    second = await asking.ask()
    chat = await asking.store.chat(asking.chat)
    assert chat is not None
    found = open_request(chat, await asking.store.identifications(asking.chat), now_ms())
    assert found is not None
    assert (found.id, found.agent, found.department, found.locale) == (second, "An", "algemeen", "nl")
    await asking.identify(first)
    assert (await asking.steps())[-1] is IdentificationStep.IDENTIFIED, "who was at the issuer when the time was over"


async def test_a_request_is_of_the_department_in_which_the_agent_asks(asking: Asking) -> None:
    """The chat was opened in `algemeen`, where citizens perhaps do not identify, and was transferred."""
    asked = IdentificationAsked(
        chat_id=asking.chat, id=new_id(), agent_id="agent-an", agent_name="An", department="premies"
    )
    await asking.identifications.asked(asked)
    chat = await asking.store.chat(asking.chat)
    assert chat is not None
    found = await asking.identifications.open_request(chat)
    assert found is not None
    assert (chat.department, found.department) == ("algemeen", "premies")


async def test_requests_of_one_chat_are_bounded(asking: Asking) -> None:
    for _ in range(MOST_REQUESTS + 2):
        request = await asking.ask()
        await asking.identifications.declined(IdentificationDeclined(chat_id=asking.chat, id=request))
    assert len(await asking.steps()) == 2 * MOST_REQUESTS


async def test_requests_without_an_answer_are_bounded_too(asking: Asking) -> None:
    asking.now = now_ms() + 2 * OPEN_FOR  # each is over when the next one comes
    for _ in range(MOST_REQUESTS + 2):
        await asking.ask()
    assert await asking.steps() == [IdentificationStep.ASKED] * MOST_REQUESTS


async def test_a_request_is_open_until_its_answer_its_time_or_the_end_of_the_chat(asking: Asking) -> None:
    async def found(now: datetime) -> bool:
        chat = await asking.store.chat(asking.chat)
        assert chat is not None
        return open_request(chat, await asking.store.identifications(asking.chat), now) is not None

    assert not await found(asking.now)
    request = await asking.ask()
    assert await found(asking.now)
    assert not await found(now_ms() + OPEN_FOR)
    await asking.identifications.declined(IdentificationDeclined(chat_id=asking.chat, id=request))
    assert not await found(asking.now)
    await asking.ask()
    assert await found(asking.now)
    seal = NewEntry(
        asking.chat,
        new_id(),
        Party.SYSTEM,
        "system",
        text="Beëindigd",
        event=Cause.CLOSED,
        reason=CloseReason.CITIZEN,
    )
    await asking.put(seal)
    (sealed,) = (await asking.store.find(asking.chat, [seal.id])).values()
    await asking.store.close_chats([sealed])
    assert not await found(asking.now)


async def test_nothing_is_added_to_a_chat_that_has_ended(asking: Asking) -> None:
    request = await asking.ask()
    await asking.put(NewEntry(asking.chat, new_id(), Party.SYSTEM, "system", text="Beëindigd", event=Cause.CLOSED))
    await asking.identify(request)
    assert await asking.steps() == [IdentificationStep.ASKED]


async def test_a_removed_identification_says_nothing_of_the_citizen(asking: Asking) -> None:
    request = await asking.ask()
    await asking.identify(request)
    await asking.store.remove_content(asking.chat, 3)
    entry = (await asking.store.identifications(asking.chat))[1]
    assert entry.identification is not None
    assert "Lien" not in entry.model_dump_json()
    assert (entry.text, entry.identification.step) == ("", IdentificationStep.IDENTIFIED)


async def test_inactivity_and_waiting_for_an_answer_pass_over_these_entries(asking: Asking) -> None:
    assigned = NewEntry(asking.chat, new_id(), Party.SYSTEM, "system", text="Verbonden", event=Cause.ASSIGNED)
    said = NewEntry(asking.chat, new_id(), Party.AGENT, "agent-an", "An", "Dag")
    await asking.put(assigned, said)
    await asking.ask()
    last = await asking.store.last(asking.chat)
    assert last is not None
    assert (last.party, last.event) == (Party.AGENT, Cause.ASSIGNED)
    assert last.at >= asking.now
