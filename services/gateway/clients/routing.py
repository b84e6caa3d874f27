"""Client of routing's internal API."""

from __future__ import annotations

from collections.abc import Iterable

from services.common.events.types import Record
from services.common.internal_api import queries
from services.common.internal_api import routing as api
from services.common.internal_api.supervision import OPEN_CHATS, OpenChats, OpenChatsQuery
from services.gateway.clients.http_client import Gathering, HttpClient


class RoutingClient:
    """Chats, admission, transfers and assignments.

    Every method raises `Unavailable` when routing does not answer.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._chats = Gathering(self._some_chats, queries.MAX_CHATS)
        self._alike = Gathering(self._some_alike, queries.MAX_CHATS)

    async def chats(self, chat_ids: Iterable[str]) -> dict[str, api.ChatView]:
        """Return what routing knows of these chats (any number). Unknown chats are left out."""
        views: dict[str, api.ChatView] = {}
        for part in queries.parts(list(chat_ids)):
            answer = await self._some_chats(part)
            views.update((c.chat_id, c) for c in answer.chats)
        return views

    async def chat(self, chat_id: str) -> tuple[api.ChatView | None, bool]:
        """Return what routing knows of this chat, and whether its id is spent: the chat ended before it was opened.

        Callers that arrive while another answer is awaited share the next request.
        """
        answer = await self._chats.ask(chat_id)
        return next((c for c in answer.chats if c.chat_id == chat_id), None), chat_id in answer.spent

    async def chats_like(self, chat_id: str) -> tuple[list[api.ChatView], bool]:
        """Return the chat of this id and recent ones of the same key (`prefix_of`), and whether the id is spent.

        Requests are shared as in `chat`. Routing 1.1 knows no prefixes and answers for the id alone.
        """
        answer = await self._alike.ask(chat_id)
        prefix = api.prefix_of(chat_id)
        return [c for c in answer.chats if api.prefix_of(c.chat_id) == prefix], chat_id in answer.spent

    async def _some_alike(self, chat_ids: list[str]) -> api.Chats:
        question = api.AlikeQuery(chat_ids=chat_ids, prefixes=[api.prefix_of(c) for c in chat_ids])
        return await self._http.read("routing", api.CHATS, question, api.Chats)

    async def _some_chats(self, chat_ids: list[str]) -> api.Chats:
        return await self._http.read("routing", api.CHATS, queries.ChatsQuery(chat_ids=chat_ids), api.Chats)

    async def chats_of_agent(self, agent_id: str) -> list[api.ChatView]:
        """Return the open chats that are assigned to this agent."""
        question = api.AgentChatsQuery(agent_id=agent_id)
        return (await self._http.read("routing", api.AGENT_CHATS, question, api.Chats)).chats

    async def admit(self, query: api.AdmitQuery) -> api.Admitted:
        """Return whether a citizen may start a chat.

        Raises:
            Declined: Routing refused to answer.
        """
        return await self._http.ask("routing", api.ADMIT, query, api.Admitted)

    async def transfer(self, transfer: api.Transfer) -> None:
        """Transfer a chat.

        Raises:
            Declined: The chat is not the agent's, or cannot be transferred.
        """
        await self._http.ask("routing", api.TRANSFER, transfer, Record)

    async def revoke_token(self, revocation: api.TokenRevocation) -> None:
        """Revoke the token of a chat's citizen, and end the chat.

        Raises:
            Declined: The chat is not known, or not of the supervisor's departments.
        """
        await self._http.ask("routing", api.TOKEN_REVOKE, revocation, Record)

    async def assignments(self, query: api.AssignmentsQuery) -> list[api.Assignment]:
        """Return the assignments that the query selects.

        Raises:
            Declined: The departments are not the supervisor's.
        """
        return (await self._http.ask("routing", api.ASSIGNMENTS, query, api.Assignments, hedged=True)).assignments

    async def open_chats(self, query: OpenChatsQuery) -> OpenChats:
        """Return the open chats of departments, and how many chats agents have."""
        return await self._http.read("routing", OPEN_CHATS, query, OpenChats)
