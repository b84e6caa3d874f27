"""Versions of the departments: what is written is validated like the file, stored as a new version, and sent to all.

Every replica looks for a newer version, so one that was stored by another replica, or whose event was lost, is found.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import structlog

from services.common.config.faults import Fault, shown
from services.common.config.stored_text import StoredText, candidate
from services.common.config.toml_file import ConfigurationError
from services.common.config.toml_text import CannotEdit, NoSuchTable
from services.common.events.configuration import ConfigurationVersion, ConfigurationWanted
from services.common.events.event import Event
from services.common.http.problems import Problem
from services.common.internal_api.configuration import Act, Change, Check, Checked, Wanted
from services.common.messaging.publisher import Publisher
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.presence.agents.accounts import Account
from services.presence.configuration import Configuration
from services.presence.departments import preview
from services.presence.departments.forms import with_form
from services.presence.departments.store import StoredVersion, VersionStore
from services.presence.settings import PresenceSettings
from services.presence.stores import Stores

log = structlog.get_logger()

LOOK_EVERY = 2.0  # seconds between two looks for a newer version
REPEAT_EVERY = 4.0  # seconds between two repetitions of the number of the newest version
SENT_AGAIN = 1.0  # seconds after which the text is sent again to processes that ask for it
_PLACE = re.compile(r"^departments, version \d+: ")
_NUMBER = re.compile(r"^departments\.\d+")


class DepartmentVersions:
    """The versions as this replica knows, makes and sends them."""

    def __init__(
        self,
        settings: PresenceSettings,
        store: VersionStore,
        stores: Stores,
        publisher: Publisher,
        held: StoredText,
        clock: Callable[[], datetime],
        accounts: Callable[[], Sequence[Account]] | None = None,
    ) -> None:
        """Create what knows no version yet.

        Args:
            settings: The settings.
            store: The versions.
            stores: The other stores, for previews.
            publisher: The publisher of events.
            held: Where the newest version is held, for the watch of the configuration.
            clock: Returns the present.
            accounts: Returns the accounts of the database; None: they are in the accounts file.
        """
        self.store = store
        self._settings, self._stores, self._publisher, self._held = settings, stores, publisher, held
        self._clock, self._accounts = clock, accounts
        self._asked = asyncio.Event()

    async def begin(self) -> None:
        """Hold the newest version. The first one is made of the departments file.

        Raises:
            ConfigurationError: That file cannot be used. Nothing is stored then: once a version is stored, the file no
                longer counts, and only a running presence could replace a wrong version.
        """
        if not await self.store.newest_number():
            text = await asyncio.to_thread(_read, self._settings.departments_file)
            await asyncio.to_thread(Configuration.load, self._settings, candidate(text))
            if await self.store.begin(text, self._clock()):
                log.info("departments_begun")
        await self.look()

    async def look(self) -> bool:
        """Hold the newest version if it is newer than the one that is held. Return whether it is."""
        if await self.store.newest_number() <= self._held.version:
            return False
        newest = await self.store.newest()
        return newest is not None and self._held.take(newest.version, newest.text)

    async def newest(self) -> StoredVersion:
        """Return the newest version.

        Raises:
            Problem: 503 `unavailable`: there is none yet.
        """
        if (found := await self.store.newest()) is None:
            raise Problem(503, "unavailable", "The departments are not stored yet. Try again in a few seconds.")
        return found

    async def check(self, check: Check) -> Checked:
        """Return what would be.

        Raises:
            Problem: 409 `changed`, 422 `invalid_configuration`, 404 `no_such_version`.
        """
        newest = await self.newest()
        arrived = await self._is_repetition(newest, check.wanted)
        text = newest.text if arrived else (await self._wanted_text(newest, check.wanted))[0]
        found = await self._validated(newest, text)
        days = None
        if check.department in found.schedules:
            days = await asyncio.to_thread(preview.year_of, self._settings, found, check.department, check.year)
        buttons = await preview.buttons_now(self._stores, found, self._clock())
        same, ids = text == newest.text, found.departments.ids
        return Checked(text=text, same=same, departments=ids, buttons=buttons, days=days)

    async def change(self, change: Change) -> StoredVersion:
        """Store a version and return it. A change that changes nothing makes no version; neither does a repetition.

        Raises:
            Problem: 409 `changed`, 422 `invalid_configuration`, 404 `no_such_version`.
        """
        newest, wanted = await self.newest(), change.wanted
        if newest.by == change.by and await self._is_repetition(newest, wanted):
            return newest
        text, act, about = await self._wanted_text(newest, wanted)
        if text == newest.text:
            return newest
        await self._validated(newest, text)
        made = await self.store.add(newest.version, text, change.by, act, about, self._clock())
        if made is None:
            raise changed_meanwhile(await self.newest())
        log.info("departments_changed", version=made.version, act=act, by=change.by.id)
        self._held.take(made.version, made.text)
        await self._send(made.version, made.text)
        return made

    async def _is_repetition(self, newest: StoredVersion, wanted: Wanted) -> bool:
        """Return whether the newest version is what is wanted: the request has arrived twice."""
        if wanted.base != newest.version - 1:
            return False
        before = await self.store.get(wanted.base)
        return before is not None and (await self._wanted_text(before, wanted))[0] == newest.text

    async def _wanted_text(self, newest: StoredVersion, wanted: Wanted) -> tuple[str, Act, str | None]:
        """Return the text that is wanted, what was done, and with which department or version."""
        if wanted.base != newest.version:
            raise changed_meanwhile(newest)
        if wanted.text is not None:
            return wanted.text, "imported", None
        if wanted.restore is not None:
            former = await self.store.get(wanted.restore)
            if former is None:
                raise Problem(404, "no_such_version", "There is no such version (any more).")
            return former.text, "restored", str(former.version)
        if wanted.department is None or wanted.form is None:
            raise _refused("Nothing was changed: send a text, a form or a version.", Fault("nothing_wanted"))
        try:
            text = await asyncio.to_thread(with_form, newest.text, wanted.department, wanted.form)
        except NoSuchTable as error:
            fault = Fault("no_department", {"value": wanted.department})
            raise _refused(f"{str(error).capitalize()}.", fault) from None
        except CannotEdit as error:
            raise _refused(f"{str(error).capitalize()}.", Fault("not_by_form")) from None
        return text, "changed", wanted.department

    async def _validated(self, newest: StoredVersion, text: str) -> Configuration:
        """Validate a text as at the start of presence. Return what it says.

        Raises:
            Problem: 422 `invalid_configuration` with what is wrong and where.
        """
        try:
            held = candidate(text, newest.version + 1)
            accounts = self._accounts() if self._accounts else None
            return await asyncio.to_thread(Configuration.load, self._settings, held, accounts)
        except ConfigurationError as error:
            if error.fault is None:
                log.warning("departments_not_validated", reason=str(error))
            raise _refused(str(error), error.fault or Fault("server"), text) from None

    # ── for the other services ───────────────────────────────────────────────────────────────────────────────────────

    def handle(self, event: Event) -> None:
        """Notice that a process asks for the newest version."""
        if isinstance(event, ConfigurationWanted) and event.version < self._held.version:
            self._asked.set()

    async def run(self) -> None:
        """Look for newer versions, repeat the number of the newest, and send the text when it is asked for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_repeatedly())
            group.create_task(self._repeat())
            group.create_task(self._answer())

    async def _look_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if await self.look():
                    await self._send_held()
            except DEPENDENCY_ERRORS as error:
                log.warning("departments_not_read", error=type(error).__name__)

    async def _repeat(self) -> None:
        while True:
            if self._held.version:
                await self._send(self._held.version, None)
            await asyncio.sleep(REPEAT_EVERY)

    async def _answer(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._send_held()
            await asyncio.sleep(SENT_AGAIN)

    async def _send_held(self) -> None:
        await self._send(self._held.version, self._held.text)

    async def _send(self, version: int, text: str | None) -> None:
        await self._publisher.publish_best_effort(ConfigurationVersion(version=version, text=text))


def _read(file: Path) -> str:
    """Return the text of the departments file.

    Raises:
        ConfigurationError: It cannot be read, or is not UTF-8.
    """
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"DEPARTMENTS_FILE {file}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"DEPARTMENTS_FILE {file}: is not TOML: {error}.") from None


def changed_meanwhile(newest: StoredVersion) -> Problem:
    """Return the problem 409 `changed`: there is a newer version than its author has seen."""
    detail = (
        f"{newest.by.name} has changed the departments meanwhile: the newest version is {newest.version}. Look at it, "
        "and make your change again."
    )
    return Problem(409, "changed", detail, version=newest.version, by=newest.by.name)


def _refused(detail: str, fault: Fault, text: str = "") -> Problem:
    """Return the problem 422 `invalid_configuration`: its words, with the id of a department in place of its number.

    Args:
        detail: The words, in English.
        fault: The same as a code with values.
        text: The text that is refused.
    """
    try:
        document = tomllib.loads(text) if fault.place else {}  # with a place, it was parsed in time before
    except RecursionError:
        document = {}
    known = shown(fault, document)
    detail = _PLACE.sub("", detail)
    if "department" in known:
        detail = _NUMBER.sub(f"department '{known['department']}'", detail)
    return Problem(422, "invalid_configuration", detail, fault=known)
