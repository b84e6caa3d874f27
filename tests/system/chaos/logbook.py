"""What participants of chats said and were told, held against the logs that are left: what is wrong with them. No I/O.

Knows nothing of how a log is written: only what was sent, which answers came, and what can be read at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.common.events.types import Cause, Entry


@dataclass
class Story:
    """One chat as its participants saw it. `sent`: by each of them, the ids in the order of sending."""

    chat_id: str
    sent: dict[str, list[str]] = field(default_factory=dict)
    receipts: list[Entry] = field(default_factory=list)  # every entry that anybody was told
    refused: set[str] = field(default_factory=set)
    ended: bool = False

    @property
    def answered(self) -> set[str]:
        """What its sender knows the fate of."""
        return {e.id for e in self.receipts} | self.refused


def faults(story: Story, log: Sequence[Entry]) -> list[str]:
    """What this log does not keep of what was promised; nothing when all is well."""
    found = [*_of_the_log(story, log), *_of_answers(story, log)]
    for sender, sent in story.sent.items():
        found += _of_a_sender(sender, sent, log, story)
    return [f"{story.chat_id}: {fault}" for fault in found]


def _of_the_log(story: Story, log: Sequence[Entry]) -> list[str]:
    found = []
    seqs = [e.seq for e in log]
    if seqs != list(range(1, len(log) + 1)):
        found.append(f"hole or double seq: {[b for a, b in pairwise([0, *seqs]) if b != a + 1]}")
    if doubled := [id_ for id_, n in Counter(e.id for e in log).items() if n > 1]:
        found.append(f"doubled: {doubled}")
    if not log or log[0].event is not Cause.OPENED or sum(e.event is Cause.OPENED for e in log) != 1:
        found.append("the opening is not the first, once")
    if [e.seq for e in log if e.is_seal] != ([log[-1].seq] if story.ended and log else []):
        found.append(f"the seal is not the last, once: {[(e.seq, len(log)) for e in log if e.is_seal]}")
    if any(a.at > b.at for a, b in pairwise(log)):
        found.append("time went back")
    return found


def _of_answers(story: Story, log: Sequence[Entry]) -> list[str]:
    stored = {e.id: e for e in log}
    # When it was posted is told and not part of what is stored.
    false = {r.id for r in story.receipts if stored.get(r.id) != r.model_copy(update={"posted_at": None})}
    refused = story.refused & stored.keys()
    said = {id_ for sent in story.sent.values() for id_ in sent}
    strange = {e.id for e in log if e.event is None} - said
    return [
        *([f"a receipt that is not so in the log: {sorted(false)}"] if false else []),
        *([f"refused, but stored: {sorted(refused)}"] if refused else []),
        *([f"stored, but never sent: {sorted(strange)}"] if strange else []),
    ]


def _of_a_sender(sender: str, sent: Sequence[str], log: Sequence[Entry], story: Story) -> list[str]:
    found = []
    mine = [e.id for e in log if e.event is None and e.sender_id == sender]
    order = [id_ for id_ in sent if id_ in set(mine)]
    if list(dict.fromkeys(mine)) != order:
        found.append(f"{sender}'s messages were turned around")
    if unanswered := [id_ for id_ in sent if id_ not in story.answered]:
        found.append(f"{sender} got no answer to {unanswered}")
    return found
