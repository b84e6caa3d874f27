"""`services/gateway/clients/transcripts.py`: many chats in parts, and shared requests for pages."""

import asyncio

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from services.common.internal_api import transcripts as transcripts_api
from services.gateway.clients import transcripts as module
from tests.gateway.clients.serving import asking
from tests.gateway.making import CHAT, id_of

pytestmark = pytest.mark.usefixtures("patience")


async def test_many_chats_are_asked_in_parts_and_none_in_no_question() -> None:
    app, sizes = FastAPI(), list[int]()

    @app.post(transcripts_api.TAILS)
    async def tails(request: Request) -> Response:
        ids = (await request.json())["chat_ids"]  # a former version reads no more than that, and returns all tails
        sizes.append(len(ids))
        return Response(
            transcripts_api.Tails(tails=dict.fromkeys(ids, 1)).model_dump_json(), media_type="application/json"
        )

    async with asking(app) as clients:
        has = {id_of(n): n % 2 for n in range(450)}
        assert await clients.transcripts.grown(has) == {chat_id: 1 for chat_id, seq in has.items() if not seq}
        assert await clients.transcripts.grown({}) == {}
    assert sizes == [200, 200, 50]


async def test_many_who_want_a_page_share_a_request_and_each_gets_their_own_answer() -> None:
    app, asked = FastAPI(), list[list[tuple[str, int]]]()
    waited = transcripts_api.HistoryWanted(chat_id=CHAT, after=1, at_least=2)

    @app.post(transcripts_api.HISTORY)
    async def history(query: transcripts_api.HistoryQuery) -> Response:
        asked.append([(w.chat_id, w.after) for w in query.chats])
        pages = [transcripts_api.ChatHistory(chat_id=w.chat_id, last_seq=w.after, entries=[]) for w in query.chats]
        known = [page for page in pages if page.chat_id != id_of(99)]
        return Response(transcripts_api.History(chats=known).model_dump_json(), media_type="application/json")

    async with asking(app) as clients:
        many = [transcripts_api.HistoryWanted(chat_id=id_of(n % 10), after=n) for n in range(100)]
        pages = await asyncio.gather(*(clients.transcripts.page(w) for w in many), clients.transcripts.page(waited))
        assert [page and (page.chat_id, page.last_seq) for page in pages[:-1]] == [(w.chat_id, w.after) for w in many]
        assert await clients.transcripts.page(transcripts_api.HistoryWanted(chat_id=id_of(99))) is None
    assert [(CHAT, 1)] in asked, "who may have to wait holds nobody up"
    assert len(asked) <= 15
    assert all(len(dict(chats)) == len(chats) <= module.MOST_PAGES for chats in asked), "each chat once in a question"
