"""Check the messages of a history: nothing lost, doubled, reordered, invented or never shown. No I/O.

The checker knows nothing but what the participants sent and were shown, and the log of each chat: the last download,
requested when every chat had ended.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from services.common.events.types import Cause
from tests.system.checker.violations import Violation
from tests.system.history import (
    CITIZEN,
    SYSTEM,
    Closed,
    CloseRequested,
    Downloaded,
    Event,
    Fetched,
    History,
    Message,
    Pressed,
    Refused,
    Sent,
    Shown,
    StatusShown,
    Unassigned,
    Uploaded,
)


class Rule(StrEnum):
    LOST = "a receipt, but missing from the transcript"
    UNSEEN = "a receipt, but missing from the other side's screen"
    DOUBLED = "there twice"
    REORDERED = "not in the order in which they were written"
    HOLE = "`seq` with a hole"
    DISAGREE = "one `seq`, two contents"
    UNKEPT = "shown, but missing from the transcript"
    LATE = "after the end of the chat"
    CHANGED = "not what was written"
    STRANGE = "in the transcript, but never sent"
    REFUSED = "refused for good, and stored"
    BYTES = "an attachment that is not byte for byte what was uploaded"
    UNENDED = "a chat without its end"
    DOT = "a dot, or an end, that was not true"
    INTRODUCED = "an agent's first message before it is said with whom the citizen is connected"
    DOWNLOAD = "a download without what had its receipt before"
    OPENING = "a transcript that does not begin with the opening, once"
    TIME = "a time that goes back in the transcript"
    UNANSWERED = "neither a receipt nor a refusal"
    PASSED_ON = "a chat that did not keep its agent"


SELECTED = (Rule.UNANSWERED, Rule.PASSED_ON)
"""Rules that hold only where a run makes them hold; the others hold in every run."""
ALWAYS = tuple(rule for rule in Rule if rule not in SELECTED)


@dataclass(frozen=True)
class Counts:
    """Messages by what became of them; `unanswered`: neither a receipt nor a refusal when the chat ended."""

    sent: int = 0
    attachments: int = 0
    receipts: int = 0
    refused: int = 0
    unanswered: int = 0
    chats: int = 0
    downloads: int = 0


@dataclass(frozen=True)
class Result:
    """What a checker found."""

    violations: list[Violation]
    counts: Counts

    def broken(self, *rules: Rule) -> int:
        """How many messages, or chats, broke one of these rules."""
        return len({(v.chat, v.about) for v in self.violations if v.rule in rules})


@dataclass
class Chat:
    """The events of one chat, sorted by what they are about."""

    id: str
    events: Sequence[Event]
    log: tuple[Message, ...] = ()
    sealed: bool = False
    sent: dict[str, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    receipts: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    shown: dict[str, dict[int, Message]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def questions(self) -> set[str]:
        """Digests of the questions that came with the press that began this chat."""
        return {e.question for e in self.events if isinstance(e, Pressed) and e.question}

    @property
    def ids(self) -> set[str]:
        return {m.id for m in self.log}

    def of(self, kind: type) -> list[Event]:
        return [e for e in self.events if isinstance(e, kind)]

    def received(self) -> Iterator[Message]:
        """Every message that a participant was shown or downloaded."""
        for event in self.events:
            if isinstance(event, Shown):
                yield event.message
            elif isinstance(event, Downloaded):
                yield from event.messages


def chats(history: History) -> list[Chat]:
    """The chats of a history."""
    grouped: dict[str, list[Event]] = defaultdict(list)
    for event in history:
        if event.chat:
            grouped[event.chat].append(event)
    return [_sorted(Chat(id_, events)) for id_, events in grouped.items()]


def _sorted(chat: Chat) -> Chat:
    authors: dict[str, str] = {}
    for event in chat.events:
        match event:
            case Sent():
                chat.sent[event.who].append(event)
                authors[event.id] = event.who
            case Shown():
                chat.shown[event.who].setdefault(event.message.seq, event.message)
                if authors.get(event.message.id) == event.who:
                    chat.receipts.setdefault(event.message.id, event.at)
            case Refused():
                chat.refused[event.id] = event.code
            case Downloaded() if event.final:
                chat.log, chat.sealed = event.messages, event.closed
            case Downloaded():
                for message in event.messages:  # what they can read they need not be shown
                    chat.shown[event.who].setdefault(message.seq, message)
    return chat


def check(history: History, rules: Sequence[Check] = ()) -> Result:
    """Check the history of a run that has ended, by these rules or by those that always hold."""
    found = chats(history)
    violations = [v for chat in found for rule in rules or RULES for v in rule(chat)]
    return Result(list(dict.fromkeys(violations)), _counts(found))


def _counts(found: Iterable[Chat]) -> Counts:
    total: Counter[str] = Counter()
    for chat in found:
        sent = {t.id for several in chat.sent.values() for t in several}
        files = {m.id for m in chat.log if m.attachment}
        unanswered = sent - chat.receipts.keys() - chat.refused.keys()
        total.update(sent=len(sent), attachments=len(sent & files), receipts=len(chat.receipts), chats=1)
        total.update(refused=len(sent & chat.refused.keys()), unanswered=len(unanswered))
        total.update(downloads=len(chat.of(Downloaded)))
    return Counts(**total)


# ── the rules ────────────────────────────────────────────────────────────────────────────────────────────────────────


Check = Callable[[Chat], Iterator[Violation]]


def nothing_lost(chat: Chat) -> Iterator[Violation]:
    """What had a receipt is in the log; so is everything else that was shown to a participant."""
    for id_ in chat.receipts.keys() - chat.ids:
        yield Violation(Rule.LOST, chat.id, id_)
    for question in chat.questions - {m.content for m in chat.log}:
        yield Violation(Rule.LOST, chat.id, "the question of the press", question)
    for message in chat.received():
        if message.id not in chat.ids | chat.receipts.keys():
            yield Violation(Rule.UNKEPT, chat.id, message.id, f"seq {message.seq}")


def shown_to_both(chat: Chat) -> Iterator[Violation]:
    """The citizen, and every agent who had the chat until its end, were shown each message that had a receipt."""
    for who in [CITIZEN, *staying_agents(chat)]:
        seen = {m.id for m in chat.shown[who].values()}
        for id_ in chat.receipts.keys() - seen:
            yield Violation(Rule.UNSEEN, chat.id, id_, f"not shown to {who}")


def staying_agents(chat: Chat) -> list[str]:
    """Who had the chat when it ended: was shown it, and it did not go from them after that."""
    having: dict[str, bool] = {}
    for event in chat.events:
        if event.who != CITIZEN and isinstance(event, Shown | Unassigned):
            having[event.who] = isinstance(event, Shown)
    return [who for who, has in having.items() if has]


def nothing_doubled(chat: Chat) -> Iterator[Violation]:
    """One id has one `seq`, and a content of one sender has one id: participants write each content once."""
    seqs: dict[str, set[int]] = defaultdict(set)
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for message in chat.received():
        seqs[message.id].add(message.seq)
        if message.party != SYSTEM:
            ids[message.party, message.content].add(message.id)
    for id_, several in seqs.items():
        if len(several) > 1:
            yield Violation(Rule.DOUBLED, chat.id, id_, f"seq {sorted(several)}")
    for (party, _), same in ids.items():
        if len(same) > 1:
            yield Violation(Rule.DOUBLED, chat.id, min(same), f"of the {party}, under {len(same)} ids")
    for id_, times in Counter(m.id for m in chat.log).items():
        if times > 1:
            yield Violation(Rule.DOUBLED, chat.id, id_, f"{times} times in the transcript")


def in_order(chat: Chat) -> Iterator[Violation]:
    """The messages of one sender stand in the log as they wrote them."""
    for who, several in chat.sent.items():
        places = {t.id: place for place, t in enumerate(several)}
        mine = dict.fromkeys(m.id for m in sorted(chat.log, key=lambda m: m.seq) if m.id in places)
        for before, after in pairwise(mine):
            if places[after] < places[before]:
                yield Violation(Rule.REORDERED, chat.id, after, f"of {who}, after {before}")


def dense(chat: Chat) -> Iterator[Violation]:
    """Each download, the log included, has the messages 1, 2, 3, … without a hole."""
    downloads = [(f"download of {e.who}", e.messages) for e in chat.of(Downloaded) if isinstance(e, Downloaded)]
    for whose, messages in downloads:
        if [m.seq for m in messages] != list(range(1, len(messages) + 1)):
            yield Violation(Rule.HOLE, chat.id, whose, f"{_holes(m.seq for m in messages)}")


def dense_screens(chat: Chat) -> Iterator[Violation]:
    """Each participant was shown the messages 1, 2, 3, … without a hole."""
    for who, screen in chat.shown.items():
        if sorted(screen) != list(range(1, len(screen) + 1)):
            yield Violation(Rule.HOLE, chat.id, f"screen of {who}", f"{_holes(screen)}")


def _holes(seqs: Iterable[int]) -> str:
    given = sorted(seqs)
    missing = sorted(set(range(1, max(given, default=0) + 1)) - set(given))
    return f"without {missing}" if missing else "not in order"


def all_agree(chat: Chat) -> Iterator[Violation]:
    """A `seq` is the same message for every participant."""
    contents: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for message in chat.received():
        contents[message.seq].add((message.id, message.whole))
    for seq, several in contents.items():
        if len(several) > 1:
            ids = sorted({id_ for id_, _ in several})
            yield Violation(Rule.DISAGREE, chat.id, f"seq {seq}", ", ".join(ids))


def nothing_after_the_end(chat: Chat) -> Iterator[Violation]:
    """The end is the last entry of the log."""
    seal = min((m.seq for m in chat.received() if m.event == "closed"), default=None)
    for message in chat.received():
        if seal is not None and message.seq > seal:
            yield Violation(Rule.LATE, chat.id, message.id, f"seq {message.seq}, the end is {seal}")


def as_written(chat: Chat) -> Iterator[Violation]:
    """A person's message in the log is what that person wrote; what was refused for good is not there."""
    written = {t.id: t for several in chat.sent.values() for t in several}
    for message in chat.log:
        if message.party == SYSTEM:
            continue
        sent = written.get(message.id)
        if sent is None and message.party == CITIZEN and message.content in chat.questions:
            continue  # it came with the press, and has an id of the gateway
        if sent is None:
            yield Violation(Rule.STRANGE, chat.id, message.id, f"seq {message.seq}")
        elif sent.content != message.content or (sent.who == CITIZEN) != (message.party == CITIZEN):
            yield Violation(Rule.CHANGED, chat.id, message.id, f"seq {message.seq}")
        if message.id in chat.refused:
            yield Violation(Rule.REFUSED, chat.id, message.id, chat.refused[message.id])


