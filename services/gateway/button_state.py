"""State of each department's button as this gateway knows it, and the pages that listen to it.

The state is `unknown` while presence has not published it recently or the broker does not answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from prometheus_client import Gauge

from services.common.clock import utcnow
from services.common.config.departments import Department, Departments, Notice
from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.chats import QueueChanged
from services.common.events.types import ButtonColour, ButtonReason, Intake
from services.common.messaging import topology
from services.gateway.http.citizen.event_stream import Listeners
from services.gateway.http.pages.contacts import contact_ways
from services.gateway.supervision.intake_notice import notice_of_intake
from services.gateway.websocket.frames.server import stamp

SILENCE = 3 * topology.BUTTON_INTERVAL
KEEPALIVE = 5.0  # seconds between two comments: a page that reads none for 12 s assumes that its connection is dead
FIRST_WAIT = 3.0
QUEUE_EVERY = 2.0  # seconds between two numbers of the queue: each is sent to every open page
TIMEZONE = "Europe/Brussels"
LATE_PRESS = 2.0  # seconds for which a press on a page that still shows green counts as one on green
SHOWN = Gauge(
    "eloket_gateway_button", "1 at the reason why the button is as it is shown here, else 0", ["department", "reason"]
)
Content = tuple[ButtonColour, ButtonReason, str | None, Notice | None]
_UNKNOWN = (ButtonColour.BLUE, ButtonReason.UNKNOWN, None)


@dataclass(frozen=True, slots=True)
class Shown:
    """The state of a button as it is sent to every page of a department. It is serialised once for all of them.

    Attributes:
        body: The JSON answer of `GET /api/button`.
        event: The same state as a server-sent event (HTML standard §9.2).
        etag: Entity tag of `body`.
        headers: Headers of an answer. Those that describe a body come last; a 304 answer sends only the first two.
        revision: Number that grows with each change of the colour, the reason or the opening time.
        green: Whether a chat can be started.
        reason: Why the button has its colour.
    """

    body: bytes
    event: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    revision: int
    green: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Blue:
    """What a department offers while its button is blue, beside the info sheet.

    Attributes:
        longest: The number of waiting chats with which nobody else may join; 0: nobody may wait.
        questions: Whether a question may be left.
        answer_within: Working days within which it is answered.
        timezone: The time zone in which pages show the opening time.
    """

    longest: int = 0
    questions: bool = False
    answer_within: int | None = None
    timezone: str = TIMEZONE

    @classmethod
    def of(cls, department: Department, timezone: str) -> Blue:
        """Return what this department offers."""
        longest = department.queue.longest if department.busy == "queue" else 0
        return cls(longest, department.questions, department.answer_within, timezone)


class Button:
    """The button of one department. Its revision grows with every change, including a change to `unknown` and back.

    Only the numbers of the queue change without a new revision: replicas receive them at different moments.
    """

    def __init__(
        self,
        department: str,
        wall: Callable[[], float],
        contact: Sequence[dict[str, str]] = (),
        blue: Blue = Blue(),
        notice: Callable[[datetime], Notice | None] = lambda now: None,
        start: str = "press",
        numbers: dict[str, str] | None = None,
    ) -> None:
        """Create a button whose state is `unknown`.

        Args:
            department: The id of the department.
            wall: Returns the wall-clock time in seconds since the epoch.
            contact: Other ways to reach the department. Pages keep them for when they lose the server later.
            blue: What is offered while the button is blue.
            notice: Returns the message that is to be shown at a time.
            start: What a press does (`Department.start`).
            numbers: The kinds of identifying numbers that are not masked, with what happens to them instead.
        """
        self.department, self._wall = department, wall
        self._offered = list(contact), blue, start, numbers
        self._notice = notice
        self._green: tuple[int, float] | None = None  # the last green revision, and when it was shown last
        self._state: ButtonChanged | DepartmentButton | None = None
        self._received_at = float("-inf")
        self._content: Content | None = None
        self._queue: tuple[int, int, float | None] | None = None  # revision, waiting chats, seconds for each
        self._place: dict[str, int | None] | None = None
        self._place_at = float("-inf")
        self.revision = 0
        self.listeners = Listeners(lambda: self.shown.event)
        self.shown = self._build((*_UNKNOWN, self._present_notice()), 0)

    def offer(
        self,
        contact: Sequence[dict[str, str]],
        blue: Blue,
        notice: Callable[[datetime], Notice | None],
        start: str,
        numbers: dict[str, str] | None,
    ) -> None:
        """Take what the department says now; the arguments are those of a new button. `refresh` shows it."""
        self._notice = notice
        offered = list(contact), blue, start, numbers
        if offered != self._offered:
            self._offered = offered
            self._content = None  # the next refresh shows it, with a new revision

    def handle(self, state: ButtonChanged | DepartmentButton, now: float) -> None:
        """Take a state that presence has published. One with an older revision is dropped."""
        if self._state is None or state.revision >= self._state.revision:
            self._state = state
            self._received_at = now

    def note_queue(self, revision: int, waiting: int, pace: float | None) -> None:
        """Take the number of waiting chats, and the seconds in which the queue moves up by one; None: not known.

        `refresh` shows them. A queue with an older revision is dropped.
        """
        if self._blue.longest and (self._queue is None or revision >= self._queue[0]):
            before = self._queue[2] if self._queue else None
            self._queue = revision, waiting, before if pace is None else pace

    def refresh(self, now: float, broker_up: bool) -> None:
        """Update the shown state, and notify the listeners when it has changed."""
        state = self._state
        if state is None or not broker_up or now - self._received_at > SILENCE:
            content: Content = (*_UNKNOWN, self._present_notice())
            revision = 0
        else:
            opens_at = stamp(state.opens_at) if state.opens_at else None
            notice = notice_of_intake(state.intake) if state.intake else self._present_notice()
            content = (state.colour, state.reason, opens_at, notice)
            revision = state.revision
        place = self._next_place(content)
        if content == self._content:
            if place != self._place and now - self._place_at >= QUEUE_EVERY:
                self._place, self._place_at = place, now
                self.shown = self._build(content, self.revision)
                self.listeners.changed()
            return
        self._place, self._place_at = place, now
        self._content = content
        if self.shown.green:
            self._green = (self.revision, now)
        own = max(self.revision + 1, int(self._wall() * 1000))
        self.revision = revision if revision > self.revision else own
        self.shown = self._build(content, self.revision)
        self.listeners.changed()

    @property
    def _blue(self) -> Blue:
        return self._offered[1]

    @property
    def content(self) -> tuple[ButtonColour, ButtonReason, str | None]:
        """Colour, reason and opening time as they are shown."""
        return self._content[:3] if self._content else _UNKNOWN

    @property
    def intake(self) -> Intake | None:
        """The intake that a supervisor has closed; None: it is open, or the state of the button is not known."""
        return self._state.intake if self._state and self.content[1] is not ButtonReason.UNKNOWN else None

    @property
    def notice(self) -> Notice | None:
        """The message that is shown now: why a supervisor has closed the intake, else one of the departments file."""
        return self._content[3] if self._content else self._present_notice()

    def was_green(self, revision: int, now: float) -> bool:
        """Return whether this revision was the last green one, and was shown until at most `LATE_PRESS` seconds ago."""
        return self._green is not None and self._green[0] == revision and now - self._green[1] <= LATE_PRESS

    def _next_place(self, content: Content) -> dict[str, int | None] | None:
        """Return the position and the estimated wait in seconds of the next citizen who waits; None: none may."""
        if not self._blue.longest or content[1] is not ButtonReason.BUSY:
            return None
        if self._queue is None:
            return {"position": None, "wait": None}
        _, waiting, pace = self._queue
        if waiting >= self._blue.longest:
            return None
        position = waiting + 1
        return {"position": position, "wait": None if pace is None else round(position * pace)}

    def _offers(self, opens_at: str | None) -> dict[str, Any]:
        """Return the members of the answer that only departments have that offer more than the info sheet."""
        blue = self._blue
        return {
            **({"timezone": blue.timezone} if opens_at else {}),
            **({"queue": self._place} if blue.longest else {}),
            **({"questions": True, "answer_within": blue.answer_within} if blue.questions else {}),
        }

    def _present_notice(self) -> Notice | None:
        return self._notice(datetime.fromtimestamp(self._wall(), UTC))

    def _build(self, content: Content, revision: int) -> Shown:
        colour, reason, opens_at, notice = content
        contact, _, start, numbers = self._offered
        about = {"notice": {**notice.text.model_dump(), "until": stamp(notice.end)}} if notice else {}
        body = orjson.dumps(
            {
                "department": self.department,
                "colour": colour.value,
                "reason": reason.value,
                "opens_at": opens_at,
                "infofiche_url": f"/infofiche/{self.department}",
                "revision": revision,
                "contact": contact,
                **self._offers(opens_at),
                **about,
                "start": start,
                **({"numbers": numbers} if numbers else {}),
            }
        )
        etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:20].encode()
        headers = (
            (b"etag", etag),
            (b"cache-control", b"public, max-age=2"),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        )
        for one in ButtonReason:
            SHOWN.labels(self.department, one.value).set(one is reason)
        event = b"event: button\nid: %d\ndata: %s\n\n" % (revision, body)
        return Shown(body, event, etag, headers, revision, colour is ButtonColour.GREEN, reason.value)


class Buttons:
    """The buttons of all departments. `refresh` is called at each event and twice a second."""

    def __init__(self, departments: Departments, broker_up: Callable[[], bool], timezone: str = TIMEZONE) -> None:
        self._departments, self._broker_up, self._timezone = departments, broker_up, timezone
        self.of = {d.id: self._made(d) for d in departments.departments}
        self._began = time.monotonic()

    def _made(self, department: Department) -> Button:
        return Button(department.id, lambda: utcnow().timestamp(), **self._offered(department))

    def _offered(self, department: Department) -> dict[str, Any]:
        return {
            "contact": contact_ways(department),
            "blue": Blue.of(department, self._timezone),
            "notice": partial(self._departments.notice_of, department),
            "start": department.start,
            "numbers": department.numbers.not_masked,
        }

    def follow_departments(self) -> list[Button]:
        """Show what the departments say now. Return the buttons of those that are gone, to be given to `forget`."""
        before = self.of
        self.of = {d.id: before.get(d.id) or self._made(d) for d in self._departments.departments}  # see `run`
        for department in self._departments.departments:
            self.of[department.id].offer(**self._offered(department))
        self.refresh()
        return [button for id_, button in before.items() if id_ not in self.of]

    def handle(self, event: ButtonChanged) -> None:
        """Handle an event of presence about one of the buttons, or a digest of many."""
        now, up = time.monotonic(), self._broker_up()
        for state in (event, *(event.others or ())):
            if button := self.of.get(state.department):
                button.handle(state, now)
                button.refresh(now, up)

    def note_queue(self, event: QueueChanged) -> None:
        """Handle an event of routing about the queue of a department, or a digest that names empty ones too."""
        if button := self.of.get(event.department):
            button.note_queue(event.revision, len(event.order), event.pace)
        for queue in event.empty or ():
            if button := self.of.get(queue.department):
                button.note_queue(queue.revision, 0, queue.pace)

    def refresh(self) -> None:
        """Update all buttons because time has passed or the state of the broker connection has changed."""
        now, up = time.monotonic(), self._broker_up()
        for button in self.of.values():
            button.refresh(now, up)

    @property
    def settled(self) -> bool:
        """Whether the state of a button is known, or presence has had 3 s to publish one."""
        received = any(b.shown.reason != ButtonReason.UNKNOWN.value for b in self.of.values())
        return received or time.monotonic() - self._began > FIRST_WAIT

    async def run(self) -> None:
        """Detect missing events of presence, and keep the event streams of open pages alive. Runs until cancelled."""
        reminded = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            self.refresh()
            if time.monotonic() - reminded > KEEPALIVE:
                reminded = time.monotonic()
                for button in self.of.values():
                    await button.listeners.remind()

    @staticmethod
    async def forget(gone: Sequence[Button]) -> None:
        """End the event streams of these buttons, and their metrics: their departments are no longer in the file."""
        for button in gone:
            for reason in ButtonReason:
                SHOWN.remove(button.department, reason.value)
            await button.listeners.end()

    async def end(self) -> None:
        """End the event streams because the gateway drains; the pages connect to another gateway."""
        for button in self.of.values():
            await button.listeners.end()
