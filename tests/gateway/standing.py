"""What stands around a gateway in its tests: a real broker, and small real HTTP servers for the other services."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import unquote
from uuid import uuid4

import aio_pika
import uvicorn
from aio_pika.abc import AbstractIncomingMessage
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.types import ASGIApp

from services.common.config.departments import load_departments
from services.common.events.agents import ButtonChanged
from services.common.events.chats import CitizenArrived
from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessagesPosted
from services.common.events.types import ButtonReason, Cause, ChatStatus, Entry, Note, Party, Record
from services.common.http import problems
from services.common.http.tokens import Keys
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.common.messaging import topology
from services.common.messaging.declarations import declare_topology
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.runtime.http_limits import BoundedProtocol
from services.common.runtime.server import Server
from services.common.runtime.service import Service
from services.gateway.app import create_app
from services.gateway.background_tasks import Tasks
from services.gateway.button_state import Buttons
from services.gateway.chats.bindings import Bindings
from services.gateway.chats.event_queue import EventQueue, EventRouter
from services.gateway.chats.live_chats import LiveChats
from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.clients.http_client import HttpClient
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.identifying_numbers import NumberRules
from services.gateway.jobs.heartbeats import Heartbeat
from services.gateway.jobs.presence_check import PresenceCheck
from services.gateway.jobs.resync import Resync
from services.gateway.jobs.tail_check import TailCheck
from services.gateway.participants.agent import AgentHandler
from services.gateway.participants.citizen import CitizenHandler
from services.gateway.participants.own_departments import OwnDepartments
from services.gateway.participants.sessions import Registry
from services.gateway.participants.transfers import Transfers
from services.gateway.participants.written_numbers import WrittenNumbers
from services.gateway.sending.sender import MessageSender
from services.gateway.settings import Settings
from services.gateway.supervision.live import Live
from services.gateway.websocket.message_limits import MessageLimits
from services.gateway.websocket.transport import ReceivingProtocol
from tests.gateway.making import agent_view, entry, open_session, stored, view
from tests.support.conditions import until
from tests.support.servers import PATIENCE

F = TypeVar("F", bound=Event)
SECRET = "a secret of the tests alone"
KEYS = Keys(SECRET)
QUESTION_LEFT_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@contextlib.asynccontextmanager
async def listening(app: ASGIApp, send_buffer: int | None = None, **options: Any) -> AsyncIterator[tuple[Server, str]]:
    """Run a server of this application. Yield it with its host and port, which are bound before the server starts.

    Args:
        app: The application.
        send_buffer: Bytes that the kernel keeps for each connection; None: as many as it likes.
        options: Further settings of uvicorn.
    """
    own = socket.socket()
    if send_buffer is not None:  # the connections inherit it
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    own.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_keep_alive=2 * int(PATIENCE),  # a client never finds its connection closed by a slow machine
        timeout_graceful_shutdown=2,
        **options,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[own]))
    try:
        await until(lambda: server.started or serving.done(), "the server")
        assert not serving.done(), "the server did not start"
        yield server, f"127.0.0.1:{own.getsockname()[1]}"
    finally:
        server.end()
        await asyncio.gather(serving, return_exceptions=True)
        own.close()


class BreakablePublisher(Publisher):
    """A publisher of which the broker confirms nothing while it is `broken`."""

    broken = False

    async def publish(self, event: Event, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as in the class above
        if self.broken:
            raise Unconfirmed("broken by a test")
        await super().publish(event, timeout)

    async def publish_all(self, events: Sequence[tuple[Event, object]]) -> None:
        if self.broken:
            raise Unconfirmed("broken by a test")
        await super().publish_all(events)


@dataclass
class Others:
    """Presence, routing and transcripts as far as a gateway asks them. `away`: paths that answer 503.

    `refused`: paths that answer with a problem; `meanwhile`: what happens, once, while a path is being answered.
    """

    chats: dict[str, routing_api.ChatView] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)  # ids of chats that ended before they were opened
    logs: dict[str, list[Entry]] = field(default_factory=dict)
    notes: dict[str, list[Note]] = field(default_factory=dict)
    agents: dict[str, presence_api.AgentView] = field(default_factory=dict)
    sessions: dict[str, presence_api.OpenSession] = field(default_factory=dict)
    buttons: list[ButtonChanged] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    refused: dict[str, problems.Problem] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)  # the last one of each chat
    downloads: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and body
    held: presence_api.Held = field(
        default_factory=lambda: presence_api.Held(may_wait=True)
    )  # presence's answer to a press
    reserved: presence_api.Reserved = field(
        default_factory=lambda: presence_api.Reserved(seconds=60.0)
    )  # presence's answer to an open form
    admitted: routing_api.Admitted = field(default_factory=routing_api.Admitted)  # routing's answer to a press
    questions: dict[str, transcripts_api.LeftQuestion] = field(default_factory=dict)
    archive: list[transcripts_api.DoneQuestion] = field(default_factory=list)
    assignments: list[routing_api.Assignment] = field(default_factory=list)
    fixed: dict[str, Record] = field(default_factory=dict)  # answers by path
    device: str | None = None  # what presence answers to a login for the browser's cookie

    def open(self, chat_id: str, status: ChatStatus = ChatStatus.WAITING, agent_id: str | None = None) -> str:
        """There is such a chat, with its first entry; its token."""
        self.chats[chat_id] = view(1, status, agent_id, chat_id=chat_id)
        opened = {"party": Party.SYSTEM, "sender_id": "system", "event": Cause.OPENED, "text": "Geopend."}
        self.logs[chat_id] = [entry(1, chat_id, **opened)]
        return KEYS.chat_token(chat_id)

    def log_in(self, agent_id: str) -> str:
        """There is such an agent; their session's token."""
        self.agents[agent_id] = agent_view(agent_id)
        self.sessions[f"token-{agent_id}"] = open_session(agent_id)
        return f"token-{agent_id}"

    def answer(self, path: str, body: str) -> Record | None:
        if path in self.fixed:
            return self.fixed[path]
        if path == transcripts_api.TRANSCRIPT_KEYS:
            return transcripts_api.PublicKeys(keys=[])
        if path == routing_api.CHATS:
            query = routing_api.AlikeQuery.model_validate_json(body)
            alike = [c for c in self.chats for p in query.prefixes if c.startswith(p)]
            ids = list(dict.fromkeys((*query.chat_ids, *alike)))
            spent = [c for c in ids if c in self.spent]
            return routing_api.Chats(chats=[self.chats[c] for c in ids if c in self.chats], spent=spent)
        if path == routing_api.ADMIT:
            return self.admitted
        if path == routing_api.AGENT_CHATS:
            agent_id = routing_api.AgentChatsQuery.model_validate_json(body).agent_id
            assigned = [c for c in self.chats.values() if c.state is ChatStatus.ASSIGNED and c.agent_id == agent_id]
            return routing_api.Chats(chats=assigned)
        if path == transcripts_api.HISTORY:
            history = transcripts_api.HistoryQuery.model_validate_json(body)
            return transcripts_api.History(
                chats=[self._page(w, history.notes) for w in history.chats if w.chat_id in self.logs]
            )
        if path == transcripts_api.TAILS:
            after = transcripts_api.TailsQuery.model_validate_json(body).after or {}
            return transcripts_api.Tails(
                tails={c: seq + 1 for c, seq in after.items() if len(self.logs.get(c, ())) > seq}
            )
        if path == presence_api.AGENTS:
            wanted = presence_api.AgentsQuery.model_validate_json(body).ids
            return presence_api.Agents(agents=[a for a in self.agents.values() if wanted is None or a.id in wanted])
        if path == presence_api.BUTTONS:
            return presence_api.Buttons(buttons=self.buttons)
        if path == presence_api.HOLD:
            nothing = presence_api.HoldQuery.model_validate_json(body).again and self.held.hold is None
            return presence_api.Held(reason=ButtonReason.BUSY) if nothing else self.held
        if path == presence_api.RESERVE:
            return self.reserved
        if path == presence_api.RELEASE:
            return presence_api.Reserved()
        if path == routing_api.ASSIGNMENTS:
            return routing_api.Assignments(assignments=self.assignments)
        if path == transcripts_api.QUESTION_LEAVE:
            left = transcripts_api.LeftQuestion.model_validate_json(body)
            kept = self.questions.setdefault(left.chat_id, left)
            return transcripts_api.QuestionReceipt(answer_by=kept.answer_by)
        if path == transcripts_api.QUESTION_ASK:
            asked = transcripts_api.AskedQuestion.model_validate_json(body)
            kept = self.questions.setdefault(asked.chat_id, asked)
            return transcripts_api.QuestionReceipt(number="AAAA3333", at=QUESTION_LEFT_AT, answer_by=kept.answer_by)
        if path == transcripts_api.QUESTIONS:
            wanted_ones = transcripts_api.QuestionsQuery.model_validate_json(body).departments
            return transcripts_api.Questions(
                questions=[q for q in self.questions.values() if q.department in wanted_ones]
            )
        if path == transcripts_api.QUESTION_DONE:
            self.questions.pop(transcripts_api.QuestionDone.model_validate_json(body).chat_id, None)
        if path == transcripts_api.QUESTION_ARCHIVE:
            page = transcripts_api.ArchiveQuery.model_validate_json(body)
            return transcripts_api.ArchivePage(
                questions=[q for q in self.archive if q.department in page.departments], next="1-a"
            )
        if path == transcripts_api.QUESTION_UNDO:
            return self.questions[transcripts_api.QuestionUndo.model_validate_json(body).chat_id]
        if path == transcripts_api.QUESTION_CLAIM:
            return self.questions[transcripts_api.QuestionClaim.model_validate_json(body).chat_id]
        if path == presence_api.SESSION_LOOKUP:
            token = presence_api.SessionToken.model_validate_json(body).token
            if token not in self.sessions:
                raise problems.Problem(401, "unauthenticated", "no such session")
            return self.sessions[token]
        if path == presence_api.SESSION_OPEN:
            name = presence_api.Credentials.model_validate_json(body).username
            return open_session(name, self.log_in(name)).model_copy(update={"device": self.device})
        return None

    def _page(self, wanted: transcripts_api.HistoryWanted, notes: bool) -> transcripts_api.ChatHistory:
        log = self.logs[wanted.chat_id]
        return transcripts_api.ChatHistory(
            chat_id=wanted.chat_id,
            last_seq=len(log),
            entries=log[wanted.after : wanted.after + transcripts_api.PAGE],
            notes=self.notes.get(wanted.chat_id, []) if notes else [],
            sealed=bool(log) and log[-1].is_seal,
        )

    def app(self) -> FastAPI:
        app = FastAPI()
        problems.install(app)

        @app.post("/internal/{rest:path}")
        async def answer(request: Request) -> Response:
            path, body = request.url.path, (await request.body()).decode()
            assert KEYS.service_of(request.headers["authorization"].removeprefix("Bearer "))
            self.asked.append((path, body))
            if path in self.away:
                return Response(status_code=503)
            if path in self.refused:
                raise self.refused[path]
            given = self.answer(path, body)
            if path in self.meanwhile:
                await self.meanwhile.pop(path)()
            return Response(
                given.model_dump_json() if given else b"", 200 if given else 204, media_type="application/json"
            )

        _files(app, self)
        return app


