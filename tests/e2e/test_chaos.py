"""Participants converse while processes are killed, and the history is checked; the checker detects violations.

The long run, with every kind of fault, is `make chaos`.
"""

import random
from pathlib import Path

import pytest

from tests.e2e.test_replicas import vhost
from tests.support.servers import START_SECONDS, brisk, running_system
from tests.system.chaos import checker_proof, kills
from tests.system.chaos.faults import Target
from tests.system.chaos.report import good, report
from tests.system.chaos.runner import Plan, run
from tests.system.chaos.stages import SPARE, accounts
from tests.system.workload.conversations import Behaviour

pytestmark = pytest.mark.e2e
PAIRS = 4
INJECTED = {
    "gateway, one of two: kill -9",
    "transcripts, one of two: kill -9",
    "transcripts, both at once: kill -9",
    "routing, the only one: kill -9",
}


async def test_nothing_is_lost_while_replicas_and_whole_services_are_killed(
    tmp_path: Path, vhost_url: str, mongodb_url: str
) -> None:
    """Short chats, attachments, downloads, reloads and second tabs; two gateways, two of transcripts."""
    file = str(accounts(PAIRS).write(tmp_path / "accounts.toml"))
    servers = {"RABBITMQ_URL": brisk(vhost_url), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{vhost(vhost_url)}-"}
    behaviour = Behaviour(pause=0.25, lasts=(1.5, 4.0), attached=0.1, downloaded=0.1, reloaded=0.05, tabs=0.05)
    settings = {
        "REPLICAS": "gateway=2,presence=1,routing=1,transcripts=2",
        "RATE_LIMITS": "off",
        "ACCOUNTS_FILE": file,
        **servers,
    }
    with running_system(tmp_path, **settings) as system:
        known = [*kills.of_one_replica(system), *kills.of_all_replicas(system), *kills.of_the_only_ones(system)]
        faults = [fault for fault in known if fault.kind in INJECTED]
        assert len(faults) == len(INJECTED)
        plan = Plan(PAIRS, seconds=12, messages=150, rest=(0.5, 1.5), never=START_SECONDS, behaviour=behaviour)
        outcome = await run("kills", Target(system, system.base_url, faults), plan, random.Random(1))
    print(f"\n{report([outcome], 'seed 1')}")
    assert good([outcome]), report([outcome], "seed 1")
    counts = outcome.result.counts
    assert {injected.fault.kind for injected in outcome.injected} == INJECTED
    assert counts.chats > PAIRS
    assert counts.receipts > 75
    assert counts.attachments
    assert counts.downloads > counts.chats
    assert outcome.connections > counts.chats + PAIRS + SPARE, "no participant had to connect again"


@pytest.mark.parametrize("kind", ["swap", "drop"])
def test_the_checker_detects_a_system_with_a_broken_guarantee(
    kind: str, tmp_path: Path, vhost_url: str, mongodb_url: str
) -> None:
    """A pair of messages that is turned around; a message with a receipt that was never stored."""
    servers = {"RABBITMQ_URL": brisk(vhost_url), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{vhost(vhost_url)}-"}
    assert not checker_proof.prove(kind, tmp_path, 1, **servers)
