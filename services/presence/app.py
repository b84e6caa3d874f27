"""Composition of the presence service: accounts, presence of agents, slots, opening hours and the button."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from services.common.clock import utcnow
from services.common.config.departments import ConfigurationError, Departments, load_departments
from services.common.messaging.consumer import Consumers
from services.common.messaging.heartbeat_listener import HeartbeatListener
from services.common.messaging.publisher import Publisher
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
from services.presence.agents.accounts import Account, AccountsFile, demo_accounts, load_accounts_file
from services.presence.agents.logins import Logins, fingerprint
from services.presence.agents.passwords import Passwords
from services.presence.agents.presence_monitor import AgentPresence, PresenceMonitor
from services.presence.agents.session_store import Session
from services.presence.api import create_routes
from services.presence.button import updater
from services.presence.consumers import Handlers, create_router
from services.presence.context import Context
from services.presence.migrations import STEPS
from services.presence.oidc.api import create_oidc_routes
from services.presence.opening_hours import load_schedules
from services.presence.settings import PresenceSettings
from services.presence.slots.allocator import Allocator
from services.presence.stores import Stores
from services.presence.supervision_api import create_supervision_routes

if TYPE_CHECKING:
    from services.presence.oidc.logins import OidcLogins

log = structlog.get_logger()


def create_app(settings: PresenceSettings) -> FastAPI:
    """Return the service's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: A file or the opening hours are invalid.
    """
    departments = load_departments(settings.departments_file)
    schedules = load_schedules(settings, departments)
    file = load_accounts_file(settings.accounts_file, departments) if settings.accounts_file else AccountsFile.empty()
    named = file.accounts
    passwords = Passwords()
    service = Service("presence", settings)
    service.require_service_tokens()
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
    wrap_ups = {d.id: d.wrap_up for d in departments.departments}
    router = create_router(Handlers(context, allocator, wrap_ups))
    consumers = Consumers(settings.rabbitmq_url, router, lambda: probe_write(database))
    backlog = Backlog(settings.rabbitmq_url, "presence", consumers.waiting.values())

    limited = settings.rate_limits == "on"
    oidc = _oidc(settings, file, context, service, limited)
    upgraded = asyncio.Event()

    async def prepare() -> None:
        accounts = await _accounts(settings, departments, passwords, named)
        await retry_with_backoff(lambda: read_time(database))
        await retry_with_backoff(lambda: _prepare_database(database, stores, accounts, list(schedules), oidc))
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
        oidc,
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
    logins = Logins(
        context,
        passwords,
        service.keys,
        settings.session_hours,
        limited,
        second_factors={one.username: one.totp_secret for one in named if one.totp_secret is not None},
        only={one.username for one in named if one.break_glass} if settings.oidc_local == "off" else None,
    )
    service.app.include_router(create_routes(context, logins, allocator, list(schedules)))
    service.app.include_router(create_supervision_routes(context, schedules))
    service.app.include_router(create_oidc_routes(oidc, only_break_glass=settings.oidc_local == "off"))
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
    oidc: OidcLogins | None,
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
    if oidc is not None:
        service.background("roles", _after(prepared, lambda: oidc.run()))


def _after(ready: asyncio.Event, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def wait_and_run() -> None:
        await ready.wait()
        await run()

    return wait_and_run


def _oidc(
    settings: PresenceSettings, file: AccountsFile, context: Context, service: Service, limited: bool
) -> OidcLogins | None:
    """Return the logins at the issuer, where there is one.

    Raises:
        ConfigurationError: The accounts file has no section [oidc].
    """
    if not settings.oidc_issuer:
        return None
    # The libraries of OpenID Connect and an HTTP client take 20 MB: only where agents log in at an issuer.
    from services.presence.oidc.issuer import Client, Issuer
    from services.presence.oidc.logins import OidcLogins

    if file.oidc is None:
        raise ConfigurationError(f"ACCOUNTS_FILE {settings.accounts_file}: has no section [oidc].")
    client = Client(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        redirect_uri=settings.public_url.rstrip("/") + "/api/agent/oidc/callback",
        scope=settings.oidc_scope,
        acr=tuple(settings.oidc_acr.split()),
    )
    issuer = Issuer(client, context.clock)
    service.on_close(issuer.close)
    return OidcLogins(
        context,
        issuer,
        settings.oidc_profile,
        file.oidc,
        service.keys,
        settings.oidc_session_life,
        settings.oidc_refresh,
        limited,
    )


async def _accounts(
    settings: PresenceSettings, departments: Departments, passwords: Passwords, named: Sequence[Account]
) -> list[Account]:
    demo: Sequence[Account] = ()
    if settings.demo_accounts == "on":
        demo = demo_accounts(settings.demo_agents, departments, await passwords.demo_hash())
    usernames = {account.username for account in named}
    accounts = [*named, *(account for account in demo if account.username not in usernames)]
    if not accounts and not settings.oidc_issuer:
        log.warning("no_accounts", hint="nobody can log in: give ACCOUNTS_FILE")
    return accounts


async def _prepare_database(
    database: Database,
    stores: Stores,
    accounts: Sequence[Account],
    departments: list[str],
    oidc: OidcLogins | None,
) -> None:
    await upgrade(database, STEPS)
    await stores.buttons.create(departments)
    await stores.queues.create(departments)
    issuer = oidc.issuer_id if oidc else None
    barred = await stores.agents.put_accounts(accounts, utcnow(), issuer)
    barred += await stores.officers.put_accounts(accounts, issuer)
    await stores.sessions.end_all_of(barred, utcnow())
    fingerprints = {account.id: fingerprint(account.password_hash) for account in accounts}
    if changed := await stores.sessions.end_changed(fingerprints, utcnow()):
        log.info("sessions_ended", why="password_changed", sessions=changed)
    if oidc is not None:
        known = await stores.agents.persons(oidc.issuer_id) | await stores.officers.persons(oidc.issuer_id)
        persons = dict.fromkeys(known, oidc.fingerprint)
        if changed := await stores.sessions.end_changed(persons, utcnow()):
            log.info("sessions_ended", why="roles_changed", sessions=changed)
    log.info("accounts_ready", accounts=len(accounts))