def byte_for_byte(chat: Chat) -> Iterator[Violation]:
    """An attachment is fetched as it was uploaded, and each one in the log was fetched."""
    uploaded = {e.attachment: e.digest for e in chat.events if isinstance(e, Uploaded)}
    fetched = [e for e in chat.events if isinstance(e, Fetched)]
    for event in fetched:
        if uploaded.get(event.attachment) != event.digest:
            words = f"{event.who} got other bytes" if event.digest else f"{event.who} could not get it"
            yield Violation(Rule.BYTES, chat.id, event.attachment, words)
    for attachment in {m.attachment for m in chat.log if m.attachment} - {e.attachment for e in fetched}:
        yield Violation(Rule.BYTES, chat.id, attachment, "was not fetched")


def end_shown(chat: Chat) -> Iterator[Violation]:
    """The citizen got the end."""
    if not any(e.who == CITIZEN for e in chat.of(Closed)):
        yield Violation(Rule.UNENDED, chat.id, "the citizen", "was not told")


def sealed(chat: Chat) -> Iterator[Violation]:
    """The log ends with the end of the chat."""
    if not chat.sealed or not chat.log or chat.log[-1].event != "closed":
        yield Violation(Rule.UNENDED, chat.id, "the transcript", "is not closed" if chat.log else "could not be had")


