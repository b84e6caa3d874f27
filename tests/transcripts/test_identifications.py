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
from tests.support.publishers import publishing
from tests.transcripts.conftest import EventObserver, new_id, opened_event, until


class Desk:
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
async def desk(vhost_url: str, store: Store, observer: EventObserver) -> AsyncIterator[Desk]:
    async with publishing(vhost_url, "transcripts") as publisher:
        writer = Writer(store, 5_000)
        made = Desk(store, writer, Identifications(store, writer, publisher, lambda: made.now), observer)
        await made.begin()
        yield made


async def test_a_request_and_its_answer_are_entries_of_the_system(desk: Desk) -> None:
    request = await desk.ask()
    await desk.identify(request)
    asked, answered = await desk.published(2)
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
    assert await desk.store.identifications(desk.chat) == [asked, answered]


async def test_each_request_has_one_answer_the_first_one(desk: Desk) -> None:
    request = await desk.ask()
    await asyncio.gather(
        desk.identifications.declined(IdentificationDeclined(chat_id=desk.chat, id=request)),
        desk.identify(request),
        desk.identifications.ended(IdentificationEnded(chat_id=desk.chat, id=request)),
    )
    first = (await desk.steps())[1]
    await desk.identify(request, "Iemand Anders")
    assert await desk.steps() == [IdentificationStep.ASKED, first]


async def test_repeated_events_are_published_again_and_stored_once(desk: Desk) -> None:
    request = await desk.ask()
    await desk.ask(request)
    for _ in range(2):
        await desk.identifications.declined(IdentificationDeclined(chat_id=desk.chat, id=request))
    published = await desk.published(4)
    assert [entry.seq for entry in published] == [2, 2, 3, 3]
    assert published[2].text == "U hebt ervoor gekozen om u niet te identificeren. Het gesprek gaat gewoon verder."


async def test_an_answer_without_a_request_is_not_stored(desk: Desk) -> None:
    await desk.identify(new_id())
    request = await desk.ask()
    stranger = IdentificationDeclined(chat_id=new_id(), id=request)
    with pytest.raises(ValueError, match="unknown chat"):
        await desk.identifications.declined(stranger)
    for wrong in ({"chat_id": "x"}, {"id": "x"}):
        with pytest.raises(ValueError, match="not an identification"):
            await desk.identifications.declined(stranger.model_copy(update=wrong))
    assert await desk.steps() == [IdentificationStep.ASKED]


async def test_a_second_request_waits_for_the_answer_to_the_first_or_its_end(desk: Desk) -> None:
    first = await desk.ask()
    await desk.ask()
    assert await desk.steps() == [IdentificationStep.ASKED]
    desk.now = now_ms() + OPEN_FOR
    second = await desk.ask()
    chat = await desk.store.chat(desk.chat)
    assert chat is not None
    found = open_request(chat, await desk.store.identifications(desk.chat), now_ms())
    assert found is not None
    assert (found.id, found.agent, found.department, found.locale) == (second, "An", "algemeen", "nl")
    await desk.identify(first)
    assert (await desk.steps())[-1] is IdentificationStep.IDENTIFIED, "who was at the issuer when the time was over"


async def test_a_request_is_of_the_department_in_which_the_agent_asks(desk: Desk) -> None:
    """The chat was opened in `algemeen`, where citizens perhaps do not identify, and was transferred."""
    asked = IdentificationAsked(
        chat_id=desk.chat, id=new_id(), agent_id="agent-an", agent_name="An", department="premies"
    )
    await desk.identifications.asked(asked)
    chat = await desk.store.chat(desk.chat)
    assert chat is not None
    found = await desk.identifications.open_request(chat)
    assert found is not None
    assert (chat.department, found.department) == ("algemeen", "premies")


async def test_requests_of_one_chat_are_bounded(desk: Desk) -> None:
    for _ in range(MOST_REQUESTS + 2):
        request = await desk.ask()
        await desk.identifications.declined(IdentificationDeclined(chat_id=desk.chat, id=request))
    assert len(await desk.steps()) == 2 * MOST_REQUESTS


async def test_requests_without_an_answer_are_bounded_too(desk: Desk) -> None:
    desk.now = now_ms() + 2 * OPEN_FOR  # each is over when the next one comes
    for _ in range(MOST_REQUESTS + 2):
        await desk.ask()
    assert await desk.steps() == [IdentificationStep.ASKED] * MOST_REQUESTS


async def test_a_request_is_open_until_its_answer_its_time_or_the_end_of_the_chat(desk: Desk) -> None:
    async def found(now: datetime) -> bool:
        chat = await desk.store.chat(desk.chat)
        assert chat is not None
        return open_request(chat, await desk.store.identifications(desk.chat), now) is not None

    assert not await found(desk.now)
    request = await desk.ask()
    assert await found(desk.now)
    assert not await found(now_ms() + OPEN_FOR)
    await desk.identifications.declined(IdentificationDeclined(chat_id=desk.chat, id=request))
    assert not await found(desk.now)
    await desk.ask()
    assert await found(desk.now)
    seal = NewEntry(
        desk.chat,
        new_id(),
        Party.SYSTEM,
        "system",
        text="Beëindigd",
        event=Cause.CLOSED,
        reason=CloseReason.CITIZEN,
    )
    await desk.put(seal)
    (sealed,) = (await desk.store.find(desk.chat, [seal.id])).values()
    await desk.store.close_chats([sealed])
    assert not await found(desk.now)


async def test_nothing_is_added_to_a_chat_that_has_ended(desk: Desk) -> None:
    request = await desk.ask()
    await desk.put(NewEntry(desk.chat, new_id(), Party.SYSTEM, "system", text="Beëindigd", event=Cause.CLOSED))
    await desk.identify(request)
    assert await desk.steps() == [IdentificationStep.ASKED]


async def test_a_removed_identification_says_nothing_of_the_citizen(desk: Desk) -> None:
    request = await desk.ask()
    await desk.identify(request)
    await desk.store.remove_content(desk.chat, 3)
    entry = (await desk.store.identifications(desk.chat))[1]
    assert entry.identification is not None
    assert "Lien" not in entry.model_dump_json()
    assert (entry.text, entry.identification.step) == ("", IdentificationStep.IDENTIFIED)


async def test_inactivity_and_waiting_for_an_answer_pass_over_these_entries(desk: Desk) -> None:
    assigned = NewEntry(desk.chat, new_id(), Party.SYSTEM, "system", text="Verbonden", event=Cause.ASSIGNED)
    said = NewEntry(desk.chat, new_id(), Party.AGENT, "agent-an", "An", "Dag")
    await desk.put(assigned, said)
    await desk.ask()
    last = await desk.store.last(desk.chat)
    assert last is not None
    assert (last.party, last.event) == (Party.AGENT, Cause.ASSIGNED)
    assert last.at >= desk.now
