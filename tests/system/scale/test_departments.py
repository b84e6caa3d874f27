"""A short form of the measurement with many departments, and its table by hand."""

from pathlib import Path

from tests.system.scale.departments import Figures, Size, measure, table


def test_a_small_system_knows_its_buttons_and_serves_every_press(tmp_path: Path) -> None:
    """In a thread of its own loop; what is promised in seconds is judged by the long form on an idle machine."""
    figures = measure(Size(departments=30, agents=60, idle=2.0, rate=2.0, pressing=3.0), tmp_path)
    assert figures.unserved == 0
    assert not figures.refused
    assert len(figures.took) == 6
    assert set(figures.busy) == {"presence", "routing", "gateway", "database", "broker"}


def test_the_table_compares_the_last_size_with_the_first() -> None:
    busy = dict.fromkeys(("presence", "routing", "gateway", "database", "broker"), 0.1)
    small = Figures(Size(10, 50), 0, busy, dict.fromkeys(busy, 2.0), [0.1] * 500)
    large = Figures(Size(1_000, 5_000), 3, busy, dict.fromkeys(busy, 3.0), [0.1] * 490 + [0.15] * 9, unserved=1)
    shown = table([small, large])
    assert (
        "| 1,000 | 5,000 | 1 | 3 | 0.100 | 0.100 | 0.100 | 0.100 | 0.100 | 500 at 50/s | 1 | 100 | 150 | 3.0 |" in shown
    )
    assert "of 1,000 departments, not served: {} by status, 1 opened and not assigned within 30 s" in shown
    assert "with 5,000 agents / with 50: p99 1.50, presence 1.50" in shown
