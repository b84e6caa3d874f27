"""A press on the green button: one chat for one press, however often it is repeated."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.broker import Publisher, Unconfirmed
from services.contracts import ChatOpened, Form
from services.departments import LOCALES, Department, Departments
from services.gateway.buttons import Buttons
from services.gateway.upstream import Unavailable, Upstream
from services.problems import Problem
from services.tokens import Keys
from services.tracing import begin_trace

log = structlog.get_logger()
REPEAT_WITHIN = timedelta(minutes=10)
MOST_REMEMBERED = 10_000
PRESSES = Counter("eloket_gateway_presses_total", "Presses on the button", ["department", "outcome"])


def _clean(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    return text


def _web_address(value: str) -> str:
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc:
        raise ValueError("must be an http or https address")
    return value


Line = Annotated[str, Field(max_length=200), AfterValidator(_clean)]


class FormMembers(BaseModel):
    """The online form that the citizen has open."""

    model_config = ConfigDict(extra="ignore")
    id: Line | None = None
    title: Annotated[str, Field(max_length=500), AfterValidator(_clean)] | None = None
    url: Annotated[str, Field(max_length=2_000), AfterValidator(_clean), AfterValidator(_web_address)] | None = None


class StartChat(BaseModel):
    """What a citizen may tell when he starts a chat: all of it is optional."""

    model_config = ConfigDict(extra="ignore", strict=True)
    department: str | None = None
    locale: str | None = None
    name: Line | None = None
    question: Annotated[str, Field(max_length=4_000), AfterValidator(_clean)] | None = None
    form: FormMembers | None = None


@dataclass(frozen=True)
class Started:
    chat_id: str
    token: str

    def body(self) -> dict[str, Any]:
        return {"chat_id": self.chat_id, "token": self.token, "websocket": "/ws/citizen"}


class Starting:
    """Starts chats. An `Idempotency-Key` is remembered here and, everywhere, by the chat id derived from it."""

    def __init__(
        self, publisher: Publisher, upstream: Upstream, buttons: Buttons, departments: Departments, keys: Keys
    ) -> None:
        self._publisher, self._upstream, self._buttons = publisher, upstream, buttons
        self._departments, self._keys = departments, keys
        self._recent: OrderedDict[str, float] = OrderedDict()  # chat → when it was started here

    async def start(self, wanted: StartChat, key: str | None, address: str) -> Started:
        """The chat of this press. Problems: 404 `unknown_department`, 409 `button_blue`, 503 `unavailable`."""
        department = self._departments.get(wanted.department)
        if department is None:
            raise Problem(404, "unknown_department", "There is no such department; leave it out for the default one.")
        chat_id, known = await self._chat_of(key, address) if key else (str(uuid4()), False)
        begin_trace(chat_id=chat_id)
        if known:
            PRESSES.labels(department.id, "repeated").inc()
            return Started(chat_id, self._keys.chat_token(chat_id))
        self._require_green(department)
        await self._open(chat_id, department, wanted)
        self._remember(chat_id)
        PRESSES.labels(department.id, "started").inc()
        return Started(chat_id, self._keys.chat_token(chat_id))

    def _require_green(self, department: Department) -> None:
        if self._buttons.of[department.id].shown.green:
            return
        reason = self._buttons.of[department.id].shown.reason
        PRESSES.labels(department.id, "blue").inc()
        if not self._publisher.up:
            raise Problem(
                503,
                "unavailable",
                "A chat cannot be started just now. Try again in a few seconds.",
                {"Retry-After": "5"},
            )
        raise Problem(
            409,
            "button_blue",
            "No agent can take a chat now. The info sheet tells the opening hours and other ways to reach us.",
            infofiche_url=f"/infofiche/{department.id}",
            reason=reason,
        )

    async def _open(self, chat_id: str, department: Department, wanted: StartChat) -> None:
        question = wanted.question if wanted.question and wanted.question.strip() else None
        form = wanted.form
        fact = ChatOpened(
            chat_id=chat_id,
            department=department.id,
            locale=wanted.locale if wanted.locale in LOCALES else "nl",
            name=(wanted.name or "").strip() or None,
            question=question,
            form=Form(id=form.id, title=form.title, url=form.url) if form else None,
            opened_at=datetime.now(UTC),
        )
        try:
            await self._publisher.tell(fact)
        except Unconfirmed as error:
            log.warning("chat_not_opened", error=str(error))
            raise Problem(
                503,
                "unavailable",
                "A chat cannot be started just now. Try again in a few seconds.",
                {"Retry-After": "5"},
            ) from error
        log.info("chat_opened", department=department.id)

    async def _chat_of(self, key: str, address: str) -> tuple[str, bool]:
        """The chat id for this key, and whether that chat was started already, within the last ten minutes."""
        for attempt in range(100):
            chat_id = self._derive(key, address, attempt)
            started = self._recent.get(chat_id)
            if started is not None and time.monotonic() - started < REPEAT_WITHIN.total_seconds():
                return chat_id, True
            age = await self._age(chat_id)
            if age is None:
                return chat_id, False
            if age < REPEAT_WITHIN:
                return chat_id, True
        return str(uuid4()), False

    def _derive(self, key: str, address: str, attempt: int) -> str:
        digest = self._keys.digest("idempotency", f"{address}\n{attempt}\n{key}")
        return str(UUID(bytes=digest[:16], version=4))

    async def _age(self, chat_id: str) -> timedelta | None:
        try:
            view = (await self._upstream.chats([chat_id])).get(chat_id)
        except Unavailable:
            return None
        return datetime.now(UTC) - view.opened_at if view else None

    def _remember(self, chat_id: str) -> None:
        self._recent[chat_id] = time.monotonic()
        if len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)
