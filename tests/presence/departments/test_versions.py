"""Versions of the departments in a real database: stored once each, validated, repeated, sent and restored."""

import asyncio
import re
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.common.config.stored_text import StoredText
from services.common.config.toml_file import MOST_STORED, ConfigurationError
from services.common.events.configuration import ConfigurationVersion, ConfigurationWanted
from services.common.http.problems import Problem
from services.common.internal_api.configuration import PAGE, Author, Change, Check, Wanted
from services.common.messaging.configuration_queue import ConfigurationFollower, ConfigurationQueue
from services.common.mongo.client import Database
from services.presence.context import Context
from services.presence.departments import store as store_module
from services.presence.departments import versions as versions_module
from services.presence.departments.forms import forms
from services.presence.departments.store import StoredVersion, VersionStore
from services.presence.departments.text_diff import changed_lines
from services.presence.departments.versions import DepartmentVersions
from services.presence.settings import PresenceSettings
from tests.common.config.test_departments import GOOD, NAMES
from tests.presence.conftest import HASH, EventObserver, account, eventually, there

AN = Author(id="officer-an", name="An", role="administrator")
BERT = Author(id="officer-bert", name="Bert", role="administrator")
SECOND = f'[[departments]]\nid = "premies"\n{NAMES}\nhours = "always"\n'
IDENTIFICATION = f"""identification = true
[identification]
{NAMES.replace("names", "name", 1)}
levels = {{eid = "high"}}
"""
THURSDAY = datetime(2026, 12, 24, 10, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "departments.toml"
    path.write_text(GOOD)
    return path


async def refused(request: Awaitable[object]) -> tuple[int, str, str]:
    """Status, code and words of the problem with which this is refused."""
    with pytest.raises(Problem) as caught:
        await request
    return caught.value.status, caught.value.code, caught.value.detail


class Replica:
    """What a replica of presence has."""

    def __init__(self, settings: PresenceSettings, db: Database, context: Context) -> None:
        self.held, self.store, self.now = StoredText(), VersionStore(db), THURSDAY
        self.versions = DepartmentVersions(
            settings, self.store, context.stores, context.publisher, self.held, lambda: self.now
        )

    async def change(self, base: int, text: str, by: Author = AN) -> StoredVersion:
        return await self.versions.change(Change(wanted=Wanted(base=base, text=text), by=by))


@pytest.fixture
async def replicas(settings: PresenceSettings, db: Database, context: Context, file: Path) -> tuple[Replica, Replica]:
    settings = settings.model_copy(update={"departments_file": file, "config_source": "database"})
    both = Replica(settings, db, context), Replica(settings, db, context)
    await asyncio.gather(*(one.versions.begin() for one in both))
    return both


async def test_the_first_version_is_the_file_and_only_at_the_first_start(
    replicas: tuple[Replica, Replica], file: Path
) -> None:
    one, other = replicas
    assert (one.held.version, one.held.text, other.held.text) == (1, GOOD, GOOD)
    first = await one.versions.newest()
    assert (first.act, first.by.role, first.at) == ("begun", "operator", THURSDAY)
    file.write_text(GOOD + SECOND)
    await other.versions.begin()
    assert await other.store.newest_number() == 1


async def test_a_change_is_a_version_that_other_replicas_find(
    replicas: tuple[Replica, Replica], observer: EventObserver
) -> None:
    one, other = replicas
    made = await one.change(1, GOOD + SECOND)
    assert (made.version, made.by, made.act, made.at) == (2, AN, "imported", THURSDAY)
    assert (await other.versions.look(), other.held.text) == (True, GOOD + SECOND)
    assert not await other.versions.look()
    (event,) = await observer.wait_for(ConfigurationVersion)
    assert (event.version, event.text) == (2, GOOD + SECOND)


async def test_of_two_administrators_the_second_is_refused_and_nothing_is_lost(
    replicas: tuple[Replica, Replica],
) -> None:
    one, other = replicas
    outcomes = await asyncio.gather(
        one.change(1, GOOD + SECOND), other.change(1, GOOD + "# Bert\n", BERT), return_exceptions=True
    )
    (made,) = [o for o in outcomes if isinstance(o, StoredVersion)]
    (problem,) = [o for o in outcomes if isinstance(o, Problem)]
    assert (problem.status, problem.code) == (409, "changed")
    assert f"{made.by.name} has changed the departments meanwhile" in problem.detail
    newest = await one.versions.newest()
    assert (newest.version, newest.text) == (2, made.text)


async def test_a_request_that_arrives_twice_makes_one_version(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    first = await one.change(1, GOOD + SECOND)
    assert await other.change(1, GOOD + SECOND) == first
    assert (await other.versions.check(Check(wanted=Wanted(base=1, text=GOOD + SECOND), year=2026))).same
    assert (await refused(other.change(1, GOOD + SECOND, BERT)))[:2] == (409, "changed")
    assert await other.change(2, GOOD + SECOND, BERT) == first, "nothing has changed"


@pytest.mark.parametrize(
    ("text", "why", "fault"),
    [
        (
            GOOD.replace("algemeen", "x", 1),
            "default department 'x' is not among them",
            {"code": "default_unknown", "value": "x"},
        ),
        (
            GOOD + 'hours = "sometimes"\n',
            "^department 'algemeen'.hours: .*is not a day",
            {"code": "hours_day", "department": "algemeen", "field": "hours", "value": "sometimes"},
        ),
        (
            f'calendar.holidays = "BE-XYZ"\n{GOOD}',
            "has no region XYZ",
            {"code": "holidays_region", "field": "calendar.holidays", "value": "BE-XYZ"},
        ),
        (
            GOOD + 'colour = "red"\n',
            "department 'algemeen'.colour: Extra inputs",
            {"code": "unknown_field", "department": "algemeen", "field": "colour", "value": "red"},
        ),
        ("default = ", "is not TOML", {"code": "toml_end"}),
        ("default = " + "[" * 5_000, "^is not TOML: it is nested too deeply", {"code": "toml_deep"}),
        (
            GOOD + IDENTIFICATION,
            "^identification = true needs the setting CITIZEN_OIDC_ISSUER",
            {"code": "identification_setting"},
        ),
        (GOOD + "#" * MOST_STORED, "at most 400000", {"code": "too_large", "most": MOST_STORED}),
    ],
)
async def test_a_wrong_text_is_refused_and_the_version_before_it_stays(
    replicas: tuple[Replica, Replica], text: str, why: str, fault: dict[str, str | int]
) -> None:
    wanted = Wanted.model_construct(base=1, text=text, department=None, form=None, restore=None)
    change = Change.model_construct(wanted=wanted, by=AN)
    with pytest.raises(Problem) as caught:
        await replicas[0].versions.change(change)
    problem = caught.value
    detail = problem.detail
    assert (problem.status, problem.code) == (422, "invalid_configuration")
    assert fault.items() <= problem.extra["fault"].items()
    assert re.search(why, detail), detail
    assert await replicas[0].store.newest_number() == 1


async def test_a_department_that_an_account_serves_cannot_be_removed(
    settings: PresenceSettings, db: Database, context: Context, file: Path, tmp_path: Path
) -> None:
    file.write_text(GOOD + SECOND)
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        f'[[accounts]]\nusername = "an"\nname = "An"\npassword_hash = "{HASH}"\ndepartments = ["premies"]\n'
    )
    replica = Replica(settings.model_copy(update={"departments_file": file, "accounts_file": accounts}), db, context)
    await replica.versions.begin()
    assert "'an' serves 'premies', which is no department" in (await refused(replica.change(1, GOOD)))[2]


async def test_a_file_that_the_accounts_do_not_fit_is_no_first_version(
    settings: PresenceSettings, db: Database, context: Context, file: Path, tmp_path: Path
) -> None:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        f'[[accounts]]\nusername = "an"\nname = "An"\npassword_hash = "{HASH}"\ndepartments = ["premies"]\n'
    )
    replica = Replica(settings.model_copy(update={"departments_file": file, "accounts_file": accounts}), db, context)
    with pytest.raises(ConfigurationError, match="'an' serves 'premies', which is no department"):
        await replica.versions.begin()
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        await replica.versions.begin()
    file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        await replica.versions.begin()
    assert (await replica.store.newest_number(), replica.held.version) == (0, 0)
    file.write_text(GOOD + SECOND)
    await replica.versions.begin()
    assert (replica.held.version, replica.held.text) == (1, GOOD + SECOND)


