"""Composition of the transcript service."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Sequence
from datetime import timedelta

import structlog
from fastapi import FastAPI

from services.common.config.departments import load_departments
from services.common.config.integrations import Integrations, load_integrations, read_secrets
from services.common.messaging.consumer import Consumers
from services.common.messaging.publisher import Publisher
from services.common.messaging.queue_metrics import Backlog
from services.common.messaging.retry import DEPENDENCY_ERRORS, retry_with_backoff
from services.common.mongo.client import answer_outages, follow_time, open_database, ping, probe_write, read_time
from services.common.mongo.leases import Leases
from services.common.mongo.migrations import upgrade
from services.common.runtime.service import Service
from services.transcripts.access_log.store import AccessLog
from services.transcripts.api.context import Context
from services.transcripts.api.routes import create_routes
from services.transcripts.attachments.store import Files
from services.transcripts.canned_answers import CannedAnswers
from services.transcripts.consumers import Handlers, create_router
from services.transcripts.download_codes import DownloadCodes
from services.transcripts.evidence.job import SigningJob
from services.transcripts.evidence.signer import Signer, published
from services.transcripts.evidence.store import Chains
from services.transcripts.first_response import FirstResponses
from services.transcripts.inactivity.rules import SHORTEST, limits_of
from services.transcripts.inactivity.timers import InactivityTimers
from services.transcripts.left_questions import Questions
from services.transcripts.log.message_consumer import MessageConsumer
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer, now_ms
from services.transcripts.migrations import STEPS
from services.transcripts.outbox.announcer import Announcer
from services.transcripts.outbox.courier import Courier
from services.transcripts.outbox.store import Outbox
from services.transcripts.past_chats.job import PastChatsJob
from services.transcripts.past_chats.store import PastChats
from services.transcripts.ratings import Ratings
from services.transcripts.rendering.pdf import PdfPress
from services.transcripts.retention.job import RetentionJob
from services.transcripts.retention.store import Erasures
from services.transcripts.settings import Settings
from services.transcripts.statistics.job import StatisticsJob
from services.transcripts.statistics.store import Statistics

log = structlog.get_logger()

CLEAN_EVERY = 600.0  # seconds, spread at random
FOR_EVER = float("inf")


def create_app(settings: Settings) -> FastAPI:
    """Return the service's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: The departments file is invalid.
    """
    service = Service("transcripts", settings)
    service.require_service_tokens()
    departments = load_departments(settings.departments_file)
    database = open_database(settings, "transcripts")
    store, files, press = Store(database), Files(database), PdfPress(settings.pdf_fonts)
    publisher = Publisher(settings.rabbitmq_url, "transcripts", settings.topology == "given")
    claim_life, former = timedelta(seconds=settings.claim_life), timedelta(seconds=settings.former_access)
    questions, limits = Questions(database, claim_life, former), limits_of(settings.silence_limit)
    codes = DownloadCodes(database, timedelta(seconds=settings.download_code_life))
    writer = Writer(store, settings.max_messages, max_text=settings.max_text)
    statistics = Statistics(database, settings.agent_figures == "on")
    erasures, past_chats = Erasures(database, statistics), PastChats(database, departments)
    access_log = AccessLog(database, now_ms, settings.unusual_reading)
    retention = RetentionJob(erasures, Leases(database), departments, now_ms, access_log)
    answers = FirstResponses(store, [d.id for d in departments.departments])
    quiet, together = limits.quiet if limits else None, settings.facts_together == "on"
    recorder = Recorder(store, files, publisher, writer, quiet, together, answers.note)
    messages = MessageConsumer(settings.rabbitmq_url, recorder, lambda: probe_write(database))
    integrations = load_integrations(settings.integrations_file, [d.id for d in departments.departments])
    outbox = Outbox(database, timedelta(seconds=settings.outbox_patience))
    announcer = Announcer(outbox, store, integrations, now_ms)
    couriers = make_couriers(service, integrations, outbox, settings)
    router = create_router(Handlers(store, publisher, now_ms, statistics), announcer)
    notes = Consumers(settings.rabbitmq_url, router, lambda: probe_write(database))
    backlog = Backlog(settings.rabbitmq_url, "transcripts", [messages.queue_age, *notes.waiting.values()])
    upgraded, prepared = asyncio.Event(), asyncio.Event()

    async def prepare() -> None:
        await retry_with_backoff(lambda: read_time(database), FOR_EVER)
        await retry_with_backoff(lambda: upgrade(database, STEPS), FOR_EVER)
        upgraded.set()
        await publisher.link.up.wait()
        prepared.set()

    async def database_answers() -> bool:
        return upgraded.is_set() and await ping(database)

    async def consume_messages() -> None:
        await prepare()
        await messages.run()

    async def consume_notes() -> None:
        await prepared.wait()
        await messages.slow_start.past()
        await notes.run()

    def consuming() -> bool:
        return messages.running and notes.running

    async def well() -> bool:
        return consuming() and await messages.caught_up()

    service.background("publisher", publisher.run)
    service.background("messages", consume_messages)
    service.background("notes", consume_notes)
    service.background("answers", answers.run)
    service.background("backlog", lambda: backlog.run(publisher.link.up))
    service.background("clock", lambda: follow_time(database))
    service.background("retention", lambda: retention.run(upgraded.wait))
    service.background("statistics", lambda: StatisticsJob(statistics, Leases(database), now_ms).run(upgraded.wait))
    service.background("past chats", lambda: PastChatsJob(past_chats, Leases(database), now_ms).run(upgraded.wait))
    service.background("cleaner", lambda: clean_for_ever(files, timedelta(seconds=settings.unposted_life)))
    service.background("announcer", lambda: announcer.run(upgraded.wait))
    if couriers:
        service.background("waker", lambda: wake_for_ever(announcer.added, couriers))
    for courier in couriers:
        service.background(f"courier_{courier.target}", functools.partial(courier.run, upgraded.wait))
    if limits:
        service.background("silences", InactivityTimers(store, publisher, limits, now_ms, well).run)
        if settings.silence_limit < SHORTEST:
            log.warning("inactivity_limit_too_short", seconds=settings.silence_limit, least=SHORTEST)
    service.depend("broker", lambda: publisher.up, lambda: publisher.link.absent)
    service.depend("database", database_answers)
    service.depend("consumers", consuming, lambda: publisher.link.absent)
    service.on_drain(messages.drain)
    service.on_drain(notes.drain)
    service.on_drain(lambda: drain_all(couriers))
    service.app.state.consumers = notes
    service.on_close(database.client.close)
    service.on_close(press.close)
    service.on_close(notes.drain)  # again, for an end without SIGTERM: the connection outlives its task
    signer = Signer(settings.private_key) if settings.private_key else None
    chains = Chains(database, store, signer, now_ms)
    if signer:
        service.background("signing", lambda: SigningJob(chains, Leases(database), now_ms).run(upgraded.wait))
    else:
        log.warning("transcripts_not_signed")
    ratings = Ratings(database, statistics, past_chats)
    canned_answers = CannedAnswers(database, [d.id for d in departments.departments])
    context = Context(
        store,
        files,
        questions,
        ratings,
        codes,
        press,
        departments,
        settings,
        now_ms,
        erasures,
        access_log,
        canned_answers,
        statistics,
        chains,
        published(signer, settings.former_keys),
        outbox,
        announcer,
        past_chats,
    )
    service.on_close(context.checker.close)
    service.on_close(context.verifier.close)
    service.app.include_router(create_routes(context))
    answer_outages(service.app)
    return service.app


def make_couriers(service: Service, integrations: Integrations, outbox: Outbox, settings: Settings) -> list[Courier]:
    """Return a courier for each webhook. Without any, the HTTP client is not loaded: it takes 8 MB."""
    if not integrations.webhooks:
        return []
    from services.transcripts.outbox.webhooks import WebhookSender, tls_context

    sender = WebhookSender(
        {webhook.id: read_secrets(webhook) for webhook in integrations.webhooks},
        settings.allowed_networks,
        tls_context(settings.outbox_ca_file),
        settings.outbox_timeout,
        now_ms,
    )
    service.on_close(sender.close)
    return [Courier(w, outbox, sender.send, settings.outbox_timeout, now_ms) for w in integrations.webhooks]


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
