"""Composition of the gateway. No other module constructs its parts."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from uuid import uuid4

from fastapi import FastAPI

from services.common.config.departments import load_departments
from services.common.config.watch import Apply, ConfigurationWatch
from services.common.messaging.publisher import Publisher
from services.common.runtime.configuration import departments_source, follow_departments
from services.common.runtime.service import Service
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
from services.gateway.http import files, integration, refusals
from services.gateway.http.citizen import (
    after_chat,
    asked_questions,
    button,
    departments_api,
    frames,
    identification,
    reservations,
)
from services.gateway.http.citizen import chats as chat_routes
from services.gateway.http.citizen.start_chat import Starting
from services.gateway.http.console import (
    access_log,
    accounts,
    assignments,
    canned_answers,
    configuration,
    labels,
    left_questions,
    oidc,
    past_chats,
    reports,
    sessions,
    supervision,
)
from services.gateway.http.console import agents as agent_routes
from services.gateway.http.console.left_questions import Questions
from services.gateway.http.pages import routes as pages
from services.gateway.http.pages import verification
from services.gateway.http.security import security_txt
from services.gateway.http.security.console_host import ConsoleHost, Hosts
from services.gateway.http.security.cors import ListedOrigins
from services.gateway.http.security.hosts import KnownHosts
from services.gateway.http.security.security_headers import headers_of
from services.gateway.identifying_numbers import NumberRules
from services.gateway.jobs.heartbeats import Heartbeat
from services.gateway.jobs.presence_check import PresenceCheck
from services.gateway.jobs.resync import Resync
from services.gateway.jobs.sync_frames import send_sync_frames
from services.gateway.jobs.tail_check import TailCheck
from services.gateway.participants.agent import AgentHandler
from services.gateway.participants.citizen import CitizenHandler
from services.gateway.participants.own_departments import OwnDepartments
from services.gateway.participants.posted_frames import PostedFrames
from services.gateway.participants.sessions import Registry
from services.gateway.participants.transfers import Transfers
from services.gateway.participants.written_numbers import WrittenNumbers
from services.gateway.sending.sender import MessageSender
from services.gateway.settings import Settings
from services.gateway.supervision.live import Live
from services.gateway.websocket import endpoints
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits

SPREAD = 5.0  # seconds over which a draining gateway closes its websockets; the browsers reconnect elsewhere
SPREAD_EACH = 0.01  # seconds of that for each connection: with few connections the drain is short


def create_app(settings: Settings) -> FastAPI:
    """Return the gateway's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: A setting or the departments file is invalid.
    """
    service = Service("gateway", settings, headers_of(settings))
    source = departments_source(settings)
    watch = ConfigurationWatch({"DEPARTMENTS_FILE": source})
    departments = load_departments(settings.departments_file)
    incarnation = str(uuid4())
    tasks = Tasks()
    allowances = MessageLimits(limited=settings.rate_limits == "on")
    publisher = Publisher(settings.rabbitmq_url, "gateway", settings.topology == "given")
    http = HttpClient(settings, service.keys)
    presence, routing, transcripts = PresenceClient(http), RoutingClient(http), TranscriptsClient(http)
    registry, bindings = Registry(), Bindings()

    def broker_up() -> bool:
        return bindings.up and publisher.up

    buttons = Buttons(departments, broker_up, settings.timezone)
    chats = LiveChats(incarnation, registry, bindings, allowances)
    following = Subscriptions(chats, routing, transcripts, tasks)
    message_sender = MessageSender(
        chats, publisher, tasks, together=settings.facts_together == "on", allowances=allowances
    )
    numbers = NumberRules(departments)
    written = WrittenNumbers(chats, numbers)
    citizens = CitizenHandler(
        following, message_sender, publisher, service.keys, tasks, written, departments, allowances
    )
    transfers = Transfers(publisher, presence, routing, departments)
    live = Live(bindings, buttons, presence, routing, transcripts, departments, tasks)
    own = OwnDepartments(buttons, presence, tasks)
    agents = AgentHandler(
        following, message_sender, publisher, transfers, tasks, written, presence, routing, live, own, departments
    )
    resync = Resync(following, agents, buttons, presence, routing)
    router = EventRouter(following, citizens, agents, buttons, resync, live, own)
    event_queue = EventQueue(settings.rabbitmq_url, bindings, router, given=settings.topology == "given")
    heartbeat = Heartbeat(incarnation, registry, publisher)
    starting = Starting(publisher, presence, routing, bindings, tasks, buttons, departments, service.keys, numbers)

    def load() -> Apply:
        found = load_departments(source)

        async def apply() -> None:
            departments.take_over(found)
            await buttons.forget(buttons.follow_departments())

        return apply

    async def drain() -> None:
        await buttons.end()
        sessions = list(registry)
        spread = min(SPREAD, SPREAD_EACH * len(sessions))
        loop = asyncio.get_running_loop()
        for session in sessions:
            later = random.uniform(0, spread)  # noqa: S311 - jitter
            loop.call_later(later, session.connection.close, Close.RESTART, "restart")
        await asyncio.sleep(spread + 0.2)
        await tasks.settle(5.0)
        await heartbeat.leave()

    service.background("publisher", publisher.run, early=True)
    service.background("live", event_queue.run)
    service.background("heartbeat", heartbeat.run)
    service.background("buttons", buttons.run)
    service.background("sync", partial(send_sync_frames, registry))
    service.background("tails", TailCheck(following, transcripts).run)
    service.background("attendance", PresenceCheck(chats, publisher).run)
    service.background("resync", resync.run)
    service.background("supervision", live.run)
    service.background("own departments", own.run)
    follow_departments(service, publisher, source, watch, load)
    service.depend("broker", broker_up, lambda: publisher.link.absent)
    service.check("button", lambda: buttons.settled)
    service.on_drain(drain)
    service.on_close(http.close)

    app = service.app
    refusals.install(app)
    button.install(app, buttons, departments)
    console = ConsoleHost(settings.console_origin)
    # after the button's middleware, and so around it
    app.add_middleware(ListedOrigins, departments=departments, console=console)
    if settings.console_origin:
        app.add_middleware(Hosts, console=console)
    if settings.public_origins:
        app.add_middleware(KnownHosts, hosts=settings.hosts)
    chat_routes.install(app, starting, publisher, departments, service.keys, settings)
    reservations.install(app, starting, presence, departments, service.keys, settings)
    agent_routes.install(app, presence, departments, buttons, settings)
    oidc.install(app, presence, settings)
    questions = Questions(publisher, routing, transcripts, presence, departments, numbers)
    left_questions.install(app, questions, presence, transcripts, service.keys, departments, settings)
    asked_questions.install(app, presence, transcripts, service.keys, departments, numbers, settings)
    assignments.install(app, presence, routing, transcripts, departments, settings)
    supervision.install(app, publisher, presence, routing, transcripts, departments, numbers, settings)
    reports.install(app, presence, transcripts, departments, settings)
    past_chats.install(app, presence, transcripts, departments, settings)
    labels.install(app, presence, transcripts, settings)
    integration.install(app, transcripts, service.keys, settings)
    files.install(app, presence, transcripts, service.keys, departments, numbers, settings)
    identification.install(app, publisher, presence, transcripts, service.keys, departments, settings)
    after_chat.install(app, transcripts, service.keys, departments, settings)
    verification.install(app, transcripts, departments, settings)
    departments_api.install(app, departments)
    security_txt.install(app, settings)
    canned_answers.install(app, presence, transcripts, departments, settings)
    configuration.install(app, presence, transcripts, settings)
    accounts.install(app, presence, transcripts, departments, settings)
    sessions.install(app, presence, transcripts, settings)
    access_log.install(app, presence, transcripts, settings)
    endpoints.install(app, citizens, agents, presence, departments, allowances, settings)
    posted = PostedFrames(following, citizens, allowances)
    frames.install(app, citizens, posted, allowances, departments, service.keys, settings)
    pages.install(app, buttons, departments, settings)
    return app
