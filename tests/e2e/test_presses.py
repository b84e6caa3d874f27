"""Short versions of `make soak`: several replicas, many presses, agents who vanish; the history is judged.

What is promised in seconds is judged by `make soak`, which has the machine to itself.
"""

import random
from collections.abc import Iterator

import pytest

from tests.support.servers import PATIENCE, Broker, System, patient, unique
from tests.system.environment import AgentAccounts, KillPlan, agent_accounts, running_replicas
from tests.system.report import Report
from tests.system.soak import agent_losses, presses, random_load
from tests.system.workload.citizen import many_browsers

REPLICAS = "gateway=2,presence=2,routing=2,transcripts=1"
SINGLE = agent_accounts("enkel", [1] * 6)
MIXED = agent_accounts("gemengd", [1, 2, 3] * 3)


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Iterator[str]:
    """AMQP address of these tests' own virtual host."""
    name = unique("presses-")
    yield patient(broker.make_vhost(name))
    broker.remove_vhost(name)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, vhost: str, mongodb_url: str) -> Iterator[System]:
    """Two replicas of every service that these tests kill."""
    home, servers = tmp_path_factory.mktemp("several"), {"RABBITMQ_URL": vhost, "MONGODB_URL": mongodb_url}
    accounts = AgentAccounts({**SINGLE.capacity, **MIXED.capacity})
    with running_replicas(home, accounts, REPLICAS, MONGODB_PREFIX=unique("presses-") + "-", **servers) as system:
        yield system


def good(report: Report) -> None:
    print(f"\n{report}")
    assert report.faults == []


async def test_presses_at_once_while_replicas_are_killed_are_all_served_and_nothing_is_untrue(
    several: System, vhost: str
) -> None:
    plan = presses.Plan(60, KillPlan(pause=(0.5, 1.5), most=4), limit=180.0, talk=(0.1, 0.5), oldest=PATIENCE)
    good(await presses.run(several, MIXED, plan, random.Random(1), vhost))


async def test_who_loses_their_agent_has_another(several: System) -> None:
    async with many_browsers() as http:
        lost = await agent_losses.one_round(several, http, SINGLE, ["silent", "closed", "cut"], random.Random(2))
    good(agent_losses.report_of(lost, 0.0, PATIENCE))
    assert len(lost) == 3


async def test_a_press_on_green_is_served_whatever_agents_do(several: System, vhost: str) -> None:
    plan = random_load.Plan(15.0, citizens=12, stays=(3.0, 10.0), oldest=PATIENCE, stale=PATIENCE)
    good(await random_load.run(several, MIXED, plan, random.Random(3), vhost))


async def test_no_press_that_a_gateway_accepted_as_green_is_refused(several: System, vhost: str) -> None:
    plan = random_load.Plan(
        60.0,
        presses=120,
        citizens=20,
        pause=(0.0, 0.5),
        talk=(0.1, 0.4),
        answers=(0.1, 0.5),
        stays=(2.0, 6.0),
        oldest=PATIENCE,
        stale=PATIENCE,
    )
    good(await random_load.run(several, MIXED, plan, random.Random(5), vhost))
