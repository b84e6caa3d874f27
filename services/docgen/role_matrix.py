"""Who may do what: each role, on each route and frame of the gateway. The one declaration of it.

`tests/e2e/test_roles.py` tries every cell on a whole system. `python -m services.docgen.role_matrix` writes the tables
of `docs/security.md`; with `--check` it only says whether they are current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.docgen.pages import update

FILE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- role matrix: made by services/docgen/role_matrix.py -->", "<!-- end of the role matrix -->"

ROLES = {
    "nobody": "no credentials",
    "citizen": "the token of the chat",
    "other citizen": "the token of another chat",
    "asker": "the token of a question without a chat",
    "agent": "a login session; the chat's agent",
    "colleague": "a login session; an agent of the department who has no part in the chat",
    "other agent": "a login session; an agent of another department",
    "supervisor": "a login session; a supervisor of the department",
    "other supervisor": "a login session; a supervisor of another department",
    "administrator": "a login session; no agent",
    "auditor": "a login session; no agent",
    "service": "an access token of a client of the read API, for the department",
}
"""The roles at the gateway, and what each of them shows."""
AGENTS = ("agent", "colleague", "other agent", "supervisor", "other supervisor")
NAMES = {
    "chat_id": "A",
    "question_id": "Q",
    "attachment_id": "posted",
    "department": "algemeen",
    "name:path": "loket-chat/widget.js",
    "answer_id": "none",
    "agent_id": "none",
    "version": "1",
    "client": "agents",
    "session_id": "none",
}
"""What the parameters of a route stand for, unless a row says otherwise: ids by their names, and values.

