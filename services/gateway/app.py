"""Composition of the gateway. No other module constructs its parts."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from services.common.clock import CLOCK
from services.common.config.departments import load_departments
from services.common.events.agents import ButtonChanged
from services.common.events.messages import CitizenPresence
from services.common.messaging.connection import Publisher
from services.common.runtime.service import Service
from services.gateway.background_tasks import Tasks
from services.gateway.button_state import Buttons
from services.gateway.chats.event_queue import EventQueue
from services.gateway.chats.event_router import EventRouter, LiveChat
from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.clients.upstream import Upstream
from services.gateway.http import api, assignments, end_chat, files, left_questions, page_settings, pages
from services.gateway.http.left_questions import Questions
from services.gateway.http.security_headers import SecurityHeaders
from services.gateway.http.start_chat import Starting
from services.gateway.jobs.periodic_jobs import Heartbeat, PeriodicJobs
from services.gateway.participants.agent import Agents
from services.gateway.participants.citizen import Citizens
from services.gateway.participants.transfers import Transfers
from services.gateway.sending.sender import MessageSender
from services.gateway.settings import Settings
from services.gateway.websocket import session
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits

log = structlog.get_logger()

SPREAD = 5.0  # seconds over which a draining gateway closes its websockets; the browsers reconnect elsewhere
SPREAD_EACH = 0.01  # seconds of that for each connection: with few connections the drain is short


def create_app(settings: Settings) -> FastAPI:
    """Return the gateway's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: A setting or the departments file is invalid.
    """
    service = Service("gateway", settings)
    departments = load_departments(settings.departments_file)
    incarnation = str(uuid4())
    tasks = Tasks()
    allowances = MessageLimits(limited=settings.rate_limits == "on")
    publisher = Publisher(settings.rabbitmq_url, "gateway", settings.topology == "given")
    upstream = Upstream(settings, service.keys)

    def answer_presence(channel: LiveChat) -> None:
        if hub.online_here(channel.chat_id):
            event = CitizenPresence(chat_id=channel.chat_id, incarnation=incarnation, online=True)
            tasks.start(publisher.publish_best_effort(event))

    def handle_button(event: ButtonChanged) -> None:
        if off := CLOCK.set_by(event.occurred_at):
            log.warning("clock_set", seconds=round(off, 3))
        buttons.handle(event)

    hub = EventRouter(
        incarnation,
        gap=lambda channel: following.gap(channel),
        assigned=lambda agent_id, chat_id: agents.assigned(agent_id, chat_id),
        button=handle_button,
        answer_presence=answer_presence,
        dropped=lambda connection, channel: agents.drop(connection, channel),
        agents_changed=lambda: heartbeat.changed(),
        said=allowances.stored,
    )
    live = EventQueue(
        settings.rabbitmq_url,
        handler=hub.handle,
        resync=lambda: periodic_jobs.resync(),
        lost=lambda: buttons.refresh(),
        given=settings.topology == "given",
    )
    buttons = Buttons(departments, broker_up=lambda: live.up and publisher.up)
    following = Subscriptions(hub, live, upstream, tasks)
    message_sender = MessageSender(
        hub, publisher, tasks, together=settings.facts_together == "on", allowances=allowances
    )
    heartbeat = Heartbeat(following, publisher)
    citizens = Citizens(following, message_sender, publisher, service.keys, tasks, allowances)
    transfers = Transfers(publisher, upstream, departments)
    agents = Agents(following, message_sender, publisher, transfers, tasks, heartbeat.changed)
    periodic_jobs = PeriodicJobs(following, agents, buttons, publisher)
    starting = Starting(publisher, upstream, live, tasks, buttons, departments, service.keys)

    async def drain() -> None:
        await buttons.end()
        connections = list(hub.register.connected)
        spread = min(SPREAD, SPREAD_EACH * len(connections))
        loop = asyncio.get_running_loop()
        for connection in connections:
            loop.call_later(random.uniform(0, spread), connection.close, Close.RESTART, "restart")  # noqa: S311 - jitter
        await asyncio.sleep(spread + 0.2)
        await tasks.settle(5.0)
        await heartbeat.leave()

    service.background("publisher", publisher.run)
    service.background("live", live.run)
    service.background("heartbeat", heartbeat.run)
    service.background("buttons", buttons.run)
    service.background("sync", periodic_jobs.sync_frames)
    service.background("tails", periodic_jobs.compare_tails)
    service.background("attendance", periodic_jobs.ask_presence)
    service.background("resync", periodic_jobs.run_resyncs)
    service.depend("broker", lambda: live.up and publisher.up, lambda: publisher.link.absent)
    service.check("button", lambda: buttons.settled)
    service.on_drain(drain)
    service.on_close(upstream.close)

    app = service.app
    app.add_middleware(SecurityHeaders, settings=settings)  # inside the button's shortcut, which has its own headers
    api.install_button(app, buttons, departments)
    app.add_middleware(  # after the button's shortcut, and so around it
        CORSMiddleware,
        allow_origins=sorted(departments.origins()),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        expose_headers=["Content-Disposition", "Retry-After", "ETag"],
        max_age=600,
    )
    api.install_chats(app, starting, departments, settings)
    api.install_agents(app, upstream, departments, settings)
    page_settings.install(app, settings)
    end_chat.install(app, publisher, departments, service.keys, settings)
    left_questions.install(app, Questions(publisher, upstream), upstream, service.keys, departments, settings)
    assignments.install(app, upstream, departments)
    files.install(app, upstream, service.keys, departments, settings)
    session.install(app, citizens, agents, upstream, departments, allowances)
    pages.install(app, buttons, departments, settings)
    return app
