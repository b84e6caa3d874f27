"""All routes of an application, so that a test can walk them and a new one is not forgotten."""

from collections.abc import Iterable, Iterator

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, WebSocketRoute

WEBSOCKET = "WS"


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """The method (`WS` for a websocket) and the template of every route. A HEAD is answered as its GET."""
    return list(_walk(app.routes))


def _walk(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in sorted(route.methods or ()) if method != "HEAD")
        elif isinstance(route, WebSocketRoute):
            yield WEBSOCKET, route.path
        else:
            included = getattr(route, "original_router", None)
            assert included is not None, f"{route} is of a kind that nobody walks"
            yield from _walk(included.routes)