`A`: the chat; `B`: the chat of the other department; `Q`: a question of the chat's
department that was left without a chat; `none`: an id that nothing has. `posted`: a file in the chat A; `citizens` and
`agents`: files of its citizen and its agent that are not posted; `asked`: the file of the question Q.
"""
QUESTION = {"chat_id": "Q"}
FILE_BODY = "a file"  # stands for a multipart body
Cell = int | str


@dataclass(frozen=True)
class Route:
    """One row: the status that each role gets.

    Attributes:
        method: The HTTP method.
        route: The template of the route.
        cells: The status for each of `ROLES`, in their order.
        about: What is asked for, where the route alone does not say it.
        names: Parameters that stand for something else than in `NAMES`.
        query: The query string.
        body: The JSON body, `FILE_BODY`, a form (bytes), or None.
        refused_first: Whether the roles that are refused ask first, because the others change what is asked for.
    """

    method: str
    route: str
    cells: tuple[Cell, ...]
    about: str = ""
    names: dict[str, str] = field(default_factory=dict)
    query: str = ""
    body: Any = None
    refused_first: bool = False


@dataclass(frozen=True)
class Frame:
    """One row: what each role gets for a frame on the websocket `/ws/{socket}`. A frame of an agent names the chat."""

    socket: str
    frame: dict[str, Any]
    cells: tuple[Cell, ...]


def anyone(status: int) -> tuple[Cell, ...]:
    """Return the cells of a route that asks for no credentials."""
    return (status,) * len(ROLES)


def citizen_only(status: int) -> tuple[Cell, ...]:
    """Return the cells of a route that is for the citizen of the chat."""
    return (401, status, 403, *(401,) * 9)


def agents_only(*statuses: int, officers: tuple[int, int] = (403, 403)) -> tuple[Cell, ...]:
    """Return the cells of a route for agents: one status for all of them, or five; and those of officers."""
    five = statuses if len(statuses) == len(AGENTS) else statuses * len(AGENTS)
    return (*(401,) * 4, *five, *officers, 401)


def clients_only(status: int) -> tuple[Cell, ...]:
    """Return the cells of a route that is for clients of the read API."""
    return (*(401,) * 11, status)


FILES, TRANSCRIPT = "/api/chats/{chat_id}/attachments", "/api/chats/{chat_id}/transcript"
NOTES, ASSIGNMENTS = "/api/chats/{chat_id}/notes", "/api/assignments"
CLAIM, ASKED = "/api/questions/{chat_id}/claim", "/api/questions/{question_id}/attachments"
DONE = "/api/questions/{chat_id}/done"
REPORTS, NOVEMBER = "/api/agent/reports", "from=2026-11-01&until=2026-11-30"
ANSWERS, ACCESS_LOG, CONFIGURATION = "/api/agent/canned-answers", "/api/access-log", "/api/configuration"
ACCOUNTS = "/api/accounts"
STAFF = {"name": "Nieuw", "role": "agent", "departments": ["algemeen"], "capacity": 1, "locales": ["nl"]}
PAST_CHATS = "/api/agent/chats/search"
INTAKES, ACT_ON_AGENT = "/api/agent/intakes/{department}", "/api/agent/agents/{agent_id}"
ACT_ON_CHAT = "/api/agent/chats/{chat_id}"
WHISPER = {"id": "7b2f8f4e-6f0a-4c55-9d0e-2f5b6a7c8d9e", "text": "een fluisternota"}
ANSWER = {"code": "groet", "title": "Een groet", "departments": ["algemeen"], "texts": {"nl": "Goeiedag"}}
NOWHERE = {"department": "nowhere"}
INTEGRATION = "/api/integration"
ROUTES: tuple[Route, ...] = (
    # the chat
    Route("POST", FILES, (401, 201, 403, 401, 201, 403, 403, 403, 403, 403, 403, 401), body=FILE_BODY),
    Route(
        "GET",
        FILES + "/{attachment_id}",
        (401, 200, 403, 401, 200, 403, 403, 200, 403, 403, 403, 401),
        "a file in the chat",
    ),
    Route(
        "GET",
        FILES + "/{attachment_id}",
        (401, 200, 403, 401, 404, 403, 403, 404, 403, 403, 403, 401),
        "the citizen's file that is not posted",
        {"attachment_id": "citizens"},
    ),
    Route(
        "GET",
        FILES + "/{attachment_id}",
        (401, 404, 403, 401, 200, 403, 403, 404, 403, 403, 403, 401),
        "the agent's file that is not posted",
        {"attachment_id": "agents"},
    ),
    Route(
        "GET",
        FILES + "/{attachment_id}",
        (401, 403, 404, 401, 403, 403, 404, 403, 404, 403, 403, 401),
        "a file of the chat, asked for in the other chat",
        {"chat_id": "B"},
    ),
    Route(
        "GET",
        FILES + "/{attachment_id}/preview",
        (401, 204, 403, 401, 204, 403, 403, 204, 403, 403, 403, 401),
        "a file in the chat that is a text, which has no preview",
    ),
    Route("GET", TRANSCRIPT, (401, 200, 403, 401, 200, 403, 403, 200, 403, 403, 403, 401), query="format=json"),
    Route(
        "GET", TRANSCRIPT, (401, 200, 403, 401, 200, 403, 403, 200, 403, 403, 403, 401), "as PDF", query="format=pdf"
    ),
    Route(
        "GET",
        TRANSCRIPT,
        (401, 403, 200, 401, 403, 403, 200, 403, 200, 403, 403, 401),
        "of the other chat",
        {"chat_id": "B"},
        "format=json",
    ),
    Route(
        "GET",
        TRANSCRIPT,
        (401, 403, 403, 401, 404, 404, 404, 404, 404, 403, 403, 401),
        "of no chat",
        {"chat_id": "none"},
        "format=json",
    ),
    Route("GET", NOTES, (401, 403, 403, 401, 200, 403, 403, 200, 403, 403, 403, 401)),
    Route(
        "GET",
        NOTES,
        (401, 403, 403, 401, 403, 403, 200, 403, 200, 403, 403, 401),
        "of the other chat",
        {"chat_id": "B"},
    ),
    Route("GET", "/api/chats/{chat_id}/stream", citizen_only(200)),
    Route(
        "POST", "/api/chats/{chat_id}/frames", citizen_only(200), body={"frames": [{"type": "typing", "active": True}]}
    ),
    Route("POST", "/api/chats/{chat_id}/rating", citizen_only(204), body={"score": 5}),
    Route("POST", "/api/chats/{chat_id}/download-code", citizen_only(201)),
    Route("POST", "/api/chats/{chat_id}/identification", citizen_only(404), "while no agent asks to identify"),
    Route("DELETE", "/api/chats/{chat_id}/identification", citizen_only(204), "while no agent asks to identify"),
    Route(
        "POST",
        "/api/chats/{chat_id}/question",
        citizen_only(409),
        "while an agent has the chat",
        body={"contact": "02 123", "text": "Wanneer?"},
    ),
    # agents
    Route("GET", "/api/agent/me", agents_only(200, officers=(200, 200))),
    Route(
        "PUT",
        "/api/agent/password",
        agents_only(422, officers=(422, 422)),
        "by one that is too short",
        body={"old": "demo", "new": "kort"},
    ),
    Route("GET", "/api/agent/sessions", agents_only(200, officers=(200, 200))),
    Route("DELETE", "/api/agent/sessions/{session_id}", agents_only(404, officers=(404, 404)), "of no id"),
    Route("GET", "/api/agents", agents_only(200), query="department=algemeen"),
    Route("GET", ASSIGNMENTS, agents_only(403, 403, 403, 200, 200)),
    Route("GET", ASSIGNMENTS, agents_only(403, 403, 403, 200, 403), "of the department", query="department=algemeen"),
    Route("GET", ASSIGNMENTS, agents_only(403, 403, 403, 403, 200), "of the other one", query="department=premies"),
    Route("GET", ASSIGNMENTS, agents_only(403, 403, 403, 200, 403), "of the chat", query="chat_id={A}"),
    Route("GET", ASSIGNMENTS, agents_only(403, 403, 403, 403, 200), "of the other chat", query="chat_id={B}"),
    Route("GET", REPORTS, agents_only(403, 403, 403, 200, 200), query=NOVEMBER),
    Route(
        "GET",
        REPORTS,
        agents_only(403, 403, 403, 403, 200),
        "of the other department, as CSV",
        query=f"{NOVEMBER}&department=premies&format=csv",
    ),
    Route("POST", PAST_CHATS, agents_only(200), "their own", body={"own": True}),
    Route("POST", PAST_CHATS, agents_only(403, 403, 403, 200, 200), "of others", body={"own": False}),
    Route(
        "POST",
        PAST_CHATS,
        agents_only(403, 403, 403, 403, 200),
        "of the other department",
        body={"own": False, "department": "premies", "text": "goedendag"},
    ),
    Route("GET", ANSWERS, agents_only(200, officers=(200, 403)), "those of the agent's departments"),
    Route(
        "POST",
        ANSWERS,
        agents_only(403, 403, 403, 201, 403, officers=(409, 403)),
        "for the department; the supervisor is the first",
        body=ANSWER,
    ),
    Route(
        "PUT",
        ANSWERS + "/{answer_id}",
        agents_only(403, 403, 403, 404, 403, officers=(404, 403)),
        "of no id",
        body={**ANSWER, "revision": 1},
    ),
    Route(
        "DELETE",
        ANSWERS + "/{answer_id}",
        agents_only(403, 403, 403, 204, 204, officers=(204, 403)),
        "of no id",
        query="revision=1",
    ),
    # administrators
    Route("GET", CONFIGURATION, agents_only(403, officers=(200, 403)), "the departments are in a file"),
    Route("GET", CONFIGURATION + "/export", agents_only(403, officers=(409, 403)), "the departments are in a file"),
    Route("GET", CONFIGURATION + "/versions", agents_only(403, officers=(409, 403)), "the departments are in a file"),
    Route(
        "GET",
        CONFIGURATION + "/versions/{version}",
        agents_only(403, officers=(409, 403)),
        "the departments are in a file",
    ),
    Route(
        "POST",
        CONFIGURATION + "/check",
        agents_only(403, officers=(409, 403)),
        "the departments are in a file",
        body={"version": 1, "text": "x", "year": 2027},
    ),
    Route(
        "POST",
        CONFIGURATION,
        agents_only(403, officers=(409, 403)),
        "the departments are in a file",
        body={"version": 1, "text": "x"},
    ),
    Route("POST", ACCOUNTS + "/search", agents_only(403, officers=(200, 403)), "the accounts are in a file", body={}),
    Route(
        "POST",
        ACCOUNTS,
        agents_only(403, officers=(409, 403)),
        "the accounts are in a file",
        body={"username": "nieuw", "form": STAFF},
    ),
    Route(
        "POST",
        ACCOUNTS + "/change",
        agents_only(403, officers=(409, 403)),
        "the accounts are in a file",
        body={"username": "an", "revision": 1, "form": STAFF},
    ),
    Route(
        "POST",
        ACCOUNTS + "/act",
        agents_only(403, officers=(409, 403)),
        "the accounts are in a file",
        body={"username": "an", "revision": 1, "act": "make_password"},
    ),
    Route(
        "POST",
        ACCOUNTS + "/history",
        agents_only(403, officers=(409, 403)),
        "the accounts are in a file",
        body={"username": "an"},
    ),
    Route("POST", "/api/sessions/search", agents_only(403, officers=(200, 403)), body={}),
    Route("POST", "/api/sessions/end", agents_only(403, officers=(404, 403)), "of no id", body={"id": "none"}),
    # auditors
    Route("GET", ACCESS_LOG, agents_only(403, officers=(403, 200))),
    Route("GET", ACCESS_LOG, agents_only(403, officers=(403, 200)), "of the chat", query="chat={A}"),
    Route("GET", ACCESS_LOG + "/verification", agents_only(403, officers=(403, 200))),
    Route("GET", ACCESS_LOG + "/export", agents_only(403, officers=(403, 200)), query="format=jsonl"),
    Route("GET", ACCESS_LOG + "/export", agents_only(403, officers=(403, 200)), "as CSV", query="format=csv"),
    # acts of supervisors
    Route(
        "PUT",
        INTAKES,
        agents_only(403, 403, 403, 422, 403),
        "until a moment that is past",
        body={"reason": "staff", "until": "2026-01-01T00:00:00Z"},
    ),
    Route("DELETE", INTAKES, agents_only(403, 403, 403, 204, 403), "that is open"),
    Route("POST", ACT_ON_AGENT + "/pause", agents_only(403, 403, 403, 404, 404), "no agent"),
    Route("POST", ACT_ON_AGENT + "/log-out", agents_only(403, 403, 403, 404, 404), "no agent"),
    Route("PUT", ACT_ON_CHAT + "/label", agents_only(204, 403, 403, 403, 403), body={"tags": []}),
    Route("POST", ACT_ON_CHAT + "/notes", agents_only(403, 403, 403, 204, 403), body=WHISPER),
    Route(
        "POST",
        ACT_ON_CHAT + "/notes",
        agents_only(403, 403, 403, 404, 404),
        "of no chat",
        {"chat_id": "none"},
        body=WHISPER,
    ),
    Route(
        "POST",
        ACT_ON_CHAT + "/reassign",
        agents_only(403, 403, 403, 409, 403),
        "to nobody who is there",
        body={"agent": "nobody"},
    ),
    # questions that were left without a chat
    Route("POST", ASKED, (401, 401, 401, 201, 401, 401, 401, 401, 401, 401, 401, 401), body=FILE_BODY),
    Route(
        "POST",
        ASKED,
        (401, 401, 401, 403, 401, 401, 401, 401, 401, 401, 401, 401),
        "of another question",
        {"question_id": "none"},
        body=FILE_BODY,
    ),
    Route("GET", "/api/questions", agents_only(200), "those of the agent's departments"),
    Route(
        "GET",
        ASKED + "/{attachment_id}",
        agents_only(403, 403, 404, 200, 404),
        "before it is claimed",
        {"attachment_id": "asked"},
    ),
    Route("POST", CLAIM, agents_only(404), "of no question", {"chat_id": "none"}),
    Route("POST", CLAIM, agents_only(200, 409, 404, 409, 404), "the agent is the first", QUESTION),
    Route(
        "GET",
        ASKED + "/{attachment_id}",
        agents_only(200, 403, 404, 200, 404),
        "claimed by the agent",
        {"attachment_id": "asked"},
    ),
    Route(
        "GET",
        ASKED + "/{attachment_id}/preview",
        agents_only(204, 403, 404, 204, 404),
        "a text, which has no preview; claimed by the agent",
        {"attachment_id": "asked"},
    ),
    Route("DELETE", CLAIM, agents_only(204, 403, 404, 204, 404), "claimed by the agent", QUESTION, refused_first=True),
    Route("POST", DONE, agents_only(204, 204, 404, 204, 404), "claimed by nobody", QUESTION),
    Route("POST", DONE, agents_only(204, 409, 404, 409, 404), "done by the agent, once", QUESTION, "once=true"),
    Route("GET", "/api/questions/archive", agents_only(200), "those of the agent's departments"),
    Route(
        "GET",
        "/api/questions/archive",
        agents_only(403, 403, 200, 403, 200),
        "of the other department",
        query="department=premies",
    ),
    Route("DELETE", DONE, agents_only(200, 403, 404, 200, 404), "done by the agent", QUESTION, refused_first=True),
    Route("DELETE", DONE, agents_only(404), "of no question", {"chat_id": "none"}),
    # clients of the read API
    *(
        row
        for kind, period in (("statistics", f"&{NOVEMBER}"), ("chats", ""), ("questions", f"&{NOVEMBER}"))
        for row in (
            Route("GET", f"{INTEGRATION}/{kind}", clients_only(200), query=f"department=algemeen{period}"),
            Route(
                "GET",
                f"{INTEGRATION}/{kind}",
                clients_only(403),
                "of the other department",
                query=f"department=premies{period}",
            ),
        )
    ),
    Route("GET", f"{INTEGRATION}/chats/{{chat_id}}/transcript", clients_only(409), "before the chat has ended"),
    Route(
        "GET", f"{INTEGRATION}/chats/{{chat_id}}/transcript", clients_only(404), "of the other chat", {"chat_id": "B"}
    ),
    Route("POST", f"{INTEGRATION}/token", anyone(401), "without a secret", body=b"grant_type=client_credentials"),
    # the end
    Route("DELETE", "/api/chats/{chat_id}", citizen_only(204), "ends the chat"),
    Route(
        "DELETE",
        ACT_ON_CHAT + "/token",
        agents_only(403, 403, 403, 204, 403, officers=(204, 403)),
        "revokes the citizen's token",
    ),
    Route("DELETE", "/api/chats/{chat_id}/token", citizen_only(204), "gives the token up"),
    # anyone
    Route("GET", "/", anyone(200)),
    Route("GET", "/agent", anyone(200)),
    Route("GET", "/widget.js", anyone(200)),
    Route("GET", "/static/{name:path}", anyone(200)),
    Route("GET", "/favicon.ico", anyone(200)),
    Route("GET", "/.well-known/security.txt", anyone(404), "without a contact"),
    Route("GET", "/infofiche/{department}", anyone(200)),
    Route("GET", "/toegankelijkheid", anyone(200)),
    Route("GET", "/gesprek", anyone(200)),
    Route("POST", "/gesprek", anyone(404), "with a code that nobody has", body=b"code=AAAA&format=txt"),
    Route("GET", "/verify", anyone(200)),
    Route("POST", "/verify", anyone(404), "with a code that nobody has", body=b"code=AAAA"),
    Route("GET", "/identify", anyone(410), "without a ticket"),
    Route("GET", "/identify/callback", anyone(303), "without a login under way: to the page that says so"),
    Route("GET", "/identify/done", anyone(200)),
    Route("GET", "/api/transcript-keys", anyone(200)),
    Route("GET", "/api/oidc-keys/{client}", anyone(404), "without keys at an issuer"),
    Route("GET", "/api/button", anyone(200)),
    Route("GET", "/api/button/events", anyone(200)),
    Route("GET", "/api/settings", anyone(200)),
    Route("GET", "/api/departments/{department}", anyone(200)),
    Route("POST", "/api/chats", anyone(404), "of no department", body=NOWHERE),
    Route("POST", "/api/reservations", anyone(404), "of no department", body=NOWHERE),
    Route("POST", "/api/reservations/renew", anyone(409), "with no reservation's token", body={"reservation": "x"}),
    Route("POST", "/api/reservations/release", anyone(204), "with no reservation's token", body={"reservation": "x"}),
    Route(
        "POST",
        "/api/questions",
        anyone(404),
        "of no department",
        body={**NOWHERE, "contact": "an@example.be", "text": "Wanneer?"},
    ),
    Route("POST", "/api/agent/session", anyone(422), "without a name", body={}),
    Route("GET", "/api/agent/login", anyone(200)),
    Route("GET", "/api/agent/oidc/login", anyone(303), "without an issuer: back to the console"),
    Route("GET", "/api/agent/oidc/callback", anyone(303), "without an issuer: back to the console"),
    Route("GET", "/api/agent/oidc/choices", anyone(404), "without an issuer"),
    Route("POST", "/api/agent/oidc/choice", anyone(404), "without an issuer", body={"choice": "x"}),
    Route("POST", "/api/agent/oidc/logout", anyone(404), "without an issuer", body=b"logout_token=x"),
    Route("GET", "/healthz", anyone(200)),
    Route("GET", "/readyz", anyone(200)),
    Route("GET", "/metrics", anyone(200)),
    Route("DELETE", "/api/agent/session", anyone(204), "ends the own session, if there is one"),
)


def by_citizen(*cells: Cell) -> tuple[Cell, ...]:
    """Return the cells of a frame on `/ws/citizen`: of the citizen of the chat, and of another one."""
    return (4401, *cells, *(4401,) * 9)


def by_agent(own: Cell, others: Cell = "not_yours") -> tuple[Cell, ...]:
    """Return the cells of a frame on `/ws/agent`: of the chat's agent, and of the other agents. An officer is none."""
    return (*(4401,) * 4, own, *(others,) * 4, *(4401,) * 3)


