"""What a configuration would be: the button of each department now, and the year of one department."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from services.common.internal_api.configuration import ButtonNow, PlannedDay
from services.presence.button.rules import Crew, count, hours_with, intake_closed, light
from services.presence.configuration import Configuration
from services.presence.opening_hours import Schedule, holidays_of, hours_of, spans_of
from services.presence.settings import PresenceSettings
from services.presence.stores import Stores

MOST_BUTTONS = 200  # departments of which a preview shows the button


async def buttons_now(stores: Stores, found: Configuration, now: datetime) -> list[ButtonNow]:
    """Return the buttons as they would be now, with the agents and the waiting chats of this moment."""
    departments = found.departments.departments[:MOST_BUTTONS]
    ids = [department.id for department in departments]
    crews = count(await stores.agents.crew(ids))
    waiting = await stores.queues.waiting(ids)
    intakes = {doc["_id"]: intake_closed(doc, now) for doc in await stores.buttons.read(ids)}
    shown = []
    for one in departments:
        hours = hours_with(found.schedules[one.id], now, intakes.get(one.id))
        lit = light(*hours, crews.get(one.id, Crew()), waiting.get(one.id, 0))
        button = {"colour": lit.colour, "reason": lit.reason, "opens_at": lit.opens_at}
        shown.append(ButtonNow.model_validate({"department": one.id, "names": one.names.model_dump(), **button}))
    return shown


def year_of(settings: PresenceSettings, found: Configuration, id_: str, year: int) -> list[PlannedDay] | None:
    """Return the days of a year on which a department has other hours than its week; None: it is always open.

    Raises:
        ConfigurationError: Its public holidays are not known.
    """
    schedule, departments = found.schedules[id_], found.departments
    if schedule.week is None:
        return None
    holidays = holidays_of(settings, departments, departments.ids.index(id_))
    return [planned for day in _days(year) if (planned := _planned(schedule, day, holidays.get(day)))]


def _planned(schedule: Schedule, day: date, holiday: str | None) -> PlannedDay | None:
    assert schedule.week is not None
    spans = spans_of(schedule, day)
    if spans == schedule.week[day.weekday()] and not holiday:
        return None
    bridge = not spans and not holiday and schedule.special(day) is None
    return PlannedDay(day=day.isoformat(), hours=hours_of(spans), holiday=holiday, bridge=bridge)


def _days(year: int) -> Iterator[date]:
    day = date(year, 1, 1)
    while day.year == year:
        yield day
        day += timedelta(days=1)
