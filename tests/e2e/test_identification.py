"""A citizen who identifies in a chat, through the whole system: log, transcript, chain, transfer, what is kept."""

import contextlib
import html
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.clients import Agent, Citizen, Socket, agent, citizen, http_client, new_id, pair, until_available
from tests.support.issuer_systems import CITIZEN, client_key, published_keys, running_identifying_system
from tests.support.mock_issuer import MockIssuer
from tests.support.servers import PATIENCE, ROOT, System

SAID = "U hebt zich geïdentificeerd via Toegangsbeheer Vlaanderen als Lien De Smet. Betrouwbaarheidsniveau: hoog."
WHO = {"name": "Lien De Smet", "level": "high", "issuer": "Toegangsbeheer Vlaanderen"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, MockIssuer]]:
    """The system authenticates by its key, which is in a file."""
    home = tmp_path_factory.mktemp("identifying")
    (home / "citizens.pem").write_text(client_key())
    settings = {"CITIZEN_OIDC_CLIENT_SECRET": "", "CITIZEN_OIDC_CLIENT_KEYS": f"file:{home / 'citizens.pem'}"}
    with running_identifying_system(home, LOG_LEVEL="debug", **settings) as made:
        made[1].client_keys = published_keys(made[0], "citizens")
        yield made


def step_is(word: str) -> Any:
    return lambda given: given is not None and given["step"] == word


async def ask(helper: Agent, theirs: Socket, chat_id: str) -> str:
    """The agent asks; both see it. The id of the request."""
    request = new_id()
    await helper.socket.send(type="identify", chat_id=chat_id, id=request)
    for socket in (helper.socket, theirs):
        shown = await socket.expect("message", identification=step_is("asked"))
        assert (shown["from"], shown["event"], shown["identification"]["id"]) == ("system", "identification", request)
        assert 600 - PATIENCE <= shown["identification"]["seconds"] <= 600
    return request


async def ticket(visitor: Citizen) -> str:
    """The address of the page of the visitor's identification."""
    path = f"{visitor.base}/api/chats/{visitor.chat_id}/identification"
    async with visitor.http.post(path, headers=visitor.bearer) as answer:
        assert answer.status == 201, await answer.text()
        return visitor.base + str((await answer.json())["url"])


def link_of(text: str) -> str:
    """The link of the page to the issuer."""
    found = text.split('data-testid="identify-go-on"')[0].rpartition('href="')[2].split('"')[0]
    return html.unescape(found)


async def log_in(browser: aiohttp.ClientSession, page: str) -> tuple[str, str]:
    """Open the page, follow its link to the issuer and back. The outcome, and the text of the last page."""
    async with browser.get(page) as answer:
        if answer.status != 200:
            return "expired", await answer.text()
        text = await answer.text()
    async with browser.get(link_of(text)) as answer:
        assert answer.url.path == "/identify/done"
        return answer.url.query["outcome"], await answer.text()


async def test_an_identity_is_in_the_conversation_the_transcripts_and_the_chain_and_stays_after_a_transfer(
    base: str, issuer: MockIssuer, running: tuple[System, MockIssuer], tmp_path: Path
) -> None:
    async with agent(base) as an, citizen(base) as visitor, browsing() as browser:
        theirs, ours = await pair(visitor, an)
        await ask(an, theirs, visitor.chat_id)
        page = await ticket(visitor)
        assert visitor.token not in page
        assert (await log_in(browser, page))[0] == "identified"
        for socket in (theirs, ours):
            shown = await socket.expect("message", identification=step_is("identified"))
            assert {name: shown["identification"][name] for name in WHO} == WHO
            assert shown["text"] == SAID
        assert (await log_in(browser, page))[0] == "expired", "a ticket is used once"

        async with agent(base, "bert") as bert:
            await until_available(an, bert)
            await an.socket.send(type="transfer", chat_id=visitor.chat_id, to={"agent": bert.id})
            await bert.socket.expect("assigned")
            again = await bert.socket.expect("message", identification=step_is("identified"))
            assert again["identification"]["name"] == "Lien De Smet"
            await theirs.expect("status", dot="green")
            await visitor.end()
            await theirs.closed()
            path = f"{base}/api/chats/{visitor.chat_id}/transcript?format=txt&lang=en"
            office = await (await bert.http.get(path)).text()
        assert "The citizen has identified themselves through Toegangsbeheer Vlaanderen as Lien De Smet." in office
        chat = tmp_path / "chat.json"
        chat.write_bytes(await (await visitor.transcript("json")).read())
        data = json.loads(chat.read_bytes())
        (told,) = [m for m in data["messages"] if m.get("text") == SAID]
        assert (told["from"], told["event"]) == ("system", "identification")
        for format_ in ("txt", "html"):
            assert SAID in (await (await visitor.transcript(format_)).read()).decode()
        assert (await (await visitor.transcript("pdf")).read()).startswith(b"%PDF")
        assert verify(chat) == 3, "intact; its key is not known here"
        chat.write_text(json.dumps(data).replace("De Smet", "De Smit"))
        assert verify(chat) == 1, "an altered name is found"
    logs = running[0].log_path.read_text(errors="replace")
    assert "identification" in logs
    for secret in (CITIZEN["rrn"], CITIZEN["sub"], "De Smet"):
        assert secret not in logs
    for secret in (CITIZEN["rrn"], CITIZEN["sub"]):
        assert secret not in json.dumps(data)


