"""Removes the dead letters of a chat from the broker."""

from __future__ import annotations

import json
from typing import Any

from deploy.dead_letters.inspector import connected, opened
from services.common.messaging import topology

SERVICES = sorted({queue.service for queue in topology.QUEUES})
MOST = 10_000  # letters of a service that may be held at a time


async def discard(url: str, chat_id: str) -> tuple[dict[str, int], list[str]]:
    """Discard every dead letter about this chat, also one in a batch with others.

    Returns:
        The number of discarded letters of each service that had some, and the services of which not all letters
        could be looked at.

    Raises:
        Busy: Another operator reads the letters.
        TimeoutError: The broker does not answer, or an error of aio-pika.
    """
    discarded: dict[str, int] = {}
    cut_short = []
    async with connected(url) as connection:
        for service in SERVICES:
            async with opened(connection, service) as pile:
                if pile is None:
                    continue
                async for found in pile.letters(MOST):
                    if is_about(found.message.body, chat_id):
                        await pile.discard(found)
                        discarded[service] = discarded.get(service, 0) + 1
                if pile.cut_short:
                    cut_short.append(service)
    return discarded, cut_short


def is_about(body: bytes, chat_id: str) -> bool:
    """Return whether a letter has the number of this chat anywhere, in a readable event or not."""
    try:
        return _has(json.loads(body), chat_id)
    except (ValueError, RecursionError):
        return chat_id.encode() in body


def _has(value: Any, chat_id: str) -> bool:
    if isinstance(value, dict):
        return any(_has(v, chat_id) for v in value.values())
    if isinstance(value, list):
        return any(_has(v, chat_id) for v in value)
    return isinstance(value, str) and chat_id in value
