"""Figures and tables."""

import math

from tests.system.tables import percentile, seconds, spread, table


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.5))


def test_a_table_is_markdown() -> None:
    assert table(["what", "p50 s"], [["all", 1]]) == "| what | p50 s |\n| --- | ---: |\n| all | 1 |"
    assert spread([0.12345, 12.345]) == ["2", "0.123", "12.3", "12.3"]
    assert spread([]) == ["0", "–", "–", "–"]
    assert seconds(123.4) == "123"
