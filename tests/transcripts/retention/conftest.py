"""A chat with everything that transcripts stores of one, and all documents in which its words or its number are."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.common.config.departments import load_departments
from services.common.events.messages import NotePosted
from services.common.events.types import Attachment, Cause, Party
from services.common.internal_api.transcripts import LeftQuestion
from services.common.mongo.client import Database
from services.transcripts.attachments.store import UPLOADING, File, Files
from services.transcripts.log.store import Store
from services.transcripts.past_chats.store import PastChats
from services.transcripts.questions.store import Questions
from services.transcripts.retention.store import Erasures
from services.transcripts.settings import Settings
from tests.transcripts.conftest import OPENED_AT, entry, new_id, opened_event, seal_entry

NOW = OPENED_AT + timedelta(days=1_000)


@dataclass
class Archive:
    """The database of transcripts, filled by the stores."""

    database: Database
    store: Store
    files: Files
    questions: Questions
    erasures: Erasures
    past_chats: PastChats

    async def chat(
        self,
        closed_at: datetime | None = OPENED_AT,
        department: str = "algemeen",
        word: str = "woord",
        parts: bool = True,
    ) -> str:
        """A chat with two messages, a note, two files, a question and what colleagues store; its number."""
        id_ = new_id()
        opened = opened_event(id_).model_copy(update={"department": department, "name": f"naam-{word}"})
        await self.store.open_chats([opened])
        log = [entry(id_, 1, Party.SYSTEM, "Welkom", event=Cause.OPENED), entry(id_, 2, text=f"vraag {word}")]
        for one in log:
            await self.store.insert([one])
        if parts:
            await self.parts(id_, department, word)
        if closed_at is not None:
            seal = seal_entry(id_, 3).model_copy(update={"at": closed_at})
            await self.store.insert([seal])
            await self.store.close_chats([seal])
            await self.past_chats.add(id_)
        return id_

    async def parts(self, id_: str, department: str, word: str) -> None:
        note = NotePosted(chat_id=id_, id=new_id(), agent_id="an", agent_name="An", text=f"nota {word}")
        await self.store.add_note(note, OPENED_AT)
        for _ in range(2):
            await self.file(id_, word)
        await self.question(id_, department, word)
        for name in ("ratings", "codes"):
            await self.database[name].insert_one({"_id": id_, "department": department, "words": word})

    async def file(self, chat_id: str, word: str) -> str:
        id_ = new_id()
        content = word.encode() * 100_000
        about = Attachment(id=id_, name=f"{word}.txt", size=len(content), content_type="text/plain")
        file = File(about, chat_id, "citizen", UPLOADING, "0")
        await self.files.begin(file, OPENED_AT)
        await self.files.put(id_, io.BytesIO(content))
        await self.files.finish(file, 20, 50_000_000, OPENED_AT)
        assert await self.files.keep(id_, chat_id, "citizen")
        return id_

    async def question(
        self, id_: str, department: str = "algemeen", word: str = "woord", at: datetime = OPENED_AT
    ) -> None:
        left = LeftQuestion(chat_id=id_, department=department, name=word, contact=f"{word}@x.be", text=word, at=at)
        await self.questions.leave(left, at)

    async def places(self, chat_id: str) -> dict[str, int]:
        """How many documents of each collection are of this chat. `bytes`: also those of no chat."""
        d = self.database
        files = [one["_id"] async for one in d["attachments"].find({"chat_id": chat_id})]
        others = [one["_id"] async for one in d["attachments"].find({"chat_id": {"$ne": chat_id}})]
        counts: dict[str, Any] = {
            "chats": await d["chats"].count_documents({"_id": chat_id}),
            "entries": await d["entries"].count_documents({"chat_id": chat_id}),
            "notes": await d["notes"].count_documents({"chat_id": chat_id}),
            "attachments": len(files),
            "bytes": await d["files.chunks"].count_documents({"files_id": {"$nin": others}}),
            "questions": await d["questions"].count_documents({"_id": chat_id}),
            "ratings": await d["ratings"].count_documents({"_id": chat_id}),
            "codes": await d["codes"].count_documents({"_id": chat_id}),
            "past_chats": await d["past_chats"].count_documents({"chat_id": chat_id}),
        }
        return {name: number for name, number in counts.items() if number}

    async def words(self, word: str) -> list[str]:
        """The collections with a document in which this word is."""
        found = []
        for name in await self.database.list_collection_names():
            async for document in self.database[name].find({}):
                if word in repr(document):
                    found.append(name)
        return sorted(set(found))


@pytest.fixture
async def archive(database: Database, store: Store, files: Files, make_settings: Callable[..., Settings]) -> Archive:
    past_chats = PastChats(database, load_departments(make_settings().departments_file))
    return Archive(database, store, files, Questions(database), Erasures(database), past_chats)
