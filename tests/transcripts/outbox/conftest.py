"""Fixtures of the tests of the outbox."""

import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from services.common.config.integrations import Webhook
from services.common.mongo.client import Database
from services.transcripts.log.writer import now_ms
from services.transcripts.outbox.addresses import parse_networks
from services.transcripts.outbox.store import Outbox
from services.transcripts.outbox.webhooks import WebhookSender, tls_context
from tests.support.servers import PATIENCE
from tests.transcripts.outbox.receiver import KEY, LOOPBACK, Receiver, receiving

PATIENCE_OF_OUTBOX = timedelta(days=3)
MakeSender = Callable[..., WebhookSender]


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
    made: list[WebhookSender] = []

    def make(
        networks: str = LOOPBACK,
        tls: ssl.SSLContext | None = None,
        limit: float = PATIENCE,
        keys: tuple[bytes, ...] = (KEY,),
    ) -> WebhookSender:
        context = tls or tls_context(None)
        ids = ("zaken", "slow", "fast")
        sender = WebhookSender(dict.fromkeys(ids, keys), parse_networks(networks), context, limit, now_ms)
        made.append(sender)
        return sender

    yield make
    for sender in made:
        await sender.close()
