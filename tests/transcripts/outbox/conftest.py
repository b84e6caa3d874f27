"""Fixtures of the tests of the outbox."""

import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from services.common.config.integrations import Webhook
from services.common.mongo.client import Database
from services.transcripts.log.writer import now_ms
from services.transcripts.outbox.addresses import parse_networks
from services.transcripts.outbox.http import CheckedClient, tls_context
from services.transcripts.outbox.rules import Outcome
from services.transcripts.outbox.store import Delivery, Outbox
from services.transcripts.outbox.webhooks import WebhookSender
from tests.support.servers import PATIENCE
from tests.transcripts.outbox.receiver import KEY, LOOPBACK, Receiver, receiving

PATIENCE_OF_OUTBOX = timedelta(days=3)


class Sending:
    """Sends to webhooks with one client, as one process does."""

    def __init__(self, client: CheckedClient, keys: tuple[bytes, ...]) -> None:
        self.client, self._keys = client, keys

    def to(self, target: Webhook) -> WebhookSender:
        return WebhookSender(target, self._keys, self.client, now_ms)

    async def send(self, target: Webhook, delivery: Delivery) -> Outcome:
        return await self.to(target).send([delivery])


MakeSender = Callable[..., Sending]


def webhook(url: str, id_: str = "zaken", **more: object) -> Webhook:
    fields = {"id": id_, "url": url, "secrets": ["env:X"], "events": ["chat.opened", "chat.closed"], **more}
    return Webhook.model_validate(fields)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, PATIENCE_OF_OUTBOX)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def make_sender() -> AsyncIterator[MakeSender]:
    """Makes senders, and closes them. By default they may send to this machine."""
    made: list[Sending] = []

    def make(
        networks: str = LOOPBACK,
        tls: ssl.SSLContext | None = None,
        limit: float = PATIENCE,
        keys: tuple[bytes, ...] = (KEY,),
    ) -> Sending:
        client = CheckedClient(parse_networks(networks), tls or tls_context(None), limit)
        made.append(Sending(client, keys))
        return made[-1]

    yield make
    for sender in made:
        await sender.client.close()
