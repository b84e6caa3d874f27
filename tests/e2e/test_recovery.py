"""Any process may be killed at any moment: what had a receipt is there once, in order, and all goes on by itself."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.clients import until_blue, until_green
from tests.e2e.faults import SERVICES, dead_letters, ready, replaced, strike
from tests.e2e.lasting import talking
from tests.real import System, running_system

EVERY_PROCESS = [*((name,) for name in SERVICES), ("broker",), ("database",), SERVICES]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of these tests' own: whatever they leave behind harms nobody."""
    with running_system(tmp_path_factory.mktemp("recovery"), RATE_LIMITS="off") as running:
        yield running


@pytest.mark.parametrize("names", EVERY_PROCESS, ids="+".join)
async def test_kill_9_amid_a_conversation_loses_doubles_and_reorders_nothing(
    system: System, names: tuple[str, ...]
) -> None:
    async with talking(system.base_url) as talk:
        struck = time.monotonic()
        old = strike(system, *names)
        await talk.flows()
        first = time.monotonic() - struck
        await replaced(system, old)
        restarted = time.monotonic() - struck
        await talk.flows()
        second = time.monotonic() - struck
        await ready(system)
        print(
            f"\n{'+'.join(names)}: first {first:.1f} s, restarted {restarted:.1f} s, flows {second:.1f} s, ready "
            f"{time.monotonic() - struck:.1f} s; closes {talk.citizen.closes} {talk.agent.closes}"
        )
        await until_blue(system.base_url, "busy")
        print(f"button {time.monotonic() - struck:.1f} s")
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"], "it keeps its agent"
    async with talking(system.base_url):
        pass
    assert await dead_letters(system) == {"presence": 0, "routing": 0, "transcripts": 0}
