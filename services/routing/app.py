"""The routing service put together: whose turn each chat is, and who waits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pymongo.errors import PyMongoError

from services import topology
from services.backlog import Backlog
from services.broker import Publisher
from services.chassis import Service
from services.clock import utcnow
from services.consuming import Consumers, retry_in_place
from services.database import follow_time, open_database, ping, probe_write, read_time
from services.departments import load_departments
from services.problems import document
from services.routing import assignment, sweeps
from services.routing.admission import Admission
from services.routing.api import create_routes
from services.routing.citizens import Citizens
from services.routing.consumers import handler
from services.routing.counting import begin_at_nothing
from services.routing.desk import Desk
from services.routing.ledger import Ledger
from services.routing.queue import Queue
from services.routing.schema import STEPS
from services.routing.settings import RoutingSettings
from services.routing.store import Store
from services.routing.sweeps import Calm, Sweeps
from services.routing.telling import Telling
from services.schema import upgrade


def create_app(settings: RoutingSettings) -> FastAPI:
    """The service, nothing opened yet. Raises `ConfigurationError` when the departments file cannot be used."""
    departments = load_departments(settings.departments_file)
    limits = replace(
        settings.limits,
        queues={d.id: d.queue for d in departments.departments},
        automatic=frozenset(d.id for d in departments.departments if d.accept == "automatic"),
    )
    names = [d.id for d in departments.departments]
    begin_at_nothing(names)
    service = Service("routing", settings)
    database = open_database(settings, "routing")
    store = Store(database, lambda chat: assignment.stamped(chat, utcnow(), limits))
    publisher = Publisher(settings.rabbitmq_url, "routing", settings.topology == "given")
    queue = Queue(store, Ledger(database), publisher)
    most = settings.chats_open_per_address if settings.rate_limits == "on" else 0
    admission = Admission(database, store, utcnow, most)
    desk = Desk(store, queue, Telling(store, publisher, queue, names), admission, limits=limits)
    citizens = Citizens(settings.rabbitmq_url, publisher, settings.away_limit)
    consumers = Consumers(settings.rabbitmq_url, lambda: probe_write(database))
    for subject in (topology.ROUTING_CHATS, topology.ROUTING_PLACES):
        consumers.add(subject, handler(desk))
    backlog = Backlog(settings.rabbitmq_url, "routing", consumers.waiting.values())
    sweeping = Sweeps(
        desk=desk,
        citizens=citizens,
        limits=limits,
        calm=Calm(settings.settle_limit, time.monotonic()),
        well=lambda: consumers.running and publisher.up,
        departments=names,
    )

    prepared = asyncio.Event()

    async def consume() -> None:
        await retry_in_place(lambda: read_time(database), patience=float("inf"))
        await retry_in_place(lambda: upgrade(database, STEPS), patience=float("inf"))
        prepared.set()
        await publisher.link.up.wait()
        await consumers.run()

    async def database_answers() -> bool:
        return prepared.is_set() and await ping(database)

    service.background("publisher", publisher.run)
    service.background("consumers", consume)
    service.background("queue", queue.run)
    service.background("citizens", citizens.run)
    service.background("echo", citizens.echo)
    service.background("clock", lambda: follow_time(database))
    service.background("backlog", lambda: backlog.run(publisher.link.up))
    _watch(service, sweeping)
    service.depend("broker", lambda: publisher.up and citizens.hears, lambda: publisher.link.absent)
    service.depend("database", database_answers)
    service.depend("consumers", lambda: consumers.running, lambda: publisher.link.absent)
    service.on_drain(consumers.drain)
    service.on_drain(queue.flush)
    service.on_close(database.client.close)
    service.app.include_router(create_routes(desk, departments))
    _answer_when_database_is_away(service.app)
    return service.app


def _watch(service: Service, sweeping: Sweeps) -> None:
    for seconds, sweep in (
        (sweeps.TIMERS_EVERY, sweeping.timers),
        (sweeps.ASK_EVERY, sweeping.ask),
        (sweeps.AWAY_EVERY, sweeping.away),
        (sweeps.ACCEPTED_EVERY, sweeping.accepted),
        (sweeps.QUEUES_EVERY, sweeping.queues),
        (sweeps.COUNT_EVERY, sweeping.count),
    ):
        service.background(sweep.__name__, lambda s=seconds, w=sweep: sweeping.every(s, w))  # type: ignore[misc]


def _answer_when_database_is_away(app: FastAPI) -> None:
    @app.exception_handler(PyMongoError)
    async def away(_: Request, __: PyMongoError) -> Response:
        return document(503, "unavailable", "The database cannot be reached. Please try again.", {"Retry-After": "1"})
