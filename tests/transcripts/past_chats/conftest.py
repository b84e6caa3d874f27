"""Played chats: documents and logs as the service stores them, and the store of past chats."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.common.config.departments import Departments, Search, load_departments
from services.common.events.types import About, Cause, CloseReason, Form, Party
from services.common.mongo.client import Database
from services.transcripts.log.sequencing import event_id
from services.transcripts.log.store import Store
from services.transcripts.past_chats.store import PastChats
from services.transcripts.settings import Settings
from tests.transcripts.conftest import OPENED_AT, entry, new_id, opened_event, state

Said = tuple[str, str]  # who, and what: "citizen", or the id of an agent


def with_search(departments: Departments, search: Search) -> Departments:
    """These departments, of which the one called algemeen lets this be searched."""
    own = {d.id: search if d.id == "algemeen" else d.search for d in departments.departments}
    changed = [d.model_copy(update={"search": own[d.id]}) for d in departments.departments]
    return departments.model_copy(update={"departments": tuple(changed)})


class Player:
    """Stores chats as the service does, and makes their rows."""

    def __init__(self, database: Database, store: Store, departments: Departments) -> None:
        self.database, self.store, self.departments = database, store, departments
        self.past = PastChats(database, departments)

    async def ended(
        self,
        *said: Said,
        at: datetime = OPENED_AT,
        agent: str = "an",
        then: str | None = None,
        department: str = "algemeen",
        moved_to: str | None = None,
        listed: bool = True,
        **more: Any,
    ) -> str:
        """A chat in which this was said and that ended at this time; its number.

        `then`: the agent to whom it was transferred before the last thing was said, in the department `moved_to`.
        """
        id_, reason = new_id(), more.pop("reason", CloseReason.AGENT)
        opened = opened_event(id_).model_copy(update={"department": department, "opened_at": at - timedelta(minutes=9)})
        await self.store.open_chats([opened.model_copy(update=more)])
        states = [state(id_, 1, Cause.ASSIGNED, agent=agent, department=department)]
        log = [entry(id_, 1, Party.SYSTEM, "Welkom", event=Cause.OPENED)]
        about = About(agent_id=agent, agent=agent.title())
        log.append(entry(id_, 2, Party.SYSTEM, "Verbonden", event=Cause.ASSIGNED, about=about))
        name = more.get("name", "An Peeters")
        for n, (who, text) in enumerate(said):
            if then and n == len(said) - 1:
                left = state(
                    *(id_, 2, Cause.TRANSFERRED, 2, then),
                    former_agent_id=agent,
                    department=moved_to or department,
                )
                states.append(left)
                left_id = event_id(id_, left.cause, left.turn)
                log.append(entry(id_, len(log) + 1, Party.SYSTEM, "Door", id=left_id, event=Cause.TRANSFERRED))
            party = Party.CITIZEN if who == "citizen" else Party.AGENT
            called = name if who == "citizen" else who.title()
            log.append(entry(id_, len(log) + 1, party, text, sender_id=who, name=called))
        seal = entry(id_, len(log) + 1, Party.SYSTEM, "Einde", id="closed", event=Cause.CLOSED, reason=reason, at=at)
        for n, one in enumerate(log):
            await self.store.insert([one.model_copy(update={"at": at - timedelta(minutes=8) + timedelta(seconds=n)})])
        await self.store.insert([seal])
        await self.store.note_states([(id_, s.v, s.agent_id) for s in states])
        await self.store.note_participations(states)
        await self.store.close_chats([seal])
        if listed:
            await self.past.add(id_)
        return id_


@pytest.fixture
def departments(make_settings: Callable[..., Settings]) -> Departments:
    return load_departments(make_settings().departments_file)


@pytest.fixture
async def player(database: Database, store: Store, departments: Departments) -> Player:
    return Player(database, store, departments)


FORM = Form(id="P-12", title="Aanvraag parkeerkaart", url="https://www.voorbeeld.be/parkeren", step="2", error="geheim")
