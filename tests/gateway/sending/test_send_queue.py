"""`send_queue.py`: whatever happens, what is published keeps the order in which it was offered."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.common.events.chats import CitizenArrived
from services.gateway.sending.send_queue import CAPACITY, Item, SendQueue, after_attempt
from tests.gateway.making import CHAT, id_of

EVENT = CitizenArrived(chat_id=CHAT)


def item(number: int | None) -> Item:
    return Item(None if number is None else id_of(number), EVENT)


def full() -> SendQueue:
    queue = SendQueue()
    assert [queue.offer(item(n)) for n in range(CAPACITY)] == [None] * CAPACITY
    return queue


def test_a_queue_keeps_the_order_and_sends_the_first_one_first() -> None:
    queue = full()
    for n in range(CAPACITY):
        assert queue.head is not None
        assert queue.head.id == id_of(n)
        assert queue.settle(id_of(n))
    assert queue.head is None
    assert not queue.settle(id_of(0))


def test_a_full_queue_refuses_until_the_refused_id_comes_again() -> None:
    queue = full()
    assert queue.offer(item(40)) == "unavailable"
    queue.settle(id_of(0))
    assert queue.offer(item(41)) == "unavailable"
    assert queue.offer(item(None)) == "unavailable"
    assert queue.offer(item(40)) is None
    queue.settle(id_of(1))
    assert queue.offer(item(41)) is None


def test_a_hello_repairs_a_broken_queue() -> None:
    queue = full()
    assert queue.offer(item(40)) == "unavailable"
    queue.settle(id_of(0))
    queue.reopen()
    assert queue.offer(item(41)) is None


def test_what_is_in_the_queue_is_taken_once() -> None:
    queue = SendQueue()
    for number in (1, 1, None, None):
        assert queue.offer(item(number)) is None
    assert [i.id for i in queue.items] == [id_of(1), None]
    assert queue.contains(id_of(1))
    assert queue.contains(None)
    assert not queue.contains(id_of(2))


def test_an_end_that_was_refused_is_taken_when_it_comes_again() -> None:
    queue = full()
    assert queue.offer(item(None)) == "unavailable"
    queue.settle(id_of(0))
    assert queue.offer(item(50)) == "unavailable"
    assert queue.offer(item(None)) is None


def test_giving_up_refuses_all_in_order_and_waits_for_the_first_of_them() -> None:
    queue = full()
    assert queue.offer(item(40)) == "unavailable"
    assert [i.id for i in queue.give_up()] == [id_of(n) for n in range(CAPACITY)]
    assert queue.offer(item(40)) == "unavailable", "it was said after those that were given up"
    assert queue.offer(item(1)) == "unavailable"
    assert queue.offer(item(0)) is None


def test_a_refused_message_that_was_stored_after_all_is_not_waited_for() -> None:
    """Its last attempt had arrived; the sender sees that and goes on with the next one."""
    queue = full()
    assert queue.offer(item(40)) == "unavailable"
    queue.give_up()
    queue.note_stored(id_of(0))
    assert queue.offer(item(2)) == "unavailable"
    assert queue.offer(item(1)) is None
    assert queue.offer(item(2)) is None


def test_a_queue_takes_everything_when_all_that_it_refused_was_stored() -> None:
    queue = SendQueue()
    assert queue.offer(item(1)) is None
    queue.give_up()
    assert queue.offer(item(2)) == "unavailable"
    queue.note_stored(id_of(1))
    assert queue.offer(item(3)) == "unavailable", "2 comes first"
    queue.note_stored(id_of(2))
    queue.note_stored(id_of(3))
    assert queue.idle
    assert queue.offer(item(4)) is None


def test_of_many_refused_messages_the_first_ones_are_remembered() -> None:
    queue = full()
    for number in range(40, 1_040):
        assert queue.offer(item(number)) == "unavailable"
    queue.give_up()
    assert len(queue.refused) <= 2 * CAPACITY + 1
    assert list(queue.refused)[: CAPACITY + 1] == [id_of(n) for n in (*range(CAPACITY), 40)]


def test_the_pauses_between_attempts() -> None:
    one = item(1)
    unconfirmed = [after_attempt(one, False, float(n)) for n in range(8)]
    assert unconfirmed == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert [after_attempt(one, True, 10.0) for _ in range(5)] == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_an_hour_without_a_receipt_is_some_sixty_copies() -> None:
    one, now, copies = item(1), 0.0, 0
    while now < 3_600:
        copies += 1
        now += after_attempt(one, True, now) or 0.0
    assert 60 <= copies <= 64


def test_thirty_seconds_without_a_confirm_are_the_end_but_not_after_one() -> None:
    never, once = item(1), item(2)
    assert after_attempt(never, False, 100.0) is not None
    assert after_attempt(never, False, 129.9) is not None
    assert after_attempt(never, False, 130.0) is None
    assert after_attempt(once, True, 100.0) == 10.0
    assert after_attempt(once, False, 1_000.0) == 5.0


class Sender(RuleBasedStateMachine):
    """A client that says 0, 1, 2, … and repeats what has no receipt, and a line that may refuse at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SendQueue()
        self.next = 0
        self.open: list[int] = []  # said, no receipt yet, in order
        self.refused: list[int] = []  # of those, what was refused to the client
        self.published: list[int] = []
        self.in_vain: int | None = None  # published when the broker went away: the first in the queue alone

    @precondition(lambda self: len(self.open) < 60)
    @rule()
    def say(self) -> None:
        number, self.next = self.next, self.next + 1
        self.open.append(number)
        self._offer(number)

    @precondition(lambda self: self.refused)
    @rule()
    def say_again_what_was_refused(self) -> None:
        for number in [n for n in self.open if n in self.refused]:
            self._offer(number)

    @precondition(lambda self: self.queue.items)
    @rule(which=st.integers(0, 100))
    def repeat_what_has_no_answer_yet(self, which: int) -> None:
        waiting = [n for n in self.open if n not in self.refused]
        self._offer(waiting[which % len(waiting)])

    @rule()
    def limit_the_rate(self) -> None:
        number, self.next = self.next, self.next + 1
        self.open.append(number)
        self.queue.break_at(id_of(number))
        self.refused.append(number)

    @precondition(lambda self: self.queue.head)
    @rule()
    def the_first_is_stored(self) -> None:
        assert self.queue.head is not None
        number = next(n for n in self.open if id_of(n) == getattr(self.queue.head, "id", None))
        assert self.queue.settle(id_of(number))
        self.published.append(number)
        self.open.remove(number)

    @precondition(lambda self: self.queue.head)
    @rule()
    def the_broker_is_away(self) -> None:
        given_up = [n for i in self.queue.give_up() for n in self.open if id_of(n) == i.id]
        self.in_vain = given_up[0]
        self.refused += [n for n in given_up if n not in self.refused]

    @precondition(lambda self: self.in_vain in self.refused)
    @rule()
    def what_was_published_last_in_vain_was_stored_after_all(self) -> None:
        number = self.in_vain
        assert number is not None
        self.queue.note_stored(id_of(number))
        self.published.append(number)
        self.refused.remove(number)
        self.open.remove(number)

    @precondition(lambda self: self.queue.broken)
    @rule()
    def say_hello(self) -> None:
        """A hello; then everything without a receipt is said again, in order."""
        self.queue.reopen()
        for number in list(self.open):
            self._offer(number)

    def _offer(self, number: int) -> None:
        code = self.queue.offer(item(number))
        if code is None:
            self.refused = [n for n in self.refused if n != number]
        elif number not in self.refused:
            self.refused.append(number)

    @invariant()
    def the_order_of_publishing_is_that_of_saying(self) -> None:
        assert self.published == sorted(self.published)

    @invariant()
    def nothing_refused_is_in_the_queue_and_the_queue_is_bounded(self) -> None:
        assert len(self.queue.items) <= CAPACITY
        inside = [i.id for i in self.queue.items]
        assert inside == sorted(inside, key=lambda id_: [id_of(n) for n in self.open].index(id_ or ""))
        assert len(set(inside)) == len(inside)
        if not self.queue.broken and not self.refused:
            assert inside == [id_of(n) for n in self.open]


Sender.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSender = Sender.TestCase
