"""Mirrors services/transcripts/outbox/announcer.py: from events on the real broker to the outbox."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.common.config.departments import load_departments
from services.common.config.integrations import Integrations
from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.types import ButtonColour, ButtonReason, Cause
from services.common.internal_api.transcripts import Label, LeftQuestion, Rating
from services.common.messaging.publisher import Publisher
from services.common.mongo.client import Database
from services.transcripts.after_chat.labels import Labels
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.consumers import Handlers, create_router
from services.transcripts.identifications import Identifications
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer, now_ms
from services.transcripts.outbox.announcer import Announcer
from services.transcripts.outbox.rules import buttons_of, notice_of_button
from services.transcripts.outbox.store import Outbox
from services.transcripts.past_chats.store import PastChats
from services.transcripts.questions.store import Questions
from services.transcripts.statistics.store import Statistics
from tests.support.browsers.systems import DEPARTMENTS
from tests.transcripts.conftest import OPENED_AT, EventObserver, new_id, opened_event, state
from tests.transcripts.consuming import consuming
from tests.transcripts.outbox.conftest import webhook

ALL = ["chat.opened", "chat.assigned", "chat.accepted", "chat.closed", "question.left", "rating.given", "chat.labelled"]
TARGETS = Integrations(
    webhooks=(
        webhook("https://a.example/", "all", events=ALL),
        webhook("https://a.example/", "premies", events=["chat.closed"], departments=["premies"]),
        webhook("https://a.example/", "buttons", events=["button.changed"]),
    )
)


@pytest.fixture
def announcer(outbox: Outbox, store: Store) -> Announcer:
    return Announcer(outbox, store, TARGETS, now_ms)


async def told(database: Database, target: str) -> list[str]:
    return sorted([d["type"] async for d in database["outbox"].find({"target": target})])


@contextlib.asynccontextmanager
async def announcing(vhost_url: str, store: Store, announcer: Announcer, database: Database) -> AsyncIterator[None]:
    """The announcer gets the events in its queue while the context is open."""
    handlers = Handlers(store, Publisher(vhost_url, "transcripts"), now_ms, Statistics(database))
    publisher = Publisher(vhost_url, "transcripts")
    identifications = Identifications(store, Writer(store, 5_000), publisher, now_ms)
    async with consuming(vhost_url, create_router(handlers, announcer, identifications)):
        yield


async def test_a_chat_is_announced_from_its_events_once(
    observer: EventObserver, vhost_url: str, store: Store, database: Database, announcer: Announcer
) -> None:
    chat = new_id()
    events: list[Any] = [
        opened_event(chat),
        state(chat, 1, Cause.OPENED),
        state(chat, 2, Cause.ASSIGNED, agent="an", accepted=False),
        state(chat, 3, Cause.ASSIGNED, agent="an", accepted=True),
        state(chat, 4, Cause.TRANSFERRED, turn=2, department="premies"),
        state(chat, 5, Cause.CLOSED, turn=2, department="premies", reason="citizen"),
    ]
    async with announcing(vhost_url, store, announcer, database):
        await observer.put(*events, *events, *reversed(events))

        async def is_handled() -> bool:
            return await told(database, "premies") == ["chat.closed"] and not await observer.waiting(
                "transcripts.outbox"
            )

        async with asyncio.timeout(60):
            while not await is_handled():
                await asyncio.sleep(0.02)
    assert await told(database, "all") == ["chat.accepted", "chat.assigned", "chat.closed", "chat.opened"]
    assert await told(database, "premies") == ["chat.closed"]
    assert await told(database, "buttons") == []
    assert announcer.added.is_set()
    text = str(await database["outbox"].find({}).to_list(None))
    for person in ("An Peeters", "Waar vind ik", "'an'", "An'"):
        assert person not in text


def button(department: str, revision: int, colour: ButtonColour = ButtonColour.GREEN) -> DepartmentButton:
    return DepartmentButton(department=department, colour=colour, reason=ButtonReason.AVAILABLE, revision=revision)


def question(chat_id: str) -> LeftQuestion:
    fields = {"department": "algemeen", "locale": "nl", "contact": "02 1", "text": "V", "at": OPENED_AT}
    return LeftQuestion.model_validate({"chat_id": chat_id, **fields})


def digest(first: DepartmentButton, *others: DepartmentButton) -> ButtonChanged:
    return ButtonChanged(**first.model_dump(), others=list(others))


async def test_a_button_is_announced_when_it_changes_and_not_each_time_it_is_repeated(
    store: Store, database: Database, outbox: Outbox, announcer: Announcer
) -> None:
    blue = button("premies", 4, ButtonColour.BLUE)
    for event in (digest(button("algemeen", 3), button("premies", 3)), digest(button("algemeen", 3), blue)):
        await announcer.button_changed(event)
        await announcer.button_changed(event)
    assert await told(database, "buttons") == ["button.changed"] * 3
    await database["outbox"].delete_many({})  # they expire
    restarted = Announcer(outbox, store, TARGETS, now_ms)
    await restarted.button_changed(digest(button("algemeen", 3), blue))
    await restarted.button_changed(digest(button("algemeen", 3), button("premies", 3)))
    assert await told(database, "buttons") == []
    await restarted.button_changed(digest(button("algemeen", 10, ButtonColour.BLUE)))
    assert await told(database, "buttons") == ["button.changed"]


async def test_of_changes_that_are_handled_at_once_or_in_the_wrong_order_the_last_is_announced(
    store: Store, database: Database, outbox: Outbox, announcer: Announcer
) -> None:
    others = [Announcer(outbox, store, TARGETS, now_ms) for _ in range(2)]
    colours = (ButtonColour.GREEN, ButtonColour.BLUE, ButtonColour.GREEN)
    changes = [digest(button("premies", number, colour)) for number, colour in enumerate(colours, 5)]
    handlers = (announcer, *others)
    await asyncio.gather(*(h.button_changed(c) for h, c in zip(handlers, changes, strict=True)))
    for change in changes:
        await announcer.button_changed(change)
    assert await outbox.last_button("premies") == 7
    assert await database["outbox"].count_documents(
        {"notice": notice_of_button(buttons_of(changes[-1])[0], OPENED_AT).id}
    )


async def test_questions_and_ratings_are_announced_after_they_were_stored(
    database: Database, announcer: Announcer
) -> None:
    chat = new_id()
    await Questions(database, announced=True).leave(question(chat), OPENED_AT)
    ratings = Ratings(database, Statistics(database), announced=True)
    await ratings.rate(Rating(chat_id=chat, helped="yes", score=5), "algemeen", OPENED_AT)
    await database["questions"].insert_one({"_id": "broken", "announced": False})
    assert not await announcer.collect()
    assert not await announcer.collect()
    assert await told(database, "all") == ["question.left", "rating.given"]
    assert "02 1" not in str(await database["outbox"].find({}).to_list(None))


async def test_what_was_interrupted_before_its_mark_was_removed_is_not_announced_twice(
    database: Database, announcer: Announcer
) -> None:
    ratings, chat = Ratings(database, Statistics(database), announced=True), new_id()
    await ratings.rate(Rating(chat_id=chat, helped="yes", score=5), "algemeen", OPENED_AT)
    await announcer.collect()
    await database["ratings"].update_one({"_id": chat}, {"$set": {"announced": False}})
    await announcer.collect()
    assert await told(database, "all") == ["rating.given"]


async def test_without_targets_nothing_is_stored(outbox: Outbox, store: Store, database: Database) -> None:
    announcer = Announcer(outbox, store, Integrations(), now_ms)
    chat = new_id()
    await announcer.chat_opened(opened_event(chat))
    await announcer.chat_changed(state(chat, 1, Cause.ASSIGNED, agent="an"))
    await announcer.button_changed(digest(button("premies", 1)))
    await Questions(database).leave(question(new_id()), OPENED_AT)
    await Ratings(database, Statistics(database)).rate(Rating(chat_id=chat, score=5), "algemeen", OPENED_AT)
    for name in ("outbox", "announced_buttons"):
        assert await database[name].count_documents({}) == 0
    assert await outbox.unannounced(10) == ([], [])
    assert (await database["ratings"].count_documents({}), await database["questions"].count_documents({})) == (1, 1)


async def test_an_erased_chat_is_not_announced(database: Database, announcer: Announcer) -> None:
    chat = new_id()
    await database["erased"].insert_one({"_id": chat})
    await announcer.chat_opened(opened_event(chat))
    await announcer.chat_changed(state(chat, 5, Cause.CLOSED, reason="citizen"))
    assert await told(database, "all") == []
    assert not announcer.added.is_set()


async def test_a_label_is_announced_with_the_end_and_by_itself(
    database: Database, store: Store, announcer: Announcer
) -> None:
    chat = new_id()
    await store.open_chats([opened_event(chat)])
    labels = Labels(database, Statistics(database), PastChats(database, load_departments(DEPARTMENTS)), True)
    await labels.put(Label(chat_id=chat, reason="solved", tags=["form"]), OPENED_AT)
    await announcer.chat_changed(state(chat, 2, Cause.CLOSED))
    assert not await announcer.collect()
    assert not await announcer.collect()
    notices = {d["type"]: d["data"] async for d in database["outbox"].find({"target": "all"})}
    label = {"closing_reason": "solved", "tags": ["form"]}
    of_chat = {"chat_id": chat, "department": "algemeen"}
    assert notices["chat.labelled"] == {**of_chat, **label}
    assert {name: notices["chat.closed"][name] for name in label} == label
    await labels.put(Label(chat_id=chat, tags=["phone"]), OPENED_AT + timedelta(seconds=1))
    assert not await announcer.collect()
    assert (await told(database, "all")).count("chat.labelled") == 2
    assert (await told(database, "all")).count("chat.closed") == 1


async def test_a_label_is_announced_in_the_department_to_which_the_chat_was_transferred(
    database: Database, store: Store, outbox: Outbox
) -> None:
    webhooks = (
        webhook("https://a.example/", "here", events=["chat.labelled"], departments=["premies"]),
        webhook("https://a.example/", "before", events=["chat.labelled"], departments=["algemeen"]),
    )
    announcer = Announcer(outbox, store, Integrations(webhooks=webhooks), now_ms)
    chat = new_id()
    await store.open_chats([opened_event(chat)])
    moved = state(chat, 5, Cause.ASSIGNED, 2, "bert", department="premies")
    await store.note_participations([moved, state(chat, 2, Cause.ASSIGNED, 1, "an")])
    labels = Labels(database, Statistics(database), PastChats(database, load_departments(DEPARTMENTS)), True)
    await labels.put(Label(chat_id=chat, tags=["form"]), OPENED_AT)
    assert not await announcer.collect()
    (notice,) = [found async for found in database["outbox"].find()]
    assert (notice["target"], notice["data"]["department"]) == ("here", "premies")
