"""Acknowledger of the deliveries of a channel: soon, and as many as possible with one frame.

Each acknowledgement is an entry in the log of a quorum queue and costs the broker as much as a message. An
acknowledgement therefore waits a short time for others. What a crash redelivers meanwhile is recognised as done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiormq
import structlog

from services.common.messaging import topology
from services.common.messaging.consumer import HANDLED
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.transcripts.log.delivery import Delivery, highest_acknowledgeable
from services.transcripts.log.results import FAILED

log = structlog.get_logger()

COMPANY = 0.02  # seconds that an acknowledgement waits for others
_DONE = HANDLED.labels(topology.TRANSCRIPTS_MESSAGES.name, "done")
_DEAD_LETTERED = HANDLED.labels(topology.TRANSCRIPTS_MESSAGES.name, "dead_lettered")


class Acknowledger:
    """Acknowledges and rejects the deliveries of one channel. After a loss of the channel there is a new instance."""

    def __init__(self, channel: aiormq.Channel, unknown: UnknownErrors) -> None:
        """Start with no deliveries.

        Args:
            channel: The channel of the deliveries.
            unknown: Counter of unexpected errors, over all channels of one consumer.
        """
        self._channel, self._unknown = channel, unknown
        self._open: set[int] = set()  # tags that are neither acknowledged nor rejected, nor about to be
        self._done: list[int] = []
        self._acknowledging: asyncio.Task[None] | None = None

    @property
    def in_hand(self) -> int:
        """The number of deliveries that are neither acknowledged nor rejected."""
        return len(self._open) + len(self._done)

    def delivered(self, tag: int) -> None:
        """Record a delivery."""
        self._open.add(tag)

    async def complete(self, deliveries: Sequence[Delivery], at_once: bool) -> list[Delivery]:
        """Reject the deliveries that are poison or have failed, and acknowledge the others.

        Args:
            deliveries: Deliveries that are finished; those of another channel are ignored.
            at_once: Whether to acknowledge now instead of soon.

        Returns:
            The deliveries that are handled. When the channel is lost the list is empty: all of them are delivered
            again and recognised as done.
        """
        mine = [d for d in deliveries if d.channel is self._channel]
        rejected, done = [d for d in mine if d.result], [d for d in mine if not d.result]
        self._open.difference_update(d.tag for d in mine)
        try:
            with given_up_is_failure():
                for delivery in rejected:
                    await self._channel.basic_reject(delivery.tag, requeue=delivery.result is FAILED, wait=False)
        except BROKER_ERRORS as error:
            log.info("not_rejected", error=type(error).__name__)
            return []
        except Exception as error:
            await self._begin_anew(error)
            return []
        handled = [d for d in mine if d.result is not FAILED]
        _DONE.inc(sum(d.size for d in done))
        _DEAD_LETTERED.inc(len(handled) - len(done))
        self._done += [d.tag for d in done]
        if at_once:
            await self.acknowledge()
        elif done and self._acknowledging is None:
            self._acknowledging = asyncio.create_task(self._acknowledge_soon())
        return handled

    async def acknowledge(self) -> None:
        """Acknowledge the finished deliveries. One frame covers all tags below which no delivery is open."""
        done, self._done = self._done, []
        try:
            with given_up_is_failure():
                if up_to := highest_acknowledgeable(done, self._open):
                    await self._channel.basic_ack(up_to, multiple=True, wait=False)
                for tag in done:
                    if tag > (up_to or 0):
                        await self._channel.basic_ack(tag, wait=False)
            self._unknown.clear()
        except BROKER_ERRORS as error:
            log.info("not_acknowledged", error=type(error).__name__)
        except Exception as error:
            await self._begin_anew(error)

    async def _begin_anew(self, error: Exception) -> None:
        """Close the channel after an unexpected error.

        Its open deliveries are delivered again on a new channel, and recognised as done.
        """
        self._unknown.note(error)
        try:
            with given_up_is_failure():
                await self._channel.close()
        except BROKER_ERRORS:
            pass
        except Exception:
            log.exception("channel_not_closed")

    async def _acknowledge_soon(self) -> None:
        await asyncio.sleep(COMPANY)
        self._acknowledging = None
        await self.acknowledge()