def dot_true(chat: Chat) -> Iterator[Violation]:
    """Green names an agent; only red follows the end; a chat that had an agent ends when a participant ends it."""
    over = green = False
    asked: set[str] = set()
    for event in chat.events:
        match event:
            case CloseRequested():
                asked.add("citizen" if event.who == CITIZEN else "agent")
            case Closed() if event.who == CITIZEN:
                over = True
                if green and event.reason not in asked:
                    yield Violation(Rule.DOT, chat.id, "closed", f"{event.reason}, asked for by {sorted(asked)}")
            case StatusShown():
                green = green or event.dot == "green"
                if event.dot == "green" and not event.agent:
                    yield Violation(Rule.DOT, chat.id, "green", "without an agent")
                if over and event.dot != "red":
                    yield Violation(Rule.DOT, chat.id, event.dot, "after the end")


def introduced(chat: Chat) -> Iterator[Violation]:
    """No message of an agent stands before the entry that says with whom the citizen is connected."""
    connected = False
    for message in chat.log:
        connected = connected or message.event == "assigned"
        if message.party == "agent" and not connected:
            yield Violation(Rule.INTRODUCED, chat.id, message.id, f"seq {message.seq}")
            return


LEFT = (Cause.AGENT_LEFT, Cause.TRANSFERRED)
"""What the entry is called that says that an agent has the chat no longer."""


