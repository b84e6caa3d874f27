"""A citizen and an agent over the protocol, as an independent client speaks it. Nothing of services/ in here."""

import asyncio
import contextlib
import io
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import aiohttp

Frame = dict[str, Any]
T = TypeVar("T")
WAIT = 120.0  # seconds: a guard against hanging, never a promise
NOT_NOW = 1012  # close code of a server that goes, or that cannot answer for the moment
PASSING = (1006, NOT_NOW)  # these, and that of a server that was killed


class ReadAtOnce(aiohttp.ClientResponse):
    """A response that is read to its end as it comes, so that none is left open; a stream of events is left alone."""

    async def start(self, connection: Any) -> "ReadAtOnce":
        await super().start(connection)
        if self.status != 101 and self.content_type != "text/event-stream":
            await self.read()
        return self


def http_client(**options: Any) -> aiohttp.ClientSession:
    """A client whose responses are read at once."""
    return aiohttp.ClientSession(response_class=ReadAtOnce, **options)


class Closed(Exception):
    """The server closed the websocket; `code` is its close code."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Socket:
    """One websocket that is read all the time (pings are answered); every frame that came is kept, in order."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, accepts: bool = False) -> None:
        """`accepts`: an agent's, who accepts each chat as soon as it is given to them."""
        self.ws = ws
        self._accepts = accepts
        self.frames: list[Frame] = []
        self._next = 0
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.ws:
            self.frames.append(message.json())
            if self._accepts:
                await self._accept(self.frames[-1])
            self._news.set()

    async def _accept(self, frame: Frame) -> None:
        chats = frame["chats"] if frame["type"] == "welcome" else [frame["chat"]] if frame["type"] == "assigned" else []
        for chat in chats:
            if not chat["accepted"]:
                with contextlib.suppress(ConnectionError):
                    await self.send(type="accept", chat_id=chat["chat_id"])

    async def send(self, **frame: Any) -> None:
        await self.ws.send_json(frame)

    async def expect(self, kind: str, wait: float = WAIT, **members: Any) -> Frame:
        """The next frame of this type with these members (a callable tests one). Raises `Closed`, `TimeoutError`."""
        async with asyncio.timeout(wait):
            while True:
                frame = await self._take()
                if frame["type"] == kind and all(_fits(frame.get(k), v) for k, v in members.items()):
                    return frame

    async def expect_any(self, *kinds: str, wait: float = WAIT) -> Frame:
        """The next frame of one of these types. Raises `Closed`, `TimeoutError`."""
        async with asyncio.timeout(wait):
            while (frame := await self._take())["type"] not in kinds:
                pass
        return frame

    async def expect_each(self, *wanted: Frame, wait: float = WAIT) -> None:
        """Return when a frame has come that fits each of these, in whatever order. Raises like `expect`.

        For what independent parts of the system send: their order on the connection is chance.
        """
        missing = list(wanted)
        async with asyncio.timeout(wait):
            while missing:
                frame = await self._take()
                missing = [m for m in missing if not all(_fits(frame.get(k), v) for k, v in m.items())]

    async def closed(self, wait: float = WAIT) -> int | None:
        """The close code, as soon as the server closes; None when it does not within so many seconds."""
        await asyncio.wait([self._reader], timeout=wait)
        return self.ws.close_code

    async def _take(self) -> Frame:
        while self._next >= len(self.frames):
            self._news.clear()
            news = asyncio.create_task(self._news.wait())
            await asyncio.wait([news, self._reader], return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            if self._reader.done() and self._next >= len(self.frames):
                raise Closed(self.ws.close_code)
        self._next += 1
        return self.frames[self._next - 1]

    def messages(self, chat_id: str | None = None) -> list[Frame]:
        """The messages shown so far, each seq once, in the order of seq, as the transcript has them."""
        shown = {f["seq"]: f for f in self.frames if f["type"] == "message" and f.get("chat_id") == chat_id}
        return [{k: v for k, v in shown[seq].items() if k not in ("type", "chat_id", "about")} for seq in sorted(shown)]

    async def close(self) -> None:
        await self.ws.close()
        await asyncio.gather(self._reader, return_exceptions=True)


def _fits(value: Any, wanted: Any) -> bool:
    return bool(wanted(value)) if callable(wanted) else bool(value == wanted)


class Citizen:
    """A citizen's browser: no cookies, one chat."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base, self.http = base, session
        self.chat_id = self.token = ""
        self.sockets: list[Socket] = []

    async def start(self, key: str | None = None, **body: Any) -> aiohttp.ClientResponse:
        """Presses the green button. The answer, whatever it is."""
        headers = {"Idempotency-Key": key} if key else {}
        response = await self.http.post(f"{self.base}/api/chats", json=body, headers=headers)
        await response.read()
        if response.status == 201:
            started = await response.json()
            self.chat_id, self.token = started["chat_id"], started["token"]
        return response

    async def end(self) -> None:
        """End the chat, whatever state it is in; a server that cannot answer for the moment is asked again."""
        end, code = time.monotonic() + WAIT, None
        while code in (None, *PASSING) and time.monotonic() < end:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                socket = await self.connect()
                await socket.send(type="hello", token=self.token, after=0)
                await socket.send(type="close")
                code = await socket.closed()
                await socket.close()
            if code in (None, *PASSING):
                await asyncio.sleep(0.03)

    async def connect(self, **headers: str) -> Socket:
        ws = await self.http.ws_connect(f"{self.base}/ws/citizen", headers=headers)
        self.sockets.append(Socket(ws))
        return self.sockets[-1]

    async def join(self, after: int = 0) -> Socket:
        """Connects and says hello; returns when the welcome has come. A server that cannot answer is asked again."""

        async def greeted() -> Socket:
            socket = await self.connect()
            await socket.send(type="hello", token=self.token, after=after)
            await socket.expect("welcome")
            return socket

        return await _served(greeted)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def upload(self, name: str, body: bytes, chat_id: str | None = None) -> aiohttp.ClientResponse:
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(body), filename=name, content_type="application/octet-stream")
        url = f"{self.base}/api/chats/{chat_id or self.chat_id}/attachments"
        return await self.http.post(url, data=form, headers=self.bearer)

    async def transcript(self, format: str = "json") -> aiohttp.ClientResponse:
        return await self.http.get(
            f"{self.base}/api/chats/{self.chat_id}/transcript?format={format}", headers=self.bearer
        )


class Agent:
    """An agent's browser: a cookie, one or more websockets. `accepts`: each chat, as soon as it is given to them."""

    def __init__(self, base: str, session: aiohttp.ClientSession, username: str, accepts: bool = True) -> None:
        self.base, self.http, self.username, self.accepts = base, session, username, accepts
        self.socket: Socket
        self.id = ""

    async def log_in(self, password: str = "demo", new: str = "") -> aiohttp.ClientResponse:
        """Logs in; `new` replaces a password for one login."""
        body = {"username": self.username, "password": password, **({"new": new} if new else {})}
        return await self.http.post(f"{self.base}/api/agent/session", json=body, headers={"Origin": self.base})

    async def log_out(self) -> aiohttp.ClientResponse:
        return await self.http.delete(f"{self.base}/api/agent/session", headers={"Origin": self.base})

    async def connect(self, chats: dict[str, int] | None = None) -> Frame:
        """Opens the websocket and says hello; returns the welcome. A server that cannot answer is asked again."""

        async def greeted() -> Frame:
            ws = await self.http.ws_connect(f"{self.base}/ws/agent", headers={"Origin": self.base})
            self.socket = Socket(ws, self.accepts)
            await self.socket.send(type="hello", chats=chats or {})
            return await self.socket.expect("welcome")

        welcome = await _served(greeted)
        self.id = welcome["agent"]["id"]
        return welcome

    async def leave(self) -> None:
        """Logs out and closes, so that the next test finds a clean context."""
        with contextlib.suppress(aiohttp.ClientError, AttributeError):
            await self.log_out()
            await self.socket.close()


async def _served(greeted: Callable[[], Awaitable[T]]) -> T:
    """What this returns, tried again as pages do while the server closes because it cannot answer for the moment."""
    end = time.monotonic() + WAIT
    while True:
        try:
            return await greeted()
        except Closed as closed:
            if closed.code != NOT_NOW or time.monotonic() > end:
                raise
        await asyncio.sleep(0.03)


def new_id() -> str:
    return str(uuid.uuid4())


@contextlib.asynccontextmanager
async def citizen(base: str) -> AsyncIterator[Citizen]:
    async with http_client(cookie_jar=aiohttp.DummyCookieJar()) as session:
        participant = Citizen(base, session)
        try:
            yield participant
        finally:
            for socket in participant.sockets:
                await socket.close()
            if participant.token:
                await participant.end()


@contextlib.asynccontextmanager
async def agent(base: str, username: str = "an", accepts: bool = True) -> AsyncIterator[Agent]:
    """An agent who is logged in and connected; logs out at the end."""
    async with http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        participant = Agent(base, session, username, accepts)
        assert (await participant.log_in()).status == 204
        try:
            await participant.connect()
            yield participant
        except BaseException:
            if hasattr(participant, "socket"):
                print(f"The last frames of {username}:", *participant.socket.frames[-10:], sep="\n")
            raise
        finally:
            await participant.leave()


async def button(base: str, department: str = "algemeen") -> Frame:
    """What a page shows of this department's button now."""
    async with http_client() as session:
        answer = await session.get(f"{base}/api/button", params={"department": department})
        shown: Frame = await answer.json()
        return shown


async def until(
    condition: Callable[[Frame], bool], base: str, wait: float = WAIT, department: str = "algemeen"
) -> Frame:
    """The button as soon as the condition holds for it. Raises `AssertionError` when it does not in time."""
    end = time.monotonic() + wait
    while not condition(shown := await button(base, department)):
        assert time.monotonic() < end, f"the button stayed {shown}"
        await asyncio.sleep(0.03)
    return shown


async def until_green(base: str, department: str = "algemeen") -> None:
    await until(lambda b: b["colour"] == "green", base, department=department)


async def until_available(helper: Agent, colleague: Agent) -> None:
    """Return when `helper` can transfer a chat to this colleague: presence learns of a connection after its welcome.

    The button does not tell it: it may still show the green from before the last press.
    """
    end = time.monotonic() + WAIT
    while True:
        answer = await helper.http.get(f"{helper.base}/api/agents")
        if answer.status == 200 and colleague.id in {one["id"] for one in (await answer.json())["agents"]}:
            return
        assert time.monotonic() < end, f"{colleague.username} is not available: {await answer.text()}"
        await asyncio.sleep(0.03)


async def until_blue(base: str, reason: str) -> None:
    await until(lambda b: b["colour"] == "blue" and b["reason"] == reason, base)


async def begin(participant: Citizen, **start: Any) -> None:
    """Press the button as soon as it is green; a colour from just before may still be shown for 0.2 s.

    A press that is refused for the moment (503) is repeated as the same one: a chat may have begun all the same.
    """
    end, key = time.monotonic() + WAIT, start.pop("key", None)
    press = key or new_id()
    while True:
        await until_green(participant.base, start.get("department", "algemeen"))
        response = await participant.start(key=press, **start)
        if response.status == 201:
            return
        assert response.status in (409, 503), await response.text()
        assert time.monotonic() < end, f"the button is green, but no press is served: {response.status}"
        if response.status == 409:
            press = key or new_id()


async def pair(participant: Citizen, helper: Agent, **start: Any) -> tuple[Socket, Socket]:
    """A chat between the two, begun: the agent has accepted the chat and the citizen's dot is green."""
    await begin(participant, **start)
    socket = await participant.join()
    await helper.socket.expect("assigned", chat=lambda c: c["chat_id"] == participant.chat_id)
    await socket.expect("status", dot="green")
    return socket, helper.socket


async def say(socket: Socket, text: str, chat_id: str | None = None) -> Frame:
    """Posts a text and waits for its receipt."""
    id_ = new_id()
    members = {"chat_id": chat_id} if chat_id else {}
    await socket.send(type="message", id=id_, text=text, **members)
    return await socket.expect("message", id=id_)
