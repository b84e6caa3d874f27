"""The label of a chat on the real database: in its statistics and past chats, whichever is stored first."""

from datetime import timedelta
from typing import Any

import pytest

from services.common.internal_api.transcripts import Label
from services.transcripts.after_chat.labels import Labels
from services.transcripts.past_chats.store import Wanted
from services.transcripts.retention.store import Erasures
from services.transcripts.statistics.rules import row_id
from services.transcripts.statistics.store import Statistics
from tests.transcripts.conftest import OPENED_AT
from tests.transcripts.past_chats.conftest import Player

LATER = OPENED_AT + timedelta(minutes=1)
SAID = ("citizen", "Waar is de parkeerkaart?"), ("an", "In het loket.")


@pytest.fixture
def labels(player: Player) -> Labels:
    return Labels(player.database, Statistics(player.database), player.past)


def label(chat: str, reason: str | None = "solved", *tags: str) -> Label:
    return Label(chat_id=chat, reason=reason, tags=list(tags))


async def stored(player: Player, chat: str) -> list[Any]:
    """The reason and the tags in the chat, in its row of statistics and in its row of past chats."""
    found = [
        await player.database["chats"].find_one({"_id": chat}),
        await player.database["chat_statistics"].find_one({"_id": row_id(chat)}),
        await player.database["past_chats"].find_one({"_id": chat}),
    ]
    every = [(one or {}).get("label") for one in found]
    return [(one["reason"], one["tags"]) if one else None for one in every]


@pytest.mark.parametrize("first", ["label", "rows"])
async def test_a_label_is_in_all_rows_whichever_is_stored_first(player: Player, labels: Labels, first: str) -> None:
    chat = await player.ended(*SAID, listed=False)
    given = label(chat, "solved", "form", "form", "phone")
    if first == "label":
        await labels.put(given, LATER)
    await Statistics(player.database).count_chat(chat)
    await player.past.add(chat)
    if first == "rows":
        await labels.put(given, LATER)
    assert await stored(player, chat) == [("solved", ["form", "phone"])] * 3
    await player.past.add(chat)  # made again
    assert await stored(player, chat) == [("solved", ["form", "phone"])] * 3


async def test_the_last_label_counts_in_whichever_order_it_is_stored(player: Player, labels: Labels) -> None:
    chat = await player.ended(*SAID)
    await Statistics(player.database).count_chat(chat)
    await labels.put(label(chat, None, "phone"), LATER)
    await labels.put(label(chat, "solved", "form"), OPENED_AT)  # an older request that was held up
    assert await stored(player, chat) == [(None, ["phone"])] * 3


async def test_chats_are_found_by_a_tag(player: Player, labels: Labels) -> None:
    tagged, other = await player.ended(*SAID), await player.ended(*SAID, at=LATER)
    await player.ended(*SAID)
    await labels.put(label(tagged, "solved", "form", "phone"), LATER)
    await labels.put(label(other, "solved", "phone"), LATER)
    for tag, chats in (("form", [tagged]), ("phone", [other, tagged]), ("none", [])):
        wanted = Wanted(departments=("algemeen",), more={"label.tags": tag})
        assert [row["chat_id"] for row in (await player.past.search(wanted)).rows] == chats, tag


async def test_an_agent_who_left_the_chat_does_not_see_its_label(player: Player, labels: Labels) -> None:
    chat = await player.ended(*SAID, then="bert")
    await labels.put(label(chat, "solved", "form"), LATER)
    wanted = Wanted(agent_id="an", more={"label.tags": "form"})
    assert (await player.past.search(wanted)).rows == []
    assert [row["chat_id"] for row in (await player.past.search(Wanted(agent_id="an"))).rows] == [chat]


async def test_the_statistics_keep_the_label_after_the_erasure_and_nothing_else_does(
    player: Player, labels: Labels
) -> None:
    chat = await player.ended(*SAID)
    await labels.put(label(chat, "solved", "form"), LATER)
    await Erasures(player.database, Statistics(player.database)).erase(chat, "period", LATER + timedelta(days=400))
    assert await stored(player, chat) == [None, ("solved", ["form"]), None]
    await labels.put(label(chat, "solved", "phone"), LATER + timedelta(days=401))
    assert await player.database["chats"].count_documents({"_id": chat}) == 0
