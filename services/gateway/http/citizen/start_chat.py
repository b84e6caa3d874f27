"""Start of a chat: one chat for one press, however often it is repeated, with a reserved slot where possible."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter
from structlog.contextvars import bind_contextvars

from services.common.clock import utcnow
from services.common.config.departments import LOCALES, Department, Departments
from services.common.events.chats import ChatOpened
from services.common.events.types import ButtonReason, Hold
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.internal_api.routing import prefix_of
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.gateway.background_tasks import Tasks
from services.gateway.button_state import Buttons
from services.gateway.chats.bindings import Bindings
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.http.citizen.start_request import Source, StartChat, form_of, members_of
from services.gateway.http.dependencies import department_of, number_refused
from services.gateway.identifying_numbers import NumberRefused, NumberRules

log = structlog.get_logger()
REPEAT_WITHIN = timedelta(minutes=10)
MOST_REMEMBERED = 10_000
HOLD_LIMIT = 2.0  # seconds in which presence may reserve a slot
RESERVED_FOR = 60.0  # seconds for which an open form reserves a slot, from its opening or its last renewal
PRESSES = Counter("eloket_gateway_presses_total", "Presses on the button", ["department", "outcome"])


@dataclass(frozen=True)
class Started:
    """A chat that was started, and the token with which its citizen connects."""

    chat_id: str
    token: str

    def body(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        return {"chat_id": self.chat_id, "token": self.token, "websocket": "/ws/citizen"}


class Starting:
    """Starts chats. An `Idempotency-Key` is recognised by a local memory and, on every replica, by the chat id.

    The first half of the chat id is derived from the key and the address, the second half also from the body and the
    `Origin`. Every replica thus finds the chats of a key by the first half, and sees by the second whether the request
    is the same.

    An agent's slot is reserved before the chat is opened, so that no citizen gets a chat that no agent can take.
    """

    def __init__(
        self,
        publisher: Publisher,
        presence: PresenceClient,
        routing: RoutingClient,
        bindings: Bindings,
        tasks: Tasks,
        buttons: Buttons,
        departments: Departments,
        keys: Keys,
        numbers: NumberRules,
    ) -> None:
        self._publisher, self._presence, self._routing, self._buttons = publisher, presence, routing, buttons
        self._bindings, self._tasks = bindings, tasks
        self._departments, self._keys, self._numbers = departments, keys, numbers
        self._recent: OrderedDict[str, tuple[str, float, datetime]] = OrderedDict()  # by prefix: chat, when, opening
        self._under_way: dict[str, tuple[str, asyncio.Task[Started]]] = {}  # by the prefix of the first attempt

    async def start(self, wanted: StartChat, key: str | None, source: Source) -> Started:
        """Return the chat of this press.

        Args:
            wanted: The body of the request.
            key: The `Idempotency-Key`, if any.
            source: Where the request comes from.

        Raises:
            Problem: 403 `blocked`, 404 `unknown_department`, 409 `button_blue` or `queue_full`, 422 `invalid` for a key
                that came with another request, 422 `identifying_number`, 429 `rate_limited`, 503 `unavailable`.
        """
        department = department_of(self._departments, wanted.department)
        self._written(wanted.name, department)
        self._written(wanted.question, department)
        if wanted.reservation and (reserved := await self._start_reserved(department, wanted, source)):
            return reserved
        if key is None:
            chat_id = str(uuid4())
            refused = self._blue(department, wanted.seen) and not self._may_queue(department, wanted)
            await self._refuse(department, None if refused else self._admission(chat_id, wanted, source))
            return await self._start(department, wanted, chat_id)
        chat_id = self._derive(key, wanted, source, 0)
        prefix = prefix_of(chat_id)
        if prefix not in self._under_way:
            task = asyncio.create_task(self._start_once(department, wanted, key, source))
            self._under_way[prefix] = (chat_id, task)
            task.add_done_callback(lambda task: self._ended(prefix, task))
        else:
            first, task = self._under_way[prefix]
            if first != chat_id:
                raise _other_request()
            PRESSES.labels(department.id, "repeated").inc()
        return await asyncio.shield(task)

    def _written(self, text: str | None, department: Department) -> str | None:
        """Return what a citizen wrote, with the numbers masked that the department masks; None for an empty text.

        Raises:
            Problem: 422 `identifying_number`.
        """
        if not text or not text.strip():
            return None
        try:
            return self._numbers.apply(text, department.id)
        except NumberRefused as error:
            raise number_refused(error) from error

    async def _start_reserved(self, department: Department, wanted: StartChat, source: Source) -> Started | None:
        """Start the chat for which the form reserved a slot, however often it is sent.

        Returns:
            None when the reservation cannot be used any more: it is then a press like any other.

        Raises:
            Problem: As `start`.
        """
        chat_id, of = self._keys.reservation_of(wanted.reservation or "") or ("", "")
        if of != department.id:
            return None
        try:
            views, spent = await self._routing.chats_like(chat_id)
        except Unavailable:
            views, spent = [], False
        for view in (view for view in views if view.chat_id == chat_id):
            PRESSES.labels(department.id, "repeated").inc()
            return Started(chat_id, self._keys.chat_token(chat_id, view.opened_at, department.id))
        if spent:
            return None
        await self._refuse(department, self._admission(chat_id, wanted, source))
        return await self._start(department, wanted, chat_id, keyed=True)

    async def reserve(
        self, department: Department, chat_id: str, locale: str, source: Source, browser: str | None, renew: bool
    ) -> float:
        """Reserve a slot while a form is open, or renew the reservation. Return for how many seconds.

        Args:
            department: The department.
            chat_id: The chat that the form may start.
            locale: The language of the chat.
            source: Where the request comes from.
            browser: The random id of the browser.
            renew: Only renew a reservation that still holds.

        Raises:
            Problem: 403 `blocked`, 409 `button_blue`, or `reservation_lapsed` when there is nothing to renew,
                429 `rate_limited`, 503 `unavailable`.
        """
        if not renew and (blue := self._blue(department)):
            raise blue
        await self._refuse(department, self._admission(chat_id, StartChat(browser=browser), source, RESERVED_FOR))
        wish = presence_api.ReserveQuery(
            chat_id=chat_id, department=department.id, locale=locale, seconds=RESERVED_FOR, renew=renew
        )
        try:
            async with asyncio.timeout(HOLD_LIMIT):
                reserved = await self._presence.reserve(wish)
        except (Unavailable, Declined, TimeoutError) as error:
            log.warning("form_slot_not_reserved", error=type(error).__name__, department=department.id)
            raise _not_now() from error
        if reserved.seconds > 0:
            return reserved.seconds
        if renew:
            raise Problem(409, "reservation_lapsed", "No agent is reserved for this form any more. Ask for a new one.")
        reason = ButtonReason.BUSY if reserved.reason is ButtonReason.AVAILABLE else reserved.reason
        raise _blue(department.id, reason.value)

    def reservation_id(self, key: str | None, source: Source) -> str:
        """Return the chat id of a new reservation: the same for a repeated `Idempotency-Key` of one address."""
        if key is None:
            return str(uuid4())
        return str(UUID(bytes=self._keys.digest("reservation of", f"{source.address}\n{key}")[:16], version=4))

    def _ended(self, prefix: str, task: asyncio.Task[Started]) -> None:
        del self._under_way[prefix]
        if not task.cancelled():
            task.exception()  # marks it as retrieved; the waiting requests have raised it

    async def _start_once(self, department: Department, wanted: StartChat, key: str, source: Source) -> Started:
        first = self._derive(key, wanted, source, 0)
        possible = self._blue(department, wanted.seen) is None or self._may_queue(department, wanted)
        asked = asyncio.create_task(self._admission(first, wanted, source)) if possible else None
        try:
            chat_id, opened_at = await self._chat_of(key, wanted, source)
        finally:
            if asked:
                await asyncio.wait((asked,))
        if opened_at is None:
            await self._refuse(department, asked if chat_id == first else self._admission(chat_id, wanted, source))
            return await self._start(department, wanted, chat_id, keyed=True)
        PRESSES.labels(department.id, "repeated").inc()
        return Started(chat_id, self._keys.chat_token(chat_id, opened_at, department.id))

    async def _refuse(self, department: Department, asked: Awaitable[Problem | None] | None) -> None:
        """Raise the awaited problem, if there is one. Without an awaitable (a blue button) routing is not asked."""
        if asked and (problem := await asked):
            PRESSES.labels(department.id, "refused").inc()
            raise problem

    async def _admission(
        self, chat_id: str, wanted: StartChat, source: Source, reserves: float | None = None
    ) -> Problem | None:
        """Ask routing whether this citizen may start a chat, or reserve a slot for so many seconds.

        When routing does not answer the chat is opened all the same.

        Returns:
            The problem 403 `blocked` or 429 `rate_limited`; None when the chat may start.
        """
        wish = routing_api.AdmitQuery(
            chat_id=chat_id,
            address=self._digest("address", source.address),
            browser=self._digest("browser", wanted.browser),
            reserves=reserves,
        )
        try:
            async with asyncio.timeout(HOLD_LIMIT):
                answer = await self._routing.admit(wish)
        except (Unavailable, Declined, TimeoutError) as error:
            log.warning("admission_not_asked", error=type(error).__name__)
            return None
        if answer.blocked_for:
            text = "No chat can be started from here for some time. The info sheet tells other ways to reach us."
            return Problem(403, "blocked", text, {"Retry-After": str(answer.blocked_for)})
        if answer.full_for:
            text = "Too many chats from your network are open. End one that you do not need, or try again later."
            return Problem(429, "rate_limited", text, {"Retry-After": str(answer.full_for)})
        return None

    def _digest(self, purpose: str, text: str | None) -> str | None:
        return self._keys.digest(purpose, text).hex()[:32] if text else None

    async def _start(self, department: Department, wanted: StartChat, chat_id: str, keyed: bool = False) -> Started:
        bind_contextvars(chat_id=chat_id)
        locale = wanted.locale if wanted.locale in LOCALES else "nl"
        question = presence_api.HoldQuery(chat_id=chat_id, department=department.id, locale=locale)
        queues = self._may_queue(department, wanted)
        blue = None if queues else self._blue(department, wanted.seen)
        if blue is None:
            self._tasks.start(self._expect(chat_id))
        hold, outcome = await self._held(question, blue, keyed, queues)
        opened_at = utcnow()
        await self._open(chat_id, department, wanted, locale, hold, opened_at)
        self._remember(chat_id, opened_at)
        PRESSES.labels(department.id, outcome).inc()
        return Started(chat_id, self._keys.chat_token(chat_id, opened_at, department.id))

    async def _held(
        self, question: presence_api.HoldQuery, blue: Problem | None, keyed: bool, queues: bool
    ) -> tuple[Hold | None, str]:
        """Reserve a slot. Return the reservation, if any, and the outcome of the press.

        When presence does not answer the chat is opened all the same; it then waits until routing reserves a slot for
        it. While the button is blue only a press with a key may go on, and only with a reservation that it has already:
        another gateway may have crashed while it handled the press, and that reservation may be what makes the button
        blue. A press that `queues` gets a position in the queue while there is room, also with a blue button.

        Raises:
            Problem: No agent will take the chat.
        """
        if blue and not (keyed and blue.code == "button_blue"):
            PRESSES.labels(question.department, "blue").inc()
            raise blue
        try:
            async with asyncio.timeout(HOLD_LIMIT):
                asked = question.model_copy(update={"again": blue is not None, "green": blue is None})
                held = await self._presence.hold(asked)
        except (Unavailable, Declined, TimeoutError) as error:
            log.warning("slot_not_reserved", error=type(error).__name__, department=question.department)
            if blue:
                raise blue from error
            if queues:  # the room in the queue is not known
                raise _not_now() from error
            return None, "unheld"
        if held.hold or held.may_wait:
            return held.hold, "started" if held.hold else "waiting"
        PRESSES.labels(question.department, "blue" if blue else "late").inc()
        log.info("press_refused", department=question.department, reason=held.reason.value, green=blue is None)
        reason = ButtonReason.BUSY if held.reason is ButtonReason.AVAILABLE else held.reason
        if queues and reason is ButtonReason.BUSY:
            raise _full(question.department)
        raise blue or _blue(question.department, reason.value)

    async def _expect(self, chat_id: str) -> None:
        """Bind the chat while presence is asked, so that the citizen's connection need not wait for the binding.

        The binding has no user yet. It is removed 30 s later unless the citizen connects.
        """
        with contextlib.suppress(Unavailable):
            await self._bindings.follow(chat_id)
            self._bindings.unfollow(chat_id)

    def _blue(self, department: Department, seen: int | None = None) -> Problem | None:
        """Return why a chat cannot be started now; None while the button is green.

        Args:
            department: The department.
            seen: The revision that the citizen pressed. A button that was green in this revision until a moment ago
                counts as green: the page could not know better.
        """
        button = self._buttons.of[department.id]
        shown = button.shown
        late = seen is not None and shown.reason != ButtonReason.UNKNOWN.value
        if shown.green or (late and seen is not None and button.was_green(seen, time.monotonic())):
            return None
        return _blue(department.id, shown.reason) if self._publisher.up else _not_now()

    def _may_queue(self, department: Department, wanted: StartChat) -> bool:
        """Return whether this press may wait, because all agents are in conversation and the department allows it."""
        shown = self._buttons.of[department.id].shown
        allowed = wanted.queue and department.busy == "queue"
        return allowed and not shown.green and shown.reason == ButtonReason.BUSY.value

    async def _open(
        self,
        chat_id: str,
        department: Department,
        wanted: StartChat,
        locale: str,
        hold: Hold | None,
        opened_at: datetime,
    ) -> None:
        name = self._written(wanted.name, department)
        event = ChatOpened(
            chat_id=chat_id,
            department=department.id,
            locale=locale,
            name=name.strip() if name else None,
            question=self._written(wanted.question, department),
            form=form_of(wanted.form, self._numbers, department),
            opened_at=opened_at,
            held=hold,
        )
        try:
            await self._publisher.publish(event)
        except Unconfirmed as error:
            log.warning("chat_not_opened", error=str(error))
            raise _not_now() from error
        log.info("chat_opened", department=department.id, held=hold is not None)

    async def _chat_of(self, key: str, wanted: StartChat, source: Source) -> tuple[str, datetime | None]:
        """Return the chat id for this request, and when that chat was opened, if that was in the last ten minutes.

        Raises:
            Problem: 422 when another request with this key was made within that time.
        """
        for attempt in range(100):
            chat_id = self._derive(key, wanted, source, attempt)
            recent, at, opened_at = self._recent.get(prefix_of(chat_id), ("", 0.0, None))
            if recent and time.monotonic() - at < REPEAT_WITHIN.total_seconds():
                if recent != chat_id:
                    raise _other_request()
                return chat_id, opened_at
            try:
                views, spent = await self._routing.chats_like(chat_id)
            except Unavailable:
                return chat_id, None
            fresh = {view.chat_id: view.opened_at for view in views if utcnow() - view.opened_at < REPEAT_WITHIN}
            if chat_id in fresh:
                return chat_id, fresh[chat_id]
            if fresh:
                raise _other_request()
            if not spent and all(view.chat_id != chat_id for view in views):
                return chat_id, None
            # The id is spent: its chat is older, or a slot was reserved for it and it was never opened.
        return str(uuid4()), None

    def _derive(self, key: str, wanted: StartChat, source: Source, attempt: int) -> str:
        who = f"{source.address}\n{attempt}\n{key}"
        body = members_of(wanted)
        of_key = self._keys.digest("idempotency", who)
        of_request = self._keys.digest("idempotent request", f"{who}\n{source.origin}\n{body}")
        return str(UUID(bytes=of_key[:8] + of_request[:8], version=4))

    def _remember(self, chat_id: str, opened_at: datetime) -> None:
        self._recent[prefix_of(chat_id)] = (chat_id, time.monotonic(), opened_at)
        if len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)


def _other_request() -> Problem:
    return Problem(
        422,
        "invalid",
        "This Idempotency-Key was used for another request a moment ago; send each new request with a new random key.",
    )


def _blue(department: str, reason: str) -> Problem:
    return Problem(
        409,
        "button_blue",
        "No agent can take a chat now. The info sheet tells the opening hours and other ways to reach us.",
        infofiche_url=f"/infofiche/{department}",
        reason=reason,
    )


def _full(department: str) -> Problem:
    return Problem(
        409,
        "queue_full",
        "Too many people are waiting already. Try again later. The info sheet tells other ways to reach us.",
        infofiche_url=f"/infofiche/{department}",
        reason=ButtonReason.BUSY.value,
    )


def _not_now() -> Problem:
    text = "A chat cannot be started just now. Try again in a few seconds."
    return Problem(503, "unavailable", text, {"Retry-After": "5"})
