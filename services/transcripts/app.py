"""Composition of the transcript service."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog
from fastapi import FastAPI
from faststream.rabbit import RabbitRouter

from services.common.config.departments import Departments, load_departments
from services.common.config.integrations import Integrations, load_integrations, read_secrets, read_token
from services.common.config.watch import Apply, ConfigurationWatch
from services.common.messaging.consumer import Consumers
from services.common.messaging.publisher import Publisher
from services.common.messaging.queue_metrics import Backlog
from services.common.messaging.retry import DEPENDENCY_ERRORS, retry_with_backoff
from services.common.mongo.client import (
    Database,
    answer_outages,
    follow_time,
    open_database,
    ping,
    probe_write,
    read_time,
)
from services.common.mongo.leases import Leases
from services.common.mongo.migrations import upgrade
from services.common.runtime.configuration import departments_source, follow_departments
from services.common.runtime.service import Service
from services.transcripts.api.context import Context
from services.transcripts.api.routes import create_routes
from services.transcripts.attachments.store import Files
from services.transcripts.consumers import Handlers, create_router
from services.transcripts.evidence.job import SigningJob
from services.transcripts.evidence.signer import Signer, published
from services.transcripts.evidence.store import Chains
from services.transcripts.identifications import Identifications
from services.transcripts.inactivity.rules import SHORTEST, limits_of
from services.transcripts.inactivity.timers import InactivityTimers
from services.transcripts.log.message_consumer import MessageConsumer
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.writer import Writer, now_ms
from services.transcripts.migrations import STEPS
from services.transcripts.outbox.announcer import Announcer
from services.transcripts.outbox.courier import Courier, Sender
from services.transcripts.past_chats.job import PastChatsJob
from services.transcripts.questions.job import UnloggedActs
from services.transcripts.rendering.pdf import PdfPress
from services.transcripts.retention.job import RetentionJob
from services.transcripts.settings import Settings
from services.transcripts.statistics.job import StatisticsJob
from services.transcripts.stores import Stores
from services.transcripts.unanswered.first_response import FirstResponses
from services.transcripts.unanswered.timers import AnswerTimers

log = structlog.get_logger()

CLEAN_EVERY = 600.0  # seconds, spread at random
FOR_EVER = float("inf")


def create_app(settings: Settings) -> FastAPI:
    """Return the service's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: The departments file or the integrations file is invalid, or a secret is missing.
    """
    service = Service("transcripts", settings)
    service.require_service_tokens()
    source = departments_source(settings)
    watch = ConfigurationWatch({"DEPARTMENTS_FILE": source})
    departments = load_departments(settings.departments_file)
    # Where the departments are stored, they are compared with the integrations when they have arrived (`load`).
    known = departments.ids if settings.config_source == "file" else None
    integrations = load_integrations(settings.integrations_file, known)
    database = open_database(settings, "transcripts")
    stores = Stores(database, settings, departments, integrations)
    publisher = Publisher(settings.rabbitmq_url, "transcripts", settings.topology == "given")
    preparation = Preparation(database, publisher)
    announcer = Announcer(stores.outbox, stores.logs, integrations, now_ms)
    first_responses = FirstResponses(stores.logs, stores.department_ids)
    answer_within = _answer_within(departments)  # changed in place when the file changes
    limits = limits_of(settings.silence_limit)
    writer = Writer(stores.logs, settings.max_messages, max_text=settings.max_text)
    quiet, together = limits.quiet if limits else None, settings.facts_together == "on"
    recorder = Recorder(
        stores.logs, stores.files, publisher, writer, quiet, together, first_responses.note, answer_within
    )
    handlers = Handlers(stores.logs, publisher, now_ms, stores.statistics)
    identifications = Identifications(stores.logs, Writer(stores.logs, settings.max_messages), publisher, now_ms)
    router = create_router(handlers, announcer, identifications)
    consumption = Consumption(settings.rabbitmq_url, recorder, router, preparation)
    retention = RetentionJob(stores.erasures, stores.leases, departments, now_ms, stores.access_log)
    couriers = make_couriers(service, integrations, stores, settings, departments)
    signer = Signer(settings.private_key) if settings.private_key else None
    chains = Chains(database, stores.logs, signer, now_ms)
    press = PdfPress(settings.pdf_fonts)

    def load() -> Apply:
        found = load_departments(source)
        load_integrations(settings.integrations_file, found.ids)  # a webhook may name a department that is gone

        async def apply() -> None:
            departments.take_over(found)
            stores.department_ids[:] = found.ids
            first_responses.begin_at_nothing()
            answer_within.clear()
            answer_within.update(_answer_within(found))
            retention.announce()

        return apply

    service.background("publisher", publisher.run, early=True)
    consumption.install(service, publisher)
    service.background("first responses", first_responses.run)
    follow_departments(service, publisher, source, watch, load)
    service.background("clock", lambda: follow_time(database))
    upgraded = preparation.upgraded.wait
    service.background("retention", lambda: retention.run(upgraded))
    service.background("statistics", lambda: StatisticsJob(stores.statistics, stores.leases, now_ms).run(upgraded))
    acts = UnloggedActs(stores.questions, stores.access_log, stores.leases, now_ms)
    service.background("question acts", lambda: acts.run(upgraded))
    service.background("past chats", lambda: PastChatsJob(stores.past_chats, stores.leases, now_ms).run(upgraded))
    service.background("cleaner", lambda: clean_for_ever(stores.files, timedelta(seconds=settings.unposted_life)))
    if signer:
        service.background("signing", lambda: SigningJob(chains, stores.leases, now_ms).run(upgraded))
    else:
        log.warning("transcripts_not_signed")
    if couriers:
        install_couriers(service, couriers, announcer, upgraded)
    if limits:
        service.background("silences", InactivityTimers(stores.logs, publisher, limits, now_ms, consumption.well).run)
        if settings.silence_limit < SHORTEST:
            log.warning("inactivity_limit_too_short", seconds=settings.silence_limit, least=SHORTEST)
    timers = AnswerTimers(stores.logs, publisher, answer_within, now_ms, consumption.well)
    service.background("unanswered", timers.run)
    service.depend("database", preparation.database_answers)
    service.on_close(database.client.close)
    service.on_close(press.close)
    service.on_close(consumption.notes.drain)  # again, for an end without SIGTERM: the connection outlives its task
    context = Context(
        stores=stores,
        chains=chains,
        public_keys=published(signer, settings.former_keys),
        announcer=announcer,
        identifications=identifications,
        press=press,
        departments=departments,
        settings=settings,
        clock=now_ms,
    )
    service.on_close(context.checker.close)
    service.on_close(context.previews.close)
    service.on_close(context.verifier.close)
    service.app.include_router(create_routes(context))
    answer_outages(service.app)
    return service.app


class Preparation:
    """What comes before the first event is handled: the database's clock and migrations, then the broker.

    Attributes:
        database: The database.
        upgraded: Set when the database is upgraded.
    """

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self.database, self.upgraded = database, asyncio.Event()
        self._publisher = publisher

    async def prepare(self) -> None:
        """Return when events can be handled."""
        await retry_with_backoff(lambda: read_time(self.database), FOR_EVER)
        await retry_with_backoff(lambda: upgrade(self.database, STEPS), FOR_EVER)
        self.upgraded.set()
        await self._publisher.link.up.wait()

    async def database_answers(self) -> bool:
        """Return whether the database answers and is upgraded."""
        return self.upgraded.is_set() and await ping(self.database)


class Consumption:
    """The consumers: of messages, and of the ordinary queues, which begin after it.

    Attributes:
        messages: The consumer of messages.
        notes: The consumers of the ordinary queues.
    """

    def __init__(self, url: str, recorder: Recorder, router: RabbitRouter, preparation: Preparation) -> None:
        """Create consumers that are not connected.

        Args:
            url: The address of the broker.
            recorder: Records the messages.
            router: The handlers of the ordinary queues.
            preparation: What comes before the first event.
        """

        def probe() -> Awaitable[object]:
            return probe_write(preparation.database)

        self.messages, self.notes = MessageConsumer(url, recorder, probe), Consumers(url, router, probe)
        self._url, self._preparation, self._prepared = url, preparation, asyncio.Event()

    def install(self, service: Service, publisher: Publisher) -> None:
        """Let the service run and drain the consumers, and depend on them."""
        queues = [self.messages.queue_age, *self.notes.waiting.values()]
        backlog = Backlog(self._url, "transcripts", queues)
        service.background("messages", self._consume_messages)
        service.background("notes", self._consume_notes)
        service.background("backlog", lambda: backlog.run(publisher.link.up))
        service.depend("broker", lambda: publisher.up, lambda: publisher.link.absent)
        service.depend("consumers", lambda: self.running, lambda: publisher.link.absent)
        service.on_drain(self.messages.drain)
        service.on_drain(self.notes.drain)
        service.app.state.consumers = self.notes

    @property
    def running(self) -> bool:
        """Whether all queues are being consumed."""
        return self.messages.running and self.notes.running

    async def well(self) -> bool:
        """Return whether no message waits: only then may a timer take a participant for silent."""
        return self.running and await self.messages.caught_up()

    async def _consume_messages(self) -> None:
        await self._preparation.prepare()
        self._prepared.set()
        await self.messages.run()

    async def _consume_notes(self) -> None:
        await self._prepared.wait()
        await self.messages.slow_start.past()
        await self.notes.run()


def _answer_within(departments: Departments) -> dict[str, timedelta]:
    return {d.id: timedelta(seconds=d.reassign_after) for d in departments.departments if d.reassign_after}


def make_couriers(
    service: Service, integrations: Integrations, stores: Stores, settings: Settings, departments: Departments
) -> list[Courier]:
    """Return a courier for each target. Without any, the HTTP client is not loaded: it takes 8 MB."""
    if not integrations.targets:
        return []
    from services.transcripts.outbox.contacts import ContactSender
    from services.transcripts.outbox.http import CheckedClient, tls_context
    from services.transcripts.outbox.mail import MOST_IN_MAIL, MailSender
    from services.transcripts.outbox.webhooks import WebhookSender

    limit, networks, tls = settings.outbox_timeout, settings.allowed_networks, tls_context(settings.outbox_ca_file)
    client = CheckedClient(networks, tls, limit)
    service.on_close(client.close)
    senders: dict[str, Sender] = {
        w.id: WebhookSender(w, read_secrets(w), client, now_ms) for w in integrations.webhooks
    }
    for register in integrations.contact_registers:
        token = read_token(register.id, register.token)
        senders[register.id] = ContactSender(register, token, client, stores.logs, departments, now_ms)
    couriers = [Courier(id_, stores.outbox, sender, limit, now_ms) for id_, sender in senders.items()]
    server = integrations.mail_server
    for mail in integrations.mails if server else ():
        assert server is not None
        password = read_token("mail_server", server.password) if server.password else None
        sender = MailSender(mail, server, password, networks, tls, limit, stores.questions, departments, now_ms)
        turn = functools.partial(_take, stores.leases, f"mail_{mail.id}")
        couriers.append(Courier(mail.id, stores.outbox, sender, limit, now_ms, MOST_IN_MAIL, turn))
    return couriers


def install_couriers(
    service: Service, couriers: Sequence[Courier], announcer: Announcer, upgraded: Callable[[], Awaitable[object]]
) -> None:
    """Let the service run the couriers, and drain them."""
    service.background("announcer", lambda: announcer.run(upgraded))
    service.background("waker", lambda: wake_for_ever(announcer.added, couriers))
    for courier in couriers:
        service.background(f"courier_{courier.target}", functools.partial(courier.run, upgraded))
    service.on_drain(lambda: drain_all(couriers))


async def _take(leases: Leases, job: str, seconds: float) -> bool:
    return await leases.take(job, seconds, now_ms())


async def wake_for_ever(added: asyncio.Event, couriers: Sequence[Courier]) -> None:
    """Wake the couriers each time that this process has added deliveries."""
    while True:
        await added.wait()
        added.clear()
        for courier in couriers:
            courier.wake()


async def drain_all(couriers: Sequence[Courier]) -> None:
    """Drain all couriers at once."""
    await asyncio.gather(*(courier.drain() for courier in couriers))


async def clean_for_ever(files: Files, life: timedelta) -> None:
    """Delete, about every ten minutes, the uploads that were not posted. Any number of replicas may do it at once."""
    while True:
        await asyncio.sleep(CLEAN_EVERY * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
        try:
            if deleted := await files.clean(now_ms(), life):
                log.info("attachments_deleted", count=deleted)
        except DEPENDENCY_ERRORS as error:
            log.warning("cleaning_failed", error=type(error).__name__)