def verify(file: Path) -> int:
    command = [sys.executable, "-m", "deploy.verification", str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode


def browsing() -> Any:
    return http_client(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_who_declines_or_fails_goes_on_chatting(base: str, issuer: MockIssuer) -> None:
    async with agent(base) as an, citizen(base) as visitor, browsing() as browser:
        theirs, ours = await pair(visitor, an)
        await ask(an, theirs, visitor.chat_id)
        path = f"{base}/api/chats/{visitor.chat_id}/identification"
        assert (await visitor.http.delete(path, headers=visitor.bearer)).status == 204
        for socket in (theirs, ours):
            await socket.expect("message", identification=step_is("declined"))
        assert (await visitor.http.delete(path, headers=visitor.bearer)).status == 204
        assert (await visitor.http.post(path, headers=visitor.bearer)).status == 404

        issuer.error = "access_denied"
        await ask(an, theirs, visitor.chat_id)
        assert (await log_in(browser, await ticket(visitor)))[0] == "cancelled"
        await ours.expect("message", identification=step_is("failed"))

        issuer.error, issuer.overrides = "", {"acr": "urn:weak"}
        await ask(an, theirs, visitor.chat_id)
        assert (await log_in(browser, await ticket(visitor)))[0] == "failed"
        await ours.expect("message", identification=step_is("failed"))

        id_ = new_id()
        await theirs.send(type="message", id=id_, text="Kan het ook zonder?")
        await ours.expect("message", id=id_)


async def test_a_foreign_chat_and_a_foreign_browser_get_nothing(base: str, issuer: MockIssuer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        an, one = await stack.enter_async_context(agent(base)), await stack.enter_async_context(citizen(base))
        theirs, _ = await pair(one, an)
        bert, two = await stack.enter_async_context(agent(base, "bert")), await stack.enter_async_context(citizen(base))
        others, _ = await pair(two, bert)
        await ask(an, theirs, one.chat_id)
        path = f"{base}/api/chats/{two.chat_id}/identification"
        assert (await one.http.post(path, headers=one.bearer)).status == 403
        assert (await two.http.post(path, headers=two.bearer)).status == 404, "nobody asks there"
        await bert.socket.send(type="identify", chat_id=one.chat_id, id=new_id())
        await bert.socket.expect("error", code="not_yours")
        async with browsing() as mine, browsing() as stranger:
            async with mine.get(await ticket(one)) as answer:
                link = link_of(await answer.text())
            async with mine.get(link, allow_redirects=False) as answer:
                back = answer.headers["Location"]
            assert urlsplit(back).path == "/identify/callback"
            async with stranger.get(back) as answer:
                assert answer.url.query["outcome"] == "expired", "a browser that has begun nothing"
            async with mine.get(back) as answer:
                assert answer.url.query["outcome"] == "identified"
            async with mine.get(back) as answer:
                assert answer.url.query["outcome"] == "expired", "a replay"
        await theirs.expect("message", identification=step_is("identified"))
        assert not [f for f in others.frames if f.get("identification")]


async def test_an_issuer_that_is_down_leaves_the_request_open(base: str, issuer: MockIssuer) -> None:
    async with agent(base) as an, citizen(base) as visitor, browsing() as browser:
        theirs, _ = await pair(visitor, an)
        await ask(an, theirs, visitor.chat_id)
        page = await ticket(visitor)
        async with browser.get(page) as answer:
            link = link_of(await answer.text())
        async with browser.get(link, allow_redirects=False) as answer:
            back = answer.headers["Location"]
        issuer.down = True
        async with browser.get(back) as answer:
            assert answer.url.query["outcome"] == "failed"
        await theirs.expect("message", identification=step_is("failed"))
        issuer.down = False
        await ask(an, theirs, visitor.chat_id)
        assert (await log_in(browser, await ticket(visitor)))[0] == "identified"
