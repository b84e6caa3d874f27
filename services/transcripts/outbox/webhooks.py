"""Sender of webhooks: one signed POST for each attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from services.common.config.integrations import Webhook
from services.transcripts.outbox.http import CheckedClient, read
from services.transcripts.outbox.rules import Outcome, body_of, judged
from services.transcripts.outbox.signatures import signed_headers
from services.transcripts.outbox.store import Delivery

MOST_ANSWER = 16 * 1024  # bytes of an answer that are read, so that its connection can be used again


class WebhookSender:
    """Sends the deliveries of one webhook (a `Sender` of `courier.py`)."""

    def __init__(
        self, webhook: Webhook, secrets: Sequence[bytes], client: CheckedClient, clock: Callable[[], datetime]
    ) -> None:
        """Create a sender.

        Args:
            webhook: The target.
            secrets: Its secrets, the present one first.
            client: Sends the requests.
            clock: Returns the present.
        """
        self._webhook, self._secrets, self._client, self._clock = webhook, secrets, client, clock

    async def send(self, deliveries: Sequence[Delivery]) -> Outcome:
        """Send a delivery. Return what came of it; nothing is raised but a cancellation."""
        (delivery,) = deliveries
        return await self._client.attempt(self._post(delivery))

    async def _post(self, delivery: Delivery) -> Outcome:
        now = self._clock()
        body = body_of(delivery.type, delivery.at, delivery.data)
        headers: Mapping[str, str] = {
            "Content-Type": "application/json",
            **signed_headers(delivery.notice, now, body, self._secrets),
        }
        async with self._client.request("POST", self._webhook.url, headers, body) as answer:
            outcome = judged(answer.status, answer.headers.get("Retry-After"), now)
            await read(answer, MOST_ANSWER)
            return outcome
