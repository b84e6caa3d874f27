"""`citizen_presence.py`: online while any gateway says so, and never for ever on the word of a dead one."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.chats.chat_state import FORGET_AFTER, Attendance


def test_the_citizen_is_online_while_any_gateway_has_them() -> None:
    one = Attendance()
    assert one.note("a", True, 0.0)
    assert not one.note("b", True, 1.0)
    assert not one.note("a", False, 2.0)
    assert one.note("b", False, 3.0)
    assert not one.note("b", False, 4.0)
    assert not one.online


def test_a_gateway_without_heartbeats_is_forgotten_and_the_own_one_never() -> None:
    one = Attendance()
    one.note("dead", True, 0.0)
    one.note("alive", True, 0.0)
    one.note("alive", True, FORGET_AFTER - 1)
    assert not one.forget_silent("own", FORGET_AFTER)
    assert one.online, "the other one has him"
    assert one.forget_silent("own", 2 * FORGET_AFTER)
    assert not one.online
    one.note("own", True, 0.0)
    assert not one.forget_silent("own", 10 * FORGET_AFTER)
    assert one.online


STEPS = st.lists(st.tuples(st.sampled_from("abo"), st.booleans(), st.floats(0, 30)), max_size=30)


@given(STEPS)
def test_a_change_is_said_exactly_when_it_is_one(steps: list[tuple[str, bool, float]]) -> None:
    one, now, shown = Attendance(), 0.0, False
    for who, online, pause in steps:
        now += pause
        shown ^= one.forget_silent("o", now)
        shown ^= one.note(who, online, now)
        assert shown == one.online
        assert online <= one.online
