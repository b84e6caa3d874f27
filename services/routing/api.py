"""What the other services ask routing over HTTP: chats as they are now, and transfers."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import structlog
from fastapi import APIRouter, Request, Response
from structlog.contextvars import bind_contextvars

from services.broker import Unconfirmed
from services.chassis import caller
from services.departments import Departments
from services.internal import AGENT_CHATS, CHATS, TRANSFER, AgentChatsQuery, Chats, ChatsQuery, Transfer
from services.problems import Problem
from services.routing import assignment
from services.routing.chat import Chat, Limits, view_of
from services.routing.consumers import Desk
from services.routing.store import Store

log = structlog.get_logger()


def create_routes(desk: Desk, departments: Departments, limits: Limits) -> APIRouter:
    """The routes of `services/internal.py` that routing answers; for holders of a service token only."""
    routes = APIRouter()

    @routes.post(CHATS)
    async def chats(query: ChatsQuery, request: Request) -> Chats:
        caller(request)
        return await _views(desk.store, await desk.store.some(query.chat_ids))

    @routes.post(AGENT_CHATS)
    async def chats_of_agent(query: AgentChatsQuery, request: Request) -> Chats:
        caller(request)
        return await _views(desk.store, await desk.store.of_agent(query.agent_id))

    @routes.post(TRANSFER, status_code=204)
    async def transfer(wish: Transfer, request: Request) -> Response:
        caller(request)
        bind_contextvars(chat_id=wish.chat_id)
        if wish.to_department is not None and departments.get(wish.to_department) is None:
            raise Problem(409, "unavailable", "There is no such department; choose one of the list.")
        if wish.to_department is None and wish.to_agent is None:
            raise Problem(422, "invalid", "Name a department or an agent to transfer the chat to.")
        await _transfer(desk, wish, limits)
        return Response(status_code=204)

    return routes


async def _transfer(desk: Desk, wish: Transfer, limits: Limits) -> None:
    now = desk.clock()
    before, after = await desk.store.change(
        wish.chat_id,
        lambda c: assignment.transferred(c, wish.agent_id, wish.to_department, wish.to_agent, now, limits),
    )
    if after == before:
        raise _refusal(after)
    desk.telling.record(before, after, why="transferred")
    with suppress(Unconfirmed):  # it is done, and marked: a sweep tells it within seconds
        await desk.telling.marked(after)
        await desk.queue.ask(after.department or "")


def _refusal(chat: Chat) -> Problem:
    if chat.rev == 0:
        return Problem(404, "no_such_chat", "There is no such chat.")
    if chat.assigned:
        return Problem(403, "not_yours", "Another agent has this chat.")
    return Problem(409, "unavailable", "This chat is not with an agent any more.")


async def _views(store: Store, chats: Iterable[Chat]) -> Chats:
    known = list(chats)
    places: dict[str, int] = {}
    for department in {c.department for c in known if c.waits and c.department}:
        places |= {chat_id: n for n, chat_id in enumerate(await store.order(department), 1)}
    return Chats(chats=[view for c in known if (view := view_of(c, places.get(c.id) if c.waits else None))])
