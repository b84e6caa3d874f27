"""Clients of a gateway that dies reconnect to the others, spread out; other clients are not disturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.support.servers import PATIENCE, System
from tests.system.chaos import reconnects

CITIZENS = 200


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with reconnects.two_gateways(tmp_path_factory.mktemp("two")) as system:
        yield system


async def test_200_come_back_spread_out_and_the_other_gateway_serves_on(two: System) -> None:
    """How soon, and how long the others wait meanwhile, is judged by `make chaos`."""
    outcome = await reconnects.play(two, CITIZENS, random.Random(4), limit=2 * PATIENCE)
    print(*(f"\n{what}: {how}" for what, how in outcome.rows()))
    assert len(outcome.back) == CITIZENS
    assert outcome.back[0] < outcome.back[CITIZENS // 2] < outcome.back[-1]
    assert outcome.met["1006"] > 0.9 * CITIZENS, "they lost it without a word"
    assert len(outcome.seen.turns) > 2, "the pair on the other gateway goes on"
    assert outcome.seen.not_ready < len(outcome.seen.ready) / 2, "and it is ready"