MESSAGE = {"type": "message", "text": "een bericht"}
FRAMES = (
    Frame("citizen", MESSAGE, by_citizen("yes", "own chat")),
    Frame("citizen", {"type": "typing", "active": True}, by_citizen("yes", "own chat")),
    Frame("citizen", {"type": "read", "seq": 1}, by_citizen("yes", "own chat")),
    Frame("citizen", {"type": "details", "name": "Naam"}, by_citizen("yes", "own chat")),
    Frame("citizen", {"type": "extend"}, by_citizen("yes", "own chat")),
    Frame("citizen", {"type": "note", "text": "een nota"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "accept"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "refuse"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "transfer", "to": {"department": "premies"}}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "active"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "done"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "state", "state": "paused"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "watch"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "departments"}, by_citizen(4400, 4400)),
    Frame("citizen", {"type": "identify"}, by_citizen(4400, 4400)),
    Frame("agent", MESSAGE, by_agent("yes")),
    Frame("agent", {"type": "note", "text": "een nota"}, by_agent("yes")),
    Frame("agent", {"type": "typing", "active": True}, by_agent("yes")),
    Frame("agent", {"type": "read", "seq": 1}, by_agent("yes")),
    Frame("agent", {"type": "accept"}, by_agent("yes")),
    Frame("agent", {"type": "transfer", "to": {"agent": "nobody"}}, by_agent("unavailable")),
    Frame("agent", {"type": "refuse"}, by_agent("unavailable")),  # it was not transferred to them
    Frame("agent", {"type": "active"}, by_agent("yes", "yes")),
    Frame("agent", {"type": "done"}, by_agent("yes", "yes")),  # it ends a wrap-up of the agent's own, and no other
    Frame("agent", {"type": "state", "state": "available"}, by_agent("yes", "yes")),
    Frame("agent", {"type": "watch"}, (*(4401,) * 4, *("forbidden",) * 3, "yes", "yes", *(4401,) * 3)),
    Frame("agent", {"type": "departments"}, by_agent("yes", "yes")),  # of their own departments
    Frame("agent", {"type": "extend"}, by_agent(4400, 4400)),
    Frame("agent", {"type": "details", "name": "Naam"}, by_agent(4400, 4400)),
    Frame("agent", {"type": "identify"}, by_agent("yes")),
    Frame("agent", {"type": "close"}, by_agent("yes")),
    Frame("citizen", {"type": "close"}, by_citizen("yes", "own chat")),
)


def tables() -> str:
    """Return the tables of `docs/security.md`."""
    names = list(ROLES)
    parts = [
        "| role | what it shows |\n|---|---|",
        *(f"| {name} | {shows} |" for name, shows in ROLES.items()),
        "\nRoutes that ask for credentials:\n",
        *_table(["route", "asked for", *names], (_cells(row) for row in ROUTES if len(set(row.cells)) > 1)),
        "\nRoutes that answer anyone alike:\n",
        *_table(
            ["route", "asked for", "status"],
            ((*_cells(row)[:2], str(row.cells[0])) for row in ROUTES if len(set(row.cells)) == 1),
        ),
        "\nFrames:\n",
        *_table(
            ["websocket", "frame", *names],
            ((f"`/ws/{row.socket}`", f"`{row.frame['type']}`", *map(str, row.cells)) for row in FRAMES),
        ),
    ]
    return "\n".join(parts)


def _cells(row: Route) -> tuple[str, ...]:
    return (f"`{row.method} {row.route}`", row.about, *map(str, row.cells))


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def page(text: str) -> str:
    """Return this text of the page with the present tables in it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the tables, or with `--check` only say whether they are current. Return the exit status."""
    return update(FILE, page(FILE.read_text(encoding="utf-8")), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