def _files(app: FastAPI, others: Others) -> None:
    """Attachments and transcripts, as far as a gateway passes them on."""

    @app.post("/questions/{chat_id}/attachments", status_code=201)
    @app.post("/chats/{chat_id}/attachments", status_code=201)
    async def upload(request: Request, chat_id: str) -> dict[str, Any]:
        if chat_id in others.away:
            raise problems.Problem(415, "type_not_allowed", "not this type")
        known = KEYS.service_of(request.headers["authorization"].removeprefix("Bearer "))
        others.files[chat_id] = b"".join([chunk async for chunk in request.stream()])
        actor = known[1].model_dump() if known and known[1] else None
        return {"name": unquote(request.headers["x-file-name"]), "size": len(others.files[chat_id]), "actor": actor}

    @app.get("/questions/{chat_id}/{rest:path}")
    @app.get("/chats/{chat_id}/{rest:path}")
    async def download(request: Request, chat_id: str, rest: str) -> Response:
        if chat_id not in others.files:
            raise problems.Problem(404, "no_such_chat", "no such chat")
        asked = f"{rest}?{request.url.query}" if request.url.query else rest
        others.downloads.append(asked)
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff", "X-Asked": asked}
        return Response(others.files[chat_id], headers=headers, media_type="text/plain")


