"""Several writers of the same logs that crash at every point; and the check that says so sees what it should."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.common.events.types import Cause, CloseReason, Entry, Party
from tests.system.chaos.logbook import Story, faults
from tests.system.chaos.writers import impatient, play

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
SECONDS = 6.0


async def test_writers_that_crash_at_every_point_leave_no_hole_no_double_and_no_false_answer(tmp_path: Path) -> None:
    """The long form: `python -m tests.system.chaos.writers --seed N --seconds S`."""
    with impatient():
        outcome = await play(tmp_path, random.Random(4), SECONDS, kill_every=2.5, hurts=3)
    print(f"\n{outcome}")
    assert outcome.faults == []
    assert outcome.messages > 30
    assert outcome.strikes.crashes.total() > 3, "the run has to hurt"
    assert outcome.strikes.errors > 3
    assert outcome.collisions > 3
    assert outcome.kills >= 1


def said(seq: int, sender: str = "citizen", id_: str = "") -> Entry:
    party = Party.CITIZEN if sender == "citizen" else Party.AGENT
    id_ = id_ or f"{sender}-{seq}"
    return Entry(chat_id="c", seq=seq, id=id_, party=party, sender_id=sender, text="x", at=AT)


def by_chat(seq: int, cause: Cause) -> Entry:
    reason = CloseReason.AGENT if cause is Cause.CLOSED else None
    who = {"party": Party.SYSTEM, "sender_id": "system", "text": "x", "event": cause, "reason": reason}
    return Entry(chat_id="c", seq=seq, id=cause.value, at=AT, **who)


def good() -> tuple[Story, list[Entry]]:
    """A chat in which all is well; bert's last word was refused."""
    log = [by_chat(1, Cause.OPENED), *(said(n, ("citizen", "bert")[n % 2]) for n in range(2, 8))]
    log.append(by_chat(8, Cause.CLOSED))
    sent = {who: [e.id for e in log if e.sender_id == who] for who in ("citizen", "bert")}
    sent["bert"].append("late")
    return Story("c", sent, [e for e in log if e.event is None], {"late"}, ended=True), log


def test_a_good_chat_has_no_faults() -> None:
    assert faults(*good()) == []


Log = list[Entry]


def without_answer(story: Story, log: Log) -> Log:
    story.sent["citizen"].append("lost")
    return log


PLANTED: dict[str, Callable[[Story, Log], Log]] = {
    "hole": lambda story, log: [e for e in log if e.seq != 4],
    "double seq": lambda story, log: [*log[:3], log[3].model_copy(update={"seq": 3}), *log[4:]],
    "doubled": lambda story, log: [*log[:4], said(5, "citizen", log[3].id), *log[5:]],
    "turned around": lambda story, log: [
        *log[:2],
        log[4].model_copy(update={"seq": 3}),
        log[3],
        log[2].model_copy(update={"seq": 5}),
        *log[5:],
    ],
    "a receipt that is not so": lambda story, log: [*log[:2], log[2].model_copy(update={"text": "y"}), *log[3:]],
    "refused, but stored": lambda story, log: [*log[:-1], said(8, "bert", "late"), by_chat(9, Cause.CLOSED)],
    "never sent": lambda story, log: [*log[:-1], said(8, "citizen", "strange"), by_chat(9, Cause.CLOSED)],
    "the seal": lambda story, log: [*log[:5], by_chat(6, Cause.CLOSED), said(7, "bert"), said(8)],
    "the opening": lambda story, log: [said(1), *log[1:]],
    "time went back": lambda story, log: [*log[:-1], log[-1].model_copy(update={"at": AT - timedelta(seconds=1)})],
    "no answer": without_answer,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_seen(name: str) -> None:
    story, log = good()
    found = faults(story, PLANTED[name](story, log))
    assert any(name.split(",")[0] in fault for fault in found), found
