"""Internal API of routing: chats as they are now, transfers, assignments, admission."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

import structlog
from fastapi import APIRouter, Request, Response
from structlog.contextvars import bind_contextvars

from services.common.config.departments import Departments
from services.common.http.problems import Problem
from services.common.internal_api.erasures import ERASE_CHAT, ChatErase, ChatErased
from services.common.internal_api.routing import (
    ADMIT,
    AGENT_CHATS,
    ASSIGNMENTS,
    CHATS,
    TOKEN_REVOKE,
    TRANSFER,
    AdmitQuery,
    Admitted,
    AgentChatsQuery,
    AlikeQuery,
    Assignments,
    AssignmentsQuery,
    Chats,
    TokenRevocation,
    Transfer,
)
from services.common.internal_api.supervision import MOST_RUNNING, OPEN_CHATS, OpenChats, OpenChatsQuery
from services.common.messaging.publisher import Unconfirmed
from services.common.runtime.service import caller
from services.routing.chats import rules, transfer_rules
from services.routing.chats.chat import Chat, view_of
from services.routing.context import Context
from services.routing.queues.wait_estimate import wait

log = structlog.get_logger()
ALIKE_WITHIN = timedelta(hours=1)  # longer than an idempotency key is remembered (ten minutes)


def create_routes(context: Context, departments: Departments) -> APIRouter:
    """Return the routes of `common/internal_api` that routing answers. They require a service token."""
    routes = APIRouter()

    @routes.post(CHATS)
    async def chats(query: AlikeQuery, request: Request) -> Chats:
        caller(request)
        since = context.clock() - ALIKE_WITHIN
        return await _views(context, await context.store.some(query.chat_ids, query.prefixes, since))

    @routes.post(ADMIT)
    async def admit(wish: AdmitQuery, request: Request) -> Admitted:
        caller(request)
        bind_contextvars(chat_id=wish.chat_id)
        return await context.admission.admit(wish)

    @routes.post(AGENT_CHATS)
    async def chats_of_agent(query: AgentChatsQuery, request: Request) -> Chats:
        caller(request)
        return await _views(context, await context.store.of_agent(query.agent_id))

    @routes.post(TRANSFER, status_code=204)
    async def transfer(wish: Transfer, request: Request) -> Response:
        who = caller(request)
        if who.agent and who.agent.supervisor and who.agent.id != wish.agent_id:  # they reassign the chat of an agent
            department = (await context.store.load(wish.chat_id)).department
            who.require_agent(None, [department or ""], supervisor=True)
        else:
            who.require_agent(wish.agent_id)
        bind_contextvars(chat_id=wish.chat_id)
        if wish.to_department is not None and departments.get(wish.to_department) is None:
            raise Problem(409, "unavailable", "There is no such department; choose one of the list.")
        if wish.to_department is None and wish.to_agent is None:
            raise Problem(422, "invalid", "Name a department or an agent to transfer the chat to.")
        await _transfer(context, wish)
        return Response(status_code=204)

    @routes.post(TOKEN_REVOKE, status_code=204)
    async def revoke_token(wish: TokenRevocation, request: Request) -> Response:
        bind_contextvars(chat_id=wish.chat_id)
        chat = await context.store.load(wish.chat_id)
        departments = [] if wish.role == "administrator" else [chat.department or ""]
        caller(request).require_agent(wish.by, departments, supervisor=wish.role is None, role=wish.role)
        if wish.role not in (None, "administrator"):
            raise Problem(403, "forbidden", "Only a supervisor or an administrator may do this.")
        if chat.opened_at is None:
            raise _no_such_chat()
        await _revoke_token(context, wish)
        return Response(status_code=204)

    @routes.post(ERASE_CHAT)
    async def erase(wanted: ChatErase, request: Request) -> ChatErased:
        caller(request).require_operator()
        bind_contextvars(chat_id=wanted.chat_id)
        chat = await context.store.load(wanted.chat_id)
        if chat.rev and not chat.closed:
            raise Problem(409, "chat_open", "This conversation has not ended. End it first.")
        found: dict[str, int] = {}
        if chat.rev:
            before, after = await context.store.change(wanted.chat_id, rules.erased)
            found["chats"] = int(before is not after)
        found["origins"] = await context.admission.erase(wanted.chat_id)
        log.info("chat_erased")
        return ChatErased(erased={category: number for category, number in found.items() if number})

    @routes.post(OPEN_CHATS)
    async def open_chats(query: OpenChatsQuery, request: Request) -> OpenChats:
        caller(request)
        listed, numbers = await asyncio.gather(
            context.store.open_of(query.departments, MOST_RUNNING), context.store.numbers_of(query.agents)
        )
        return OpenChats(departments=listed, of_agents=numbers)

    @routes.post(ASSIGNMENTS)
    async def assignments(query: AssignmentsQuery, request: Request) -> Assignments:
        who, departments = caller(request), query.departments
        who.require_agent(None, departments or (), supervisor=True)
        if departments is None and who.agent:
            departments = who.agent.departments
        if query.chat_id is not None:
            found = (await context.store.load(query.chat_id)).assignments[::-1]
            own = tuple(a for a in found if departments is None or a.department in departments)
            if found and not own:
                raise Problem(403, "forbidden", "This conversation was in none of your departments.")
            found = own
        else:
            found = tuple(await context.store.latest_assignments(departments or [], query.limit, context.clock()))
        return Assignments(assignments=list(found[: query.limit]))

    return routes


async def _transfer(context: Context, wish: Transfer) -> None:
    now = context.clock()
    before, after = await context.store.change(
        wish.chat_id,
        lambda c: transfer_rules.transferred(c, wish.agent_id, wish.to_department, wish.to_agent, now, context.limits),
    )
    if after == before:
        if transfer_rules.is_repeated(after, wish.agent_id, wish.to_department, wish.to_agent):
            return
        raise _refusal(after)
    context.chat_publisher.record(before, after, why="transferred")
    with suppress(Unconfirmed):  # the transfer is stored and marked: a repair job publishes it within seconds
        await context.chat_publisher.marked(after)
        await context.slot_requests.request(after.department or "")


async def _revoke_token(context: Context, wish: TokenRevocation) -> None:
    now = context.clock()
    before, after = await context.store.change(wish.chat_id, lambda c: rules.revoked_by_officer(c, now))
    context.chat_publisher.record(before, after, why="revoked")
    await context.record_handling_time(before, after)
    with suppress(Unconfirmed):  # the change is stored and marked: a repair job publishes it within seconds
        await context.chat_publisher.marked(after)
        if before.waits:
            await context.slot_requests.request(after.department or "")


def _no_such_chat() -> Problem:
    return Problem(404, "no_such_chat", "There is no such chat.")


def _refusal(chat: Chat) -> Problem:
    if chat.rev == 0:
        return _no_such_chat()
    if chat.assigned:
        return Problem(403, "not_yours", "Another agent has this chat.")
    return Problem(409, "unavailable", "This chat is not with an agent any more.")


async def _views(context: Context, chats: Iterable[Chat]) -> Chats:
    known = list(chats)
    waiting: dict[str, list[str]] = {}
    for chat in known:
        if chat.waits and chat.department:
            waiting.setdefault(chat.department, []).append(chat.id)
    queues = {d: await context.announcer.positions(d, having=ids) for d, ids in waiting.items()}
    views = []
    for chat in known:
        queue = queues.get(chat.department or "") if chat.waits else None
        position = queue.of.get(chat.id) if queue else None
        estimate = wait(position, queue.seconds_each if queue else None)
        views.append(view_of(chat, position, estimate, context.limits.accept))
    spent = [chat.id for chat in known if chat.closed and chat.opened_at is None]
    return Chats(chats=[view for view in views if view], spent=spent)