class World:
    """A broker with a consumer of every event, a publisher for what the other services publish, and their HTTP side."""

    def __init__(self, url: str, others: Others, others_url: str) -> None:
        self.url, self.others = url, others
        self.events: list[Event] = []
        self.publisher = Publisher(url, "others")
        self.settings = Settings(
            token_secret=SECRET,
            rabbitmq_url=url,
            presence_url=others_url,
            routing_url=others_url,
            transcripts_url=others_url,
            rate_limits="off",
        )
        self.storing = True  # whether what is posted is stored at once

    def received(self, kind: type[F]) -> list[F]:
        return [f for f in self.events if isinstance(f, kind)]

    async def received_all_of(self, publisher: Publisher) -> None:
        """Returns when all was received that this publisher has published so far, since its events come in order."""
        mark = CitizenArrived(chat_id=str(uuid4()))
        await publisher.publish(mark)
        await until(lambda: mark.event_id in {event.event_id for event in self.events}, "the last event")
        self.events[:] = [event for event in self.events if event.event_id != mark.event_id]

    async def receive(self, kind: type[F], number: int = 1, seconds: float = PATIENCE) -> list[F]:
        """Returns as soon as so many events of this kind were received."""
        await until(lambda: len(self.received(kind)) >= number, f"{number} {kind.__name__}", seconds)
        return self.received(kind)

    async def take(self, message: AbstractIncomingMessage) -> None:
        event = decode(message.body)
        self.events.append(event)
        if isinstance(event, MessagesPosted) and self.storing:
            for posted in event.posted:
                await self.store(posted)
        if isinstance(event, MessagePosted) and self.storing:
            await self.store(event)

    async def store(self, posted: MessagePosted) -> None:
        """What transcripts does with a message: the next seq, or the seq that its id has."""
        log = self.others.logs[posted.chat_id]
        known = [e for e in log if (e.id, e.sender_id) == (posted.id, posted.sender.id)]
        said = {"id": posted.id, "party": posted.sender.party, "sender_id": posted.sender.id, "text": posted.text}
        one = known[0] if known else entry(len(log) + 1, posted.chat_id, **said)
        if not known:
            log.append(one)
        await self.publisher.publish(stored(one))

    async def append(self, *entries: Entry, publish: bool = True) -> None:
        """These are in the log now."""
        for one in entries:
            self.others.logs[one.chat_id].append(one)
            if publish:
                await self.publisher.publish(stored(one))


