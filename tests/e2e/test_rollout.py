"""The former version is replaced by this one under a talk: what it has stored is served, and nobody notices."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import Citizen, agent, citizen, new_id, pair, say
from tests.support.servers import PATIENCE, unique
from tests.system.checker.messages import RULES, check, kept_agent
from tests.system.rollout.combinations import FORMATS, PDF, conversation
from tests.system.rollout.deployment import ORDER, Deployment, deployment
from tests.system.rollout.metrics import metrics_of
from tests.system.rollout.versions import PRESENT, Version
from tests.system.rollout.workload import conversing
from tests.system.workload.conversations import Conversation, recovery

pytestmark = pytest.mark.e2e
REST = ORDER[:-1]  # all but the gateway


@pytest.fixture
def ours(tmp_path: Path, module_vhost_url: str, mongodb_url: str) -> Iterator[Deployment]:
    with deployment(
        tmp_path, module_vhost_url, mongodb_url, MONGODB_PREFIX=unique("r_") + "_", DEMO_AGENTS="1"
    ) as made:
        yield made


async def ended_chat(base: str, visitor: Citizen) -> None:
    """A chat with a file that is over."""
    async with agent(base, "an") as an:
        theirs, ours = await pair(visitor, an, name="An Peeters", question="Waar vind ik het formulier?")
        await say(ours, "Dag 🏠 <b>u</b>", visitor.chat_id)
        answer = await visitor.upload("attest één.pdf", PDF)
        assert answer.status == 201, await answer.text()
        await theirs.send(type="message", id=new_id(), attachment=(await answer.json())["id"])
        await theirs.expect("message", attachment=lambda a: a is not None)
        await theirs.send(type="close")
        assert await theirs.closed() == 1000


async def downloads(visitor: Citizen) -> dict[str, bytes]:
    """What the citizen gets: their file, and the conversation in every format but PDF, which is made anew each time."""
    found = {}
    for format in FORMATS.keys() - {"pdf"}:
        answer = await visitor.transcript(format)
        assert answer.status == 200
        found[format] = await answer.read()
    kept = (await (await visitor.transcript()).json())["messages"]
    (attachment,) = [m["attachment"]["id"] for m in kept if m.get("attachment")]
    url = f"{visitor.base}/api/chats/{visitor.chat_id}/attachments/{attachment}"
    answer = await visitor.http.get(url, headers=visitor.bearer)
    assert await answer.read() == PDF
    return found


async def flows(talk: Conversation) -> None:
    """Return when messages flow both ways in the conversation."""
    talk.held = True
    assert await recovery([talk], time.monotonic(), PATIENCE) < PATIENCE
    talk.held = False


async def test_versions_replace_each_other_under_a_talk_and_back_again(
    ours: Deployment, former_version: Version
) -> None:
    base = ours.base_url
    await ours.start(former_version, *ORDER)
    async with citizen(base) as visitor:
        await ended_chat(base, visitor)
        before = await downloads(visitor)
        async with conversing(base, ["agent1"], random.Random(1)) as (workload, [talk]):
            drains = await ours.replace(PRESENT, *REST)
            await flows(talk)
            await conversation(base)  # the former gateway, the present rest
            began = time.monotonic()
            drains += await ours.replace(PRESENT, "gateway")
            await flows(talk)
            ended = time.monotonic()
            assert await downloads(visitor) == before, "what the former version has stored"
            drains += await ours.replace(former_version, *REST)
            await flows(talk)
            await conversation(base)  # the present gateway, the former rest
    metrics, result = metrics_of(workload.recorder.events), check(workload.recorder.events, (*RULES, kept_agent))
    print(f"\ndots {metrics.dots}, agents {metrics.agents}, {result.counts}, drains {drains}")
    assert result.violations == []
    assert result.counts.chats == 1
    assert result.counts.receipts > 20
    assert result.counts.attachments
    assert metrics.errors == []
    # A gateway that ends may still take a connection, and then closes it too.
    for spans in (metrics.dots, metrics.agents):
        assert spans, "the gateway was replaced"
        assert all(began <= since and until <= ended for since, until in spans), "nothing else was noticed"
    assert [drain.status for drain in drains] == [0] * len(drains), drains
