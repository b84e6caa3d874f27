"""RULES of past chats: the rows of a chat that has ended, and their order. No I/O.

A chat has one row for the agent who had it at its end and for supervisors, made of its whole log. Each agent who left
it has a row of their own, made of the entries that they may read (`access/rules.py`): a search finds nothing of the
rest for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.common.config.departments import Search
from services.common.events.types import Cause, Party
from services.transcripts.access.participation import Participation, participation_of
from services.transcripts.past_chats.words import keys_of, normalised

VERSION = 1  # of these rules; rows of another one are made again
Document = Mapping[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 14  # of the milliseconds


def order_of(at: datetime, chat_id: str) -> str:
    """Return the place of a row in the order of time: `<milliseconds>-<digest>`. It does not show the chat's number."""
    digest = hashlib.sha256(f"eloket/past_chats/{chat_id}".encode()).hexdigest()[:16]
    return f"{lowest_order(at)}{digest}"


def lowest_order(at: datetime) -> str:
    """Return what is not greater than the place of any row of this time."""
    return f"{max(0, (at - _EPOCH) // timedelta(milliseconds=1)):0{_DIGITS}d}-"


def time_of(order: str) -> datetime:
    """Return the time of a place in the order."""
    return _EPOCH + timedelta(milliseconds=int(order.partition("-")[0]))


def policy_of(search: Search) -> str:
    """Return what the rows of a department are made by. Rows with another one are made again."""
    return f"{VERSION}:{search}"


def form_keys(form: Document | None) -> list[str]:
    """Return the keys by which the chats of a form are found: its id, its title and its address."""
    return sorted({form_key(text) for name in ("id", "title", "url") if (text := (form or {}).get(name))})


def form_key(text: str) -> str:
    """Return the key of an id, a title or an address of a form."""
    return " ".join(normalised(text).split())[:500]


def rows_of(chat: Document, log: Sequence[Document], search: Search) -> list[dict[str, Any]]:
    """Return the rows of a chat that has ended.

    Args:
        chat: The document of the chat.
        log: The entries of its log, in order.
        search: What its department lets be searched.
    """
    participation = participation_of(chat)
    former = dict(_former(participation, log)) if participation else {}
    seal = next((e for e in log if e.get("event") == Cause.CLOSED), None)
    holders = [participation.holder] if participation else list(chat.get("participants", ()))
    whole = {
        "_id": chat["_id"],
        **_row(chat, log, chat["closed_at"], search),
        "agents": sorted(agent for agent in holders if agent),
        "departments": sorted({chat["department"], *chat.get("departments", ())}),
        "took_part": sorted(chat.get("participants", ())),
        "ended_by": seal.get("reason") if seal else None,
    }
    return [whole, *(_row_of_former(chat, log[: n + 1], agent, search) for agent, n in former.items())]


def _former(participation: Participation, log: Sequence[Document]) -> Iterator[tuple[str, int]]:
    """Return the agents who left the chat, each with the position of the last entry that they may read."""
    positions = {e["id"]: n for n, e in enumerate(log)}
    for agent, left in participation.left.items():
        own = (n for n in range(len(log) - 1, -1, -1) if log[n]["sender_id"] == agent)
        last = positions.get(left) if left in positions else next(own, None)
        if agent != participation.holder and last is not None:
            yield agent, last


def _row_of_former(chat: Document, log: Sequence[Document], agent: str, search: Search) -> dict[str, Any]:
    row = _row(chat, log, log[-1]["at"], search)
    return {"_id": f"{chat['_id']}:{agent}", **row, "agents": [agent], "left": True}


def _row(chat: Document, log: Sequence[Document], at: datetime, search: Search) -> dict[str, Any]:
    names = _names(chat, log)
    keys, complete = keys_of(_texts(log, names if search == "names" else ())) if search != "off" else ([], True)
    return {
        "chat_id": chat["_id"],
        "order": order_of(at, chat["_id"]),
        "department": chat["department"],
        "locale": chat["locale"],
        "opened_at": chat["opened_at"],
        "ended_at": at,
        "name": names[-1] if names else None,
        "who": _agents(log),
        "form": chat.get("form"),
        "forms": form_keys(chat.get("form")),
        "words": keys,
        "complete": complete,
        "policy": policy_of(search),
    }


def _names(chat: Document, log: Iterable[Document]) -> list[str]:
    """Return the names that the citizen gave, in order."""
    given = (chat.get("name"), *(e.get("name") for e in log if e["party"] == Party.CITIZEN))
    return list(dict.fromkeys(name for name in given if name))


def _texts(log: Iterable[Document], names: Iterable[str]) -> Iterator[str]:
    """Return what is searched: names, and what citizens and agents wrote. System entries and notes are not."""
    yield from names
    yield from (e["text"] for e in log if e["party"] != Party.SYSTEM and e.get("text"))


def _agents(log: Iterable[Document]) -> list[dict[str, str | None]]:
    """Return the agents of these entries with their names, in the order in which they came."""
    found: dict[str, str | None] = {}
    for entry in log:
        about = entry.get("about") or {}
        if entry["party"] == Party.AGENT:
            found[entry["sender_id"]] = entry.get("name") or found.get(entry["sender_id"])
        elif entry.get("event") == Cause.ASSIGNED and about.get("agent_id"):
            found.setdefault(about["agent_id"], about.get("agent"))
    return [{"id": agent, "name": name} for agent, name in found.items()]