@contextlib.asynccontextmanager
async def around(url: str) -> AsyncIterator[World]:
    """The world of one test."""
    others = Others()
    connection = await aio_pika.connect(url)
    try:
        async with listening(others.app(), ws="none") as (_, address):
            world = World(url, others, f"http://{address}")
            channel = await connection.channel()
            await declare_topology(channel)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(topology.EXCHANGE, "#")
            await queue.consume(world.take, no_ack=True)
            async with kept(world.publisher.run()):
                await asyncio.wait_for(world.publisher.link.up.wait(), PATIENCE)
                yield world
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def kept(*runs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These run in the background; none may end by itself."""
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        yield
        for task in tasks:
            assert not task.done(), "it ended by itself"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class CountingResync(Resync):
    """A resync that counts how often it is requested."""

    requests = 0

    def request(self) -> None:
        self.requests += 1
        super().request()


class StoppableRouter(EventRouter):
    """A router that handles nothing while its gateway `stands_still`."""

    stands_still = False

    def handle(self, event: Event) -> None:
        if not self.stands_still:
            super().handle(event)


class Parts:
    """A gateway's parts, put together as in its `app.py`, without sockets."""

    def __init__(self, world: World, url: str) -> None:
        departments = load_departments(world.settings.departments_file)
        self.tasks, self.registry, self.bindings = Tasks(), Registry(), Bindings()
        self.publisher = BreakablePublisher(url, "gateway")
        self.http = HttpClient(world.settings, KEYS)
        self.presence, self.routing = PresenceClient(self.http), RoutingClient(self.http)
        self.transcripts = TranscriptsClient(self.http)
        self.chats = LiveChats("gateway-under-test", self.registry, self.bindings, MessageLimits(limited=False))
        self.buttons = Buttons(departments, lambda: self.bindings.up)
        self.following = Subscriptions(self.chats, self.routing, self.transcripts, self.tasks)
        self.message_sender = MessageSender(self.chats, self.publisher, self.tasks)
        self.heartbeat = Heartbeat(self.chats.incarnation, self.registry, self.publisher)
        self.numbers = WrittenNumbers(self.chats, NumberRules(departments))
        self.citizens = CitizenHandler(
            self.following, self.message_sender, self.publisher, KEYS, self.tasks, self.numbers, departments
        )
        self.transfers = Transfers(self.publisher, self.presence, self.routing, departments)
        self.live = Live(
            self.bindings, self.buttons, self.presence, self.routing, self.transcripts, departments, self.tasks
        )
        self.own = OwnDepartments(self.buttons, self.presence, self.tasks)
        self.agents = AgentHandler(
            self.following,
            self.message_sender,
            self.publisher,
            self.transfers,
            self.tasks,
            self.numbers,
            self.presence,
            self.routing,
            self.live,
            self.own,
            departments,
        )
        self.resync = CountingResync(self.following, self.agents, self.buttons, self.presence, self.routing)
        self.router = StoppableRouter(
            self.following, self.citizens, self.agents, self.buttons, self.resync, self.live, self.own
        )
        self.event_queue = EventQueue(url, self.bindings, self.router)
        self.tail_check = TailCheck(self.following, self.transcripts)
        self.presence_check = PresenceCheck(self.chats, self.publisher)

    @property
    def resyncs(self) -> int:
        """How often a resync was requested."""
        return self.resync.requests

    @property
    def idle(self) -> bool:
        """Whether everything that connections used was given back."""
        chats, registry = self.chats, self.registry
        left = (chats.by_id, chats.of_agents, chats.receipts, registry.citizens, registry.agents)
        return not any(left) and self.bindings.idle


@contextlib.asynccontextmanager
async def parts_of(world: World, url: str | None = None) -> AsyncIterator[Parts]:
    """The parts, connected to the broker, by an address of their own if they are given one."""
    parts = Parts(world, url or world.url)
    try:
        async with kept(parts.publisher.run(), parts.event_queue.run(), parts.resync.run()):
            await asyncio.wait_for(parts.event_queue.link.up.wait(), PATIENCE)
            await asyncio.wait_for(parts.publisher.link.up.wait(), PATIENCE)
            yield parts
            await parts.tasks.settle(0.1)
    finally:
        await parts.http.close()


@dataclass(frozen=True)
class Gateway:
    """A running gateway: its host and port, and its application."""

    address: str
    app: FastAPI
    server: Server

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    def websockets(self) -> list[ReceivingProtocol]:
        """The websockets that are open."""
        return [one for one in self.server.server_state.connections if isinstance(one, ReceivingProtocol)]

    def backlog(self) -> int:
        """Bytes that the kernel has not taken yet, of all websockets."""
        return sum(one.transport.get_write_buffer_size() for one in self.websockets())


@contextlib.asynccontextmanager
async def gateway_of(
    settings: Settings, connected: bool = True, send_buffer: int | None = None
) -> AsyncIterator[Gateway]:
    """A gateway behind a real server, set as `server.py` sets it, but for the time in which a ping is answered.

    It has its broker unless not `connected`. `send_buffer`: as for `listening`.
    """
    app = create_app(settings)
    async with listening(
        app,
        send_buffer,
        http=BoundedProtocol,
        ws=ReceivingProtocol,
        ws_max_size=64 * 1024,
        ws_ping_interval=2 * PATIENCE,
        ws_ping_timeout=2 * PATIENCE,
        ws_per_message_deflate=False,
    ) as (server, address):
        gateway = Gateway(address, app, server)
        async with asyncio.timeout(PATIENCE):
            while connected and (await gateway.service.readiness()).get("broker") != "ok":
                await asyncio.sleep(0.02)
        yield gateway