async def test_nor_one_that_an_account_of_the_database_serves(
    settings: PresenceSettings, db: Database, context: Context, file: Path
) -> None:
    file.write_text(GOOD + SECOND)
    settings = settings.model_copy(update={"departments_file": file, "config_source": "database"})
    stored = [account("an", "premies")]
    replica = Replica(settings, db, context)
    replica.versions = DepartmentVersions(
        settings, replica.store, context.stores, context.publisher, replica.held, lambda: THURSDAY, lambda: stored
    )
    await replica.versions.begin()
    assert "'an' serves 'premies', which is no department" in (await refused(replica.change(1, GOOD)))[2]
    stored.clear()
    assert (await replica.change(1, GOOD)).version == 2


async def test_a_form_changes_one_department_and_a_former_version_is_restored(
    replicas: tuple[Replica, Replica],
) -> None:
    one, _ = replicas
    form = forms(GOOD)["algemeen"].model_copy(update={"hours": "Mon 09:00-10:00"})
    wanted = Wanted(base=1, department="algemeen", form=form)
    made = await one.versions.change(Change(wanted=wanted, by=AN))
    assert (made.act, made.about, forms(made.text)["algemeen"].hours) == ("changed", "algemeen", "Mon 09:00-10:00")
    assert [line.text for line in changed_lines(GOOD, made.text) if line.mark == "+"] == ['hours = "Mon 09:00-10:00"']
    restored = await one.versions.change(Change(wanted=Wanted(base=2, restore=1), by=BERT))
    assert (restored.version, restored.act, restored.about, restored.text) == (3, "restored", "1", GOOD)
    none = Change(wanted=Wanted(base=3, restore=9), by=BERT)
    assert (await refused(one.versions.change(none)))[:2] == (404, "no_such_version")
    nowhere = Change(wanted=Wanted(base=3, department="none", form=form), by=BERT)
    assert "There is no 'none'" in (await refused(one.versions.change(nowhere)))[2]
    listed, more = await one.store.listed()
    assert ([v.version for v in listed], more) == ([3, 2, 1], False)


