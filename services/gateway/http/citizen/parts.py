"""Parts of an answer that streams (ASGI), and writing one without waiting."""

from __future__ import annotations

from starlette.types import Message, Send


def part(body: bytes, last: bool = False) -> Message:
    """Return a part of the body of an answer."""
    return {"type": "http.response.body", "body": body, "more_body": not last}


def written(send: Send, body: bytes, last: bool = False) -> bool:
    """Write a part without waiting, and return whether that succeeded.

    The server's `send` waits before it writes, and only while the connection takes no more. One step of its coroutine
    shows whether it waits, which saves a task for each page.
    """
    sending = send(part(body, last)).__await__()
    try:
        next(sending)
    except StopIteration:
        return True
    sending.close()
    return False
