"""The former version is replaced by this one under a talk: what it has stored is served, and nobody notices."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import Citizen, agent, citizen, new_id, pair, say
from tests.support.servers import unique
from tests.system.rollout.combinations import FORMATS, PDF, conversation
from tests.system.rollout.crowd import Seen, paired
from tests.system.rollout.fleet import ORDER, Fleet, fleet
from tests.system.rollout.versions import PRESENT, Version

pytestmark = pytest.mark.e2e
REST = ORDER[:-1]  # all but the gateway


@pytest.fixture
def ours(tmp_path: Path, module_vhost_url: str, mongodb_url: str) -> Iterator[Fleet]:
    with fleet(tmp_path, module_vhost_url, mongodb_url, MONGODB_PREFIX=unique("r_") + "_", DEMO_AGENTS="1") as made:
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


def longest(spans: list[tuple[float, float]]) -> float:
    return max((end - start for start, end in spans), default=0.0)


async def test_versions_replace_each_other_under_a_talk_and_back_again(ours: Fleet, former_version: Version) -> None:
    seen, base = Seen(), ours.base_url
    await ours.start(former_version, *ORDER)
    async with citizen(base) as visitor:
        await ended_chat(base, visitor)
        before = await downloads(visitor)
        async with paired(base, "agent1", seen, 0.2) as talk:
            drains = await ours.replace(PRESENT, *REST)
            await talk.flows()
            await conversation(base)  # the former gateway, the present rest
            drains += await ours.replace(PRESENT, "gateway")
            await talk.flows()
            assert await downloads(visitor) == before, "what the former version has stored"
            drains += await ours.replace(former_version, *REST)
            await talk.flows()
            await conversation(base)  # the present gateway, the former rest
    print(f"\nnot green {longest(seen.dots):.1f} s, agent away {longest(seen.desks):.1f} s, drains {drains}")
    assert (seen.errors, seen.wrong) == ([], [])
    assert len(seen.dots) == len(seen.desks) == 1, "the gateway was replaced once"
    assert [drain.status for drain in drains] == [0] * len(drains), drains
