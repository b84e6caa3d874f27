"""The two websockets of the protocol, and who may open one."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket
from starlette.routing import WebSocketRoute

from services.common.config.departments import Departments
from services.common.events.types import Party
from services.common.observability.tracing import begin_trace
from services.gateway.clients.http_client import Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.http.dependencies import has_own_origin
from services.gateway.http.security.cookies import session_token
from services.gateway.participants.agent import AgentHandler
from services.gateway.participants.citizen import CitizenHandler
from services.gateway.participants.sessions import AgentSession, CitizenSession
from services.gateway.refusal_log import FORBIDDEN, REFUSALS
from services.gateway.settings import Settings
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits
from services.gateway.websocket.session import FrameSession, serve
from services.gateway.websocket.transport import SOCKET, ReceivingProtocol


def install(
    app: FastAPI,
    citizens: CitizenHandler,
    agents: AgentHandler,
    presence: PresenceClient,
    departments: Departments,
    allowances: MessageLimits,
    settings: Settings,
) -> None:
    """Add the two websockets of the protocol."""

    async def citizen(websocket: WebSocket) -> None:
        begin_trace()
        await websocket.accept()
        socket = _socket(websocket)
        origin = None if has_own_origin(websocket, settings) else websocket.headers.get("origin")
        if origin is not None and origin.lower() not in departments.origins():
            REFUSALS.closed(FORBIDDEN, Close.FORBIDDEN_ORIGIN, None)
            socket.close(Close.FORBIDDEN_ORIGIN)
            return
        session = CitizenSession(Connection(Party.CITIZEN, socket), origin and origin.lower())
        await serve(websocket, socket, FrameSession(session, citizens, allowances))

    async def agent(websocket: WebSocket) -> None:
        begin_trace()
        await websocket.accept()
        socket = _socket(websocket)
        if not has_own_origin(websocket, settings):
            REFUSALS.closed(FORBIDDEN, Close.FORBIDDEN_ORIGIN, None)
            socket.close(Close.FORBIDDEN_ORIGIN)
            return
        try:
            token = session_token(websocket.cookies, websocket.headers.get("host", ""))
            login = await presence.session(token) if token else None
        except Unavailable:
            if socket.may_write:
                socket.write([server.error("unavailable")])
            socket.close(Close.RESTART)
            return
        if login is None or login.role is not None:  # an officer is no agent
            socket.close(Close.UNAUTHENTICATED)
            return
        session = AgentSession(Connection(Party.AGENT, socket), login.agent, login.session_id, token or "")
        await serve(websocket, socket, FrameSession(session, agents, allowances))

    # Starlette's route: FastAPI's would keep the objects that it builds for a request while the websocket is open.
    app.router.routes += [WebSocketRoute("/ws/citizen", citizen), WebSocketRoute("/ws/agent", agent)]


def _socket(websocket: WebSocket) -> ReceivingProtocol:
    socket: ReceivingProtocol = websocket.scope["extensions"][SOCKET]
    return socket
