"""Composition of the presence service: accounts, presence of agents, slots, opening hours and the button."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from services.common.clock import utcnow
from services.common.config.departments import load_departments
from services.common.config.stored_text import StoredText
from services.common.config.watch import Apply, ConfigurationWatch
from services.common.messaging.configuration_queue import ConfigurationQueue
from services.common.messaging.consumer import Consumers
from services.common.messaging.heartbeat_listener import HeartbeatListener
from services.common.messaging.publisher import Publisher
from services.common.messaging.queue_metrics import Backlog
from services.common.messaging.retry import retry_with_backoff
from services.common.mongo.client import (
    answer_outages,
    follow_time,
    open_database,
    ping,
    probe_write,
    read_time,
)
from services.common.mongo.migrations import upgrade
from services.common.runtime.configuration import departments_source
from services.common.runtime.service import Service
from services.presence import repairs
from services.presence.accounts.api import create_accounts_routes
from services.presence.accounts.changes import AccountChanges
from services.presence.accounts.held import HeldAccounts, without_unknown_departments
from services.presence.accounts.secret_seal import SecretSeal
from services.presence.accounts.store import AccountStore
from services.presence.agents import idle_sessions
from services.presence.agents.account_changes import publish_changes, store_accounts
from services.presence.agents.accounts import Account, AccountsFile
from services.presence.agents.logins import Logins
from services.presence.agents.password_rules import PasswordRules, words_of
from services.presence.agents.passwords import Passwords
from services.presence.agents.presence_monitor import AgentPresence, PresenceMonitor
from services.presence.agents.session_store import Session
from services.presence.api.routes import create_routes
from services.presence.api.sessions import create_sessions_routes
from services.presence.api.supervision import create_supervision_routes
from services.presence.button import updater
from services.presence.configuration import Configuration
from services.presence.consumers import Handlers, create_router
from services.presence.context import Context
from services.presence.departments.api import create_departments_routes
from services.presence.departments.store import VersionStore
from services.presence.departments.versions import DepartmentVersions
from services.presence.migrations import STEPS
from services.presence.oidc.api import create_client_key_routes, create_identification_routes, create_oidc_routes
from services.presence.settings import PresenceSettings
from services.presence.slots.allocator import Allocator
from services.presence.stores import Stores

if TYPE_CHECKING:
    from services.presence.oidc.identifications import Identifications
    from services.presence.oidc.issuer import Client, Issuer
    from services.presence.oidc.logins import OidcLogins

log = structlog.get_logger()


def create_app(settings: PresenceSettings) -> FastAPI:
    """Return the service's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: A file or the opening hours are invalid.
    """
    source = departments_source(settings)
    held = HeldAccounts() if isinstance(source, StoredText) else None
    file = settings.accounts_file if held is None or settings.oidc_issuer else None
    watch = ConfigurationWatch({"DEPARTMENTS_FILE": source, "ACCOUNTS_FILE": file, "accounts": held})
    configuration = Configuration.first(settings)
    schedules = configuration.schedules
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
    allocator = Allocator(context, schedules, configuration.longest)
    pause_reasons = configuration.departments.pause_reasons
    router = create_router(Handlers(context, allocator, configuration.wrap_ups, pause_reasons))
    consumers = Consumers(settings.rabbitmq_url, router, lambda: probe_write(database))
    backlog = Backlog(settings.rabbitmq_url, "presence", consumers.waiting.values())

    limited = settings.rate_limits == "on"
    oidc = _oidc(settings, configuration.file, context, service, limited)
    upgraded = asyncio.Event()

    versions: DepartmentVersions | None = None
    changes: AccountChanges | None = None
    if isinstance(source, StoredText) and held is not None:
        versions = DepartmentVersions(
            settings, VersionStore(database), stores, publisher, source, context.clock, lambda: held.accounts
        )
        seal = SecretSeal(settings.keys_of_second_factors(service.keys.derived("seal second factors")))
        changes = AccountChanges(
            settings, AccountStore(database, seal), stores, passwords, held, configuration, context.clock
        )

    async def prepare() -> None:
        await retry_with_backoff(lambda: read_time(database))
        await retry_with_backoff(lambda: upgrade(database, STEPS))
        if versions is not None and changes is not None:
            await retry_with_backoff(versions.begin)
            first = Configuration.first(settings, source)
            await retry_with_backoff(partial(changes.begin, first))
            await retry_with_backoff(lambda: watch.begin(load))
        else:
            accounts = await _accounts(settings, configuration, passwords)
            await retry_with_backoff(lambda: _prepare_database(stores, accounts, list(schedules), oidc))
        upgraded.set()
        await publisher.link.up.wait()

    def load() -> Apply:
        accounts = None if held is None else without_unknown_departments(held.accounts, load_departments(source))
        found = Configuration.load(settings, source, accounts)

        async def apply() -> None:
            logins.follow_accounts(*_password_logins(settings, found.file))  # before a new account can log in
            if oidc is not None and found.file.oidc is not None:
                oidc.follow_roles(found.file.oidc)
            accounts = await _accounts(settings, found, passwords)
            await stores.buttons.create(found.schedules)
            await stores.queues.create(found.schedules)
            ended = await _store_accounts(stores, accounts, oidc)
            updater.forget(configuration.take_over(found))
            context.wake(list(schedules))
            await publish_changes(context, ended)

        return apply

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
    service.background("configuration", _after(upgraded, lambda: watch.run(load)))
    if versions is not None:
        queue = ConfigurationQueue(settings.rabbitmq_url, "presence", publisher, versions.handle)
        service.background("configuration_queue", queue.run)
        service.background("versions", _after(upgraded, versions.run))
    if changes is not None:
        service.background("accounts", _after(upgraded, changes.run))
    service.background("backlog", lambda: backlog.run(publisher.link.up))
    second_factors, only = _password_logins(settings, configuration.file)
    idle = timedelta(seconds=settings.session_idle) or None
    if idle is not None:
        connected = agents.sessions.present
        looked = partial(idle_sessions.look, context, idle, lambda: connected(agents.clock()))
        every = min(idle_sessions.LOOK, settings.session_idle / 4)
        service.background("idle", lambda: repairs.every(every, looked))
    logins = Logins(
        context,
        passwords,
        service.keys,
        settings.session_hours,
        limited,
        second_factors=second_factors,
        only=only,
        rules=_password_rules(settings, service),
    )
    service.app.include_router(create_routes(context, logins, allocator, schedules, idle))
    service.app.include_router(create_sessions_routes(context, idle))
    service.app.include_router(create_supervision_routes(context, schedules))
    service.app.include_router(create_departments_routes(versions, changes))
    service.app.include_router(create_accounts_routes(changes))
    service.app.include_router(create_oidc_routes(oidc, only_break_glass=settings.oidc_local == "off"))
    identifications = _identifications(settings, configuration, context, service)
    service.app.include_router(create_identification_routes(identifications))
    service.app.include_router(create_client_key_routes(oidc, identifications))
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
    """Return the logins at the issuer, where there is one."""
    if not settings.oidc_issuer or file.oidc is None:
        return None
    # The libraries of OpenID Connect and an HTTP client take 20 MB: only where there is an issuer.
    from services.presence.oidc.client_keys import read_client_keys
    from services.presence.oidc.issuer import Client
    from services.presence.oidc.logins import OidcLogins

    client = Client(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        redirect_uri=settings.agents_callback,
        scope=settings.oidc_scope,
        acr=tuple(settings.oidc_acr.split()),
        keys=read_client_keys("OIDC_CLIENT_KEYS", settings.oidc_client_keys, settings.oidc_signatures == "strong"),
        audience=settings.oidc_client_audience,
        signatures=settings.oidc_signatures,
    )
    return OidcLogins(
        context,
        _issuer(client, context, service),
        settings.oidc_profile,
        file.oidc,
        service.keys,
        settings.oidc_session_life,
        settings.oidc_refresh,
        limited,
    )


def _identifications(
    settings: PresenceSettings, configuration: Configuration, context: Context, service: Service
) -> Identifications | None:
    """Return the identifications of citizens, where there is an issuer for them."""
    if not settings.citizen_oidc_issuer:
        return None
    from services.presence.oidc.client_keys import read_client_keys
    from services.presence.oidc.identifications import Identifications
    from services.presence.oidc.issuer import Client

    strong = settings.citizen_oidc_signatures == "strong"
    client = Client(
        issuer=settings.citizen_oidc_issuer,
        client_id=settings.citizen_oidc_client_id,
        client_secret=settings.citizen_oidc_client_secret,
        redirect_uri=settings.public_url.rstrip("/") + "/identify/callback",
        scope=settings.citizen_oidc_scope,
        acr=tuple(settings.citizen_oidc_acr.split()),
        keys=read_client_keys("CITIZEN_OIDC_CLIENT_KEYS", settings.citizen_oidc_client_keys, strong),
        audience=settings.citizen_oidc_client_audience,
        signatures=settings.citizen_oidc_signatures,
    )
    issuer = _issuer(client, context, service)
    return Identifications(context, issuer, lambda: configuration.departments.identification, service.keys)


def _issuer(client: Client, context: Context, service: Service) -> Issuer:
    """Return the issuer of this client. The service closes it at its end."""
    from services.presence.oidc.issuer import Issuer

    made = Issuer(client, context.clock)
    service.on_close(made.close)
    return made


def _password_rules(settings: PresenceSettings, service: Service) -> PasswordRules:
    """Return what new passwords have to be. The service closes what it asks at its end."""
    words = words_of(settings.password_words)
    if not settings.password_range_url:
        return PasswordRules(words)
    from services.presence.agents.breached_passwords import BreachedPasswords  # loads an HTTP client

    breaches = BreachedPasswords(settings.password_range_url)
    service.on_close(breaches.close)
    return PasswordRules(words, breaches)


def _password_logins(settings: PresenceSettings, file: AccountsFile) -> tuple[dict[str, str], set[str] | None]:
    """Return the secrets of one-time passwords by username, and who may log in with a password; None: all."""
    secrets = {one.username: one.totp_secret for one in file.accounts if one.totp_secret is not None}
    only = {one.username for one in file.accounts if one.break_glass} if settings.oidc_local == "off" else None
    return secrets, only


async def _accounts(settings: PresenceSettings, configuration: Configuration, passwords: Passwords) -> list[Account]:
    named = configuration.file.accounts
    demo: Sequence[Account] = ()
    if settings.demo_accounts == "on":
        from services.presence import demo_accounts  # no image has it, but those that are built with DEMO=on

        known = await demo_accounts.password_hash(passwords)
        demo = demo_accounts.demo_accounts(settings.demo_agents, configuration.departments, known)
    usernames = {account.username for account in named}
    accounts = [account for account in named if not account.disabled]
    accounts += [account for account in demo if account.username not in usernames]
    if not accounts and not settings.oidc_issuer:
        log.warning("no_accounts", hint="nobody can log in: give ACCOUNTS_FILE")
    return accounts


async def _prepare_database(
    stores: Stores, accounts: Sequence[Account], departments: list[str], oidc: OidcLogins | None
) -> None:
    await stores.buttons.create(departments)
    await stores.queues.create(departments)
    await _store_accounts(stores, accounts, oidc)


async def _store_accounts(stores: Stores, accounts: Sequence[Account], oidc: OidcLogins | None) -> list[Session]:
    issuer, roles = (oidc.issuer_id, oidc.fingerprint) if oidc else (None, None)
    return await store_accounts(stores, accounts, issuer, roles)
