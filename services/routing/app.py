"""Composition of the routing service: assignment of chats, and department queues."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

from fastapi import FastAPI

from services.common.clock import utcnow
from services.common.config.departments import Departments, load_departments
from services.common.config.watch import Apply, ConfigurationWatch
from services.common.messaging.consumer import Consumers
from services.common.messaging.publisher import Publisher
from services.common.messaging.queue_metrics import Backlog
from services.common.messaging.retry import retry_with_backoff
from services.common.mongo.client import answer_outages, follow_time, open_database, ping, probe_write, read_time
from services.common.mongo.migrations import upgrade
from services.common.runtime.configuration import departments_source, follow_departments
from services.common.runtime.service import Service
from services.routing import timers as routing_timers
from services.routing.api import create_routes
from services.routing.chats import deadlines
from services.routing.chats.admission import Admission
from services.routing.chats.citizen_presence import CitizenPresence
from services.routing.chats.store import Store
from services.routing.consumers import Handlers, create_router
from services.routing.context import Context
from services.routing.metrics import begin_at_nothing, forget
from services.routing.migrations import STEPS
from services.routing.publisher import ChatPublisher
from services.routing.queues.announcer import Announcer
from services.routing.queues.slot_requests import SlotRequests
from services.routing.queues.store import QueueStore
from services.routing.settings import RoutingSettings
from services.routing.timers import Calm, Timers


def create_app(settings: RoutingSettings) -> FastAPI:
    """Return the service's application. It is not connected to anything yet.

    Raises:
        ConfigurationError: The departments file is invalid.
    """
    source = departments_source(settings)
    watch = ConfigurationWatch({"DEPARTMENTS_FILE": source})
    departments = load_departments(settings.departments_file)
    queues = {d.id: d.queue for d in departments.departments}  # changed in place when the file changes, as these two
    automatic, reassign = _automatic(departments), _reassign(departments)
    limits = replace(settings.limits, queues=queues, automatic=automatic, reassign=reassign)
    begin_at_nothing(queues)
    service = Service("routing", settings)
    service.require_service_tokens()
    database = open_database(settings, "routing")
    store = Store(database, lambda chat: deadlines.stamped(chat, utcnow(), limits))
    publisher = Publisher(settings.rabbitmq_url, "routing", settings.topology == "given")
    queue_store = QueueStore(database)
    slot_requests, announcer = SlotRequests(store, publisher), Announcer(store, queue_store, publisher)
    most = settings.chats_open_per_address if settings.rate_limits == "on" else 0
    admission = Admission(database, store, utcnow, most)
    chat_publisher = ChatPublisher(store, publisher, slot_requests, announcer, queues)
    context = Context(store, queue_store, slot_requests, announcer, chat_publisher, admission, limits=limits)
    citizens = CitizenPresence(settings.rabbitmq_url, publisher, settings.away_limit)
    router = create_router(Handlers(context, citizens.is_writing))
    consumers = Consumers(settings.rabbitmq_url, router, lambda: probe_write(database))
    backlog = Backlog(settings.rabbitmq_url, "routing", consumers.waiting.values())
    timers = Timers(
        context=context,
        citizens=citizens,
        limits=limits,
        calm=Calm(settings.settle_limit, time.monotonic()),
        well=lambda: consumers.running and publisher.up,
        departments=queues,
    )

    prepared = asyncio.Event()
    judged_before: set[str] = set()  # departments whose waiting chats are due by former rules

    def load() -> Apply:
        found = load_departments(source)

        async def apply() -> None:
            before = dict(queues)
            departments.take_over(found)
            queues.clear()
            queues.update((d.id, d.queue) for d in found.departments)
            automatic.clear()
            automatic.update(_automatic(found))
            reassign.clear()
            reassign.update(_reassign(found))
            begin_at_nothing(queues)
            forget(before.keys() - queues.keys())
            judged_before.update(d for d, rules in before.items() if queues.get(d) != rules)
            if prepared.is_set():  # before, the database may be away
                await judge_again()

        return apply

    async def judge_again() -> None:
        judged = set(judged_before)
        await timers.judge_waits_again(judged)
        judged_before.difference_update(judged)

    async def consume() -> None:
        await retry_with_backoff(lambda: read_time(database), patience=float("inf"))
        await retry_with_backoff(lambda: upgrade(database, STEPS), patience=float("inf"))
        prepared.set()
        await retry_with_backoff(judge_again, patience=float("inf"))
        await publisher.link.up.wait()
        await consumers.run()

    async def database_answers() -> bool:
        return prepared.is_set() and await ping(database)

    service.background("publisher", publisher.run, early=True)
    service.background("consumers", consume)
    service.background("queue", announcer.run)
    service.background("citizens", citizens.listener.run)
    service.background("echo", citizens.listener.echo)
    service.background("clock", lambda: follow_time(database))
    service.background("backlog", lambda: backlog.run(publisher.link.up))
    follow_departments(service, publisher, source, watch, load)
    _watch(service, timers)
    service.depend("broker", lambda: publisher.up and citizens.listener.receives, lambda: publisher.link.absent)
    service.depend("database", database_answers)
    service.depend("consumers", lambda: consumers.running, lambda: publisher.link.absent)
    service.on_drain(consumers.drain)
    service.app.state.consumers = consumers
    service.on_drain(announcer.flush)
    service.on_close(database.client.close)
    service.app.include_router(create_routes(context, departments))
    answer_outages(service.app)
    return service.app


def _reassign(departments: Departments) -> dict[str, timedelta]:
    return {d.id: timedelta(seconds=d.reassign_after) for d in departments.departments if d.reassign_after}


def _automatic(departments: Departments) -> set[str]:
    """Return the departments in which assignments are accepted automatically."""
    return {d.id for d in departments.departments if d.accept == "automatic"}


def _watch(service: Service, timers: Timers) -> None:
    for seconds, job in (
        (routing_timers.TIMERS_EVERY, timers.timers),
        (routing_timers.ASK_EVERY, timers.ask),
        (routing_timers.AWAY_EVERY, timers.away),
        (routing_timers.ACCEPTED_EVERY, timers.accepted),
        (routing_timers.QUEUES_EVERY, timers.queues),
        (routing_timers.COUNT_EVERY, timers.count),
    ):
        service.background(job.__name__, lambda s=seconds, w=job: timers.every(s, w))  # type: ignore[misc]
