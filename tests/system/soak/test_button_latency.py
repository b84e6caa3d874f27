"""What the figures of open pages are made of."""

import math

from tests.system.soak.button_latency import delays
from tests.system.soak.button_pages import Page

REACHED = {5: ("no_agents", [1.0, 1.1]), 6: ("available", [10.0, 10.2]), 7: ("no_agents", [20.0, 20.5])}


def test_a_delay_is_from_the_cause_to_the_next_change_with_its_reason() -> None:
    assert delays(REACHED, 19.5, "no_agents", 2) == [0.5, 1.0]
    assert delays(REACHED, 0.5, "no_agents", 2) == [0.5, 1.1 - 0.5]


def test_a_page_that_never_got_an_event_waits_for_ever() -> None:
    assert delays(REACHED, 9.5, "available", 3) == [0.5, 10.2 - 9.5, math.inf]
    assert delays(REACHED, 15.0, "available", 2) == [math.inf, math.inf]


def test_a_page_gets_each_event_once_however_the_stream_is_cut() -> None:
    received: list[tuple[int, bytes]] = []
    page = Page(1, lambda revision, data, _: received.append((revision, data)))
    stream = b'4e\r\nevent: button\nid: 42\ndata: {"colour":"green"}\n\n\r\n10\r\n: still here\n\n\r\n'
    for cut in (1, 20, 35, 60):
        received.clear()
        for part in (stream[:cut], stream[cut:]):
            page.data_received(part)
        assert received == [(42, b'{"colour":"green"}')]
