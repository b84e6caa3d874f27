"""Responses of the internal API."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi.responses import Response

from services.common.events.types import Record


def json_response(answer: Record, status: int = 200) -> Response:
    """Return a response with this answer. It is not validated again."""
    return Response(answer.model_dump_json(), status, media_type="application/json")


async def with_first(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the same content after its first piece was made.

    An error is then raised while the response still has no status.
    """
    first = await anext(content, b"")

    async def all_() -> AsyncIterator[bytes]:
        yield first
        async for piece in content:
            yield piece

    return all_()
