"""Composition of the presence service: accounts, presence of agents, slots, opening hours and the button."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from fastapi import FastAPI

from services.common.clock import utcnow
from services.common.config.departments import Departments, load_departments
from services.common.messaging.connection import Publisher
from services.common.messaging.consumer import Consumers
from services.common.messaging.heartbeat_listener import HeartbeatListener
from services.common.messaging.queue_metrics import Backlog
from services.common.messaging.retry import retry_with_backoff
from services.common.mongo.client import (
    Database,
    answer_outages,
    follow_time,
    open_database,
    ping,
    probe_write,
    read_time,
)
from services.common.mongo.migrations import upgrade
from services.common.runtime.service import Service
from services.presence import repairs
from services.presence.agents.accounts import Account, demo_accounts, load_accounts
from services.presence.agents.logins import Logins, fingerprint
from services.presence.agents.passwords import Passwords
from services.presence.agents.presence_monitor import AgentPresence, PresenceMonitor
from services.presence.agents.session_store import Session
from services.presence.api import create_routes
from services.presence.button import updater
from services.presence.consumers import Handlers, create_router
from services.presence.context import Context
from services.presence.migrations import STEPS
from services.presence.opening_hours import load_schedules
from services.presence.settings import PresenceSettings
from services.presence.slots.allocator import Allocator
from services.presence.stores import Stores

log = structlog.get_logger()


def create_app(settings: PresenceSettings) -> FastAPI:
    """Return the service's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: A file or the opening hours are invalid.
    """
    departments = load_departments(settings.departments_file)
    schedules = load_schedules(settings, departments)
    named = load_accounts(settings.accounts_file, departments) if settings.accounts_file else ()
    passwords = Passwords()
    service = Service("presence", settings)
    publisher = Publisher(settings.rabbitmq_url, "presence", settings.topology == "given")
    database = open_database(settings, "presence")
    stores = Stores(database)
    undecided: dict[str, Session] = {}
    agents = AgentPresence(settings.rabbitmq_url, publisher, settings.agent_grace, undecided)
    buttons = updater.ButtonUpdater(stores, publisher, schedules, utcnow, agents.listener.all_read_digests)
    context = Context(
        stores,
        publisher,
        buttons.wake,
        left=agents.left,
        at_work=agents.at_work,
        connected=agents.connected,
        undecided=undecided,
    )
    allocator = Allocator(context, schedules, {d.id: d.queue.longest for d in departments.departments})
    router = create_router(Handlers(context, allocator))
    consumers = Consumers(settings.rabbitmq_url, router, lambda: probe_write(database))
    backlog = Backlog(settings.rabbitmq_url, "presence", consumers.waiting.values())

    upgraded = asyncio.Event()

    async def prepare() -> None:
        accounts = await _accounts(settings, departments, passwords, named)
        await retry_with_backoff(lambda: read_time(database))
        await retry_with_backoff(lambda: _prepare_database(database, stores, accounts, list(schedules)))
        upgraded.set()
        await publisher.link.up.wait()

    async def database_answers() -> bool:
        return upgraded.is_set() and await ping(database)

    _background(
        service,
        prepare,
        consumers,
        agents.listener,
        PresenceMonitor(context, agents, settings.agent_grace),
        buttons,
        context,
    )
    service.depend("broker", lambda: publisher.up, lambda: publisher.link.absent)
    service.depend("database", database_answers)
    service.depend("consumers", lambda: consumers.running, lambda: publisher.link.absent)
    service.depend("heartbeats", lambda: agents.listener.receives, lambda: publisher.link.absent)
    service.on_drain(consumers.drain)
    service.app.state.consumers = consumers
    service.on_close(database.client.close)
    service.background("clock", lambda: follow_time(database))
    service.background("backlog", lambda: backlog.run(publisher.link.up))
    limited = settings.rate_limits == "on"
    logins = Logins(context, passwords, service.keys, settings.session_hours, limited)
    service.app.include_router(create_routes(context, logins, allocator, list(schedules)))
    answer_outages(service.app)
    return service.app


def _background(
    service: Service,
    prepare: Callable[[], Awaitable[None]],
    consumers: Consumers,
    listener: HeartbeatListener,
    monitor: PresenceMonitor,
    buttons: updater.ButtonUpdater,
    context: Context,
) -> None:
    """Register the background tasks. All but the connections start when accounts, indexes and queues are ready."""
    prepared = asyncio.Event()

    async def consume() -> None:
        await prepare()
        prepared.set()
        await consumers.run()

    service.background("publisher", context.publisher.run)
    service.background("consumers", consume)
    service.background("listener", listener.run)
    service.background("echo", _after(prepared, listener.echo))
    service.background("monitor", _after(prepared, monitor.run))
    service.background("buttons", _after(prepared, buttons.run))
    service.background("repeat", _after(prepared, buttons.repeat))
    service.background("repairs", _after(prepared, lambda: repairs.run(context)))


def _after(ready: asyncio.Event, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def wait_and_run() -> None:
        await ready.wait()
        await run()

    return wait_and_run


async def _accounts(
    settings: PresenceSettings, departments: Departments, passwords: Passwords, named: Sequence[Account]
) -> list[Account]:
    demo: Sequence[Account] = ()
    if settings.demo_accounts == "on":
        demo = demo_accounts(settings.demo_agents, departments, await passwords.demo_hash())
    usernames = {account.username for account in named}
    accounts = [*named, *(account for account in demo if account.username not in usernames)]
    if not accounts:
        log.warning("no_accounts", hint="nobody can log in: give ACCOUNTS_FILE")
    return accounts


async def _prepare_database(
    database: Database, stores: Stores, accounts: Sequence[Account], departments: list[str]
) -> None:
    await upgrade(database, STEPS)
    await stores.buttons.create(departments)
    await stores.queues.create(departments)
    barred = await stores.agents.put_accounts(accounts, utcnow())
    await stores.sessions.end_all_of(barred, utcnow())
    fingerprints = {account.id: fingerprint(account.password_hash) for account in accounts}
    if changed := await stores.sessions.end_changed(fingerprints, utcnow()):
        log.info("sessions_ended", why="password_changed", sessions=changed)
    log.info("accounts_ready", accounts=len(accounts))