async def test_a_preview_shows_buttons_and_a_year_and_stores_nothing(
    replicas: tuple[Replica, Replica], context: Context
) -> None:
    one, _ = replicas
    await there(context.stores, account("an", "algemeen"))
    text = (
        GOOD
        + 'hours = "Mon-Fri 09:00-17:00"\ncalendar.hours = { 12-24 = "09:00-12:00" }\ncalendar.bridge = true\n'
        + SECOND
    )
    found = await one.versions.check(Check(wanted=Wanted(base=1, text=text), department="algemeen", year=2026))
    assert (found.departments, found.text, found.same) == (["algemeen", "premies"], text, False)
    shown = [(b.department, b.colour.value, b.reason.value) for b in found.buttons]
    assert shown == [("algemeen", "green", "available"), ("premies", "blue", "no_agents")]
    days = {day.day: day for day in found.days or []}
    assert (days["2026-12-24"].hours, days["2026-12-25"].hours) == (["09:00-12:00"], [])
    assert (days["2026-05-15"].bridge, days["2026-05-14"].holiday) == (True, "O. L. H. Hemelvaart")
    one.now = THURSDAY.replace(hour=12)
    found = await one.versions.check(Check(wanted=Wanted(base=1, text=text), department="premies", year=2026))
    assert (found.buttons[0].reason.value, found.days) == ("closed", None)
    assert await one.store.newest_number() == 1


async def test_the_oldest_versions_go(replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT", 3)
    one, _ = replicas
    for number in range(1, 6):
        await one.change(number, f"{GOOD}# {number}\n")
    assert [v.version for v in (await one.store.listed())[0]] == [6, 5, 4]
    assert [v.version for v in (await one.store.listed(before=6))[0]] == [5, 4]
    assert PAGE >= 3


async def test_other_services_get_the_newest_version_at_their_start_and_after_a_loss(
    replicas: tuple[Replica, Replica],
    context: Context,
    observer: EventObserver,
    module_vhost_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(versions_module, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(versions_module, "REPEAT_EVERY", 0.2)
    one, other = replicas
    held = StoredText()
    follower = ConfigurationFollower(module_vhost_url, "routing", context.publisher, held)
    queue = ConfigurationQueue(module_vhost_url, "presence", context.publisher, other.versions.handle)

    async def has(version: int) -> bool:
        return held.version == version

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run()) for run in (follower.run, queue.run, other.versions.run)]
        await eventually(lambda: has(1), "the version of the start")
        assert held.text == GOOD
        # The replica that stores it dies before it sends it: the other one finds it.
        await one.store.add(1, GOOD + SECOND, AN, "imported", None, THURSDAY)
        await eventually(lambda: has(2), "the change")
        # No text of it ever came: the number says that there is one.
        await one.store.add(2, GOOD, AN, "imported", None, THURSDAY)
        other.held.take(3, GOOD)
        await eventually(lambda: has(3), "the version whose event was lost")
        for task in tasks:
            task.cancel()
    await observer.catch_up(context.publisher)
    assert any(event.version == 2 for event in observer.seen(ConfigurationWanted))
    follower.handle(ConfigurationVersion(version=2, text="older"))
    assert (held.version, held.text) == (3, GOOD)


async def test_the_text_of_a_version_that_a_later_release_has_stored_counts(db: Database) -> None:
    store = VersionStore(db)
    await store.begin(GOOD, THURSDAY)
    later = {"act": "merged", "by.role": "registrar", "reviewed": True}
    await db["departments"].update_one({"_id": 1}, {"$set": later})
    newest = await store.newest()
    assert newest is not None
    assert (newest.text, newest.act, newest.by.name) == (GOOD, "changed", "DEPARTMENTS_FILE")
    assert [one.version for one in (await store.listed())[0]] == [1]
    assert await store.add(1, GOOD, AN, "changed", None, THURSDAY) is not None
    stored = await db["departments"].find_one({"_id": 1})
    assert stored is not None
    assert (stored["act"], stored["reviewed"]) == ("merged", True)