def downloads_whole(chat: Chat) -> Iterator[Violation]:
    """A transcript has everything that had its receipt before it was asked for.

    That of a former participant ends with the entry that says that they left.
    """
    for event in chat.events:
        if isinstance(event, Downloaded):
            last = max(event.messages, key=lambda m: m.seq, default=None)
            if event.who != CITIZEN and last is not None and last.event in LEFT:
                continue
            there = {m.id for m in event.messages}
            for id_, at in chat.receipts.items():
                if at < event.asked and id_ not in there and not event.final:
                    yield Violation(Rule.DOWNLOAD, chat.id, id_, f"asked by {event.who}")


def opened_first(chat: Chat) -> Iterator[Violation]:
    """The opening is the first entry of the log, and there is one."""
    openings = [m.seq for m in chat.log if m.event == "opened"]
    if chat.log and openings != [1]:
        yield Violation(Rule.OPENING, chat.id, "the transcript", f"opened at {openings}")


def time_forward(chat: Chat) -> Iterator[Violation]:
    """The times of the entries do not go back."""
    for before, after in pairwise(chat.log):
        if after.at < before.at:
            yield Violation(Rule.TIME, chat.id, after.id, f"{before.at - after.at:.3f} s before seq {before.seq}")


def all_answered(chat: Chat) -> Iterator[Violation]:
    """Every message has a receipt or was refused."""
    for messages in chat.sent.values():
        for message in messages:
            if message.id not in chat.receipts and message.id not in chat.refused:
                yield Violation(Rule.UNANSWERED, chat.id, message.id, f"of {message.who}")


def kept_agent(chat: Chat) -> Iterator[Violation]:
    """One agent has the chat from its beginning to its end."""
    system = [m.event for m in chat.log if m.party == SYSTEM]
    if system != ["opened", "assigned", "closed"]:
        yield Violation(Rule.PASSED_ON, chat.id, "the transcript", ", ".join(system))


LOG_RULES = (
    nothing_lost,
    nothing_doubled,
    in_order,
    dense,
    all_agree,
    nothing_after_the_end,
    as_written,
    sealed,
    opened_first,
    time_forward,
)
"""What holds for a log, without what its participants were shown."""
RULES = (*LOG_RULES, dense_screens, shown_to_both, byte_for_byte, end_shown, dot_true, introduced, downloads_whole)
"""What holds in every run over the public protocol."""
