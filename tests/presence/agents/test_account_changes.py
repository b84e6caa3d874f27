"""`account_changes.py`: what a changed accounts file does to sessions and agents; idempotent."""

from datetime import timedelta

import pytest

from services.common.events.agents import AgentChanged, SessionEnded
from services.presence.agents.account_changes import publish_changes, store_accounts
from services.presence.agents.accounts import Account
from services.presence.agents.passwords import fingerprint
from services.presence.agents.session_store import Session
from services.presence.context import Context
from tests.presence.conftest import HASH, EventObserver, account

pytestmark = pytest.mark.integration
OTHER_HASH = HASH[:-1] + "A"


async def session_of(context: Context, one: Account) -> tuple[Session, str]:
    """A new session of this account, and its token."""
    now, password = context.clock() - timedelta(seconds=1), fingerprint(one.password_hash)
    return await context.stores.sessions.begin(one.id, now, 1, password)


async def is_live(context: Context, token: str) -> bool:
    return await context.stores.sessions.find(token, context.clock()) is not None


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"name": "Anna", "capacity": 3, "departments": ("premies",)}, False),
        ({"password_hash": OTHER_HASH}, True),
        ({"supervisor": True}, True),
        ({"role": "auditor"}, True),
        (None, True),
    ],
)
async def test_a_session_ends_when_its_account_no_longer_allows_it(
    context: Context, changes: dict[str, object] | None, ends: bool
) -> None:
    stores, an, bert = context.stores, account("an"), account("bert")
    assert await store_accounts(stores, [an, bert]) == []
    (theirs, token), (_, others) = await session_of(context, an), await session_of(context, bert)
    after = [] if changes is None else [an.model_copy(update=changes)]
    ended = await store_accounts(stores, [*after, bert])
    assert [session.id for session in ended] == ([theirs.id] if ends else [])
    assert await is_live(context, token) is not ends
    assert await is_live(context, others)
    assert await store_accounts(stores, [*after, bert]) == [], "it may be repeated"


async def test_gateways_learn_of_changed_accounts_and_ended_sessions(context: Context, observer: EventObserver) -> None:
    woken: list[str] = []
    context = Context(context.stores, context.publisher, woken.extend, connected=lambda agent_id, ids, since: False)
    an, bert, cas = account("an"), account("bert", capacity=2), account("cas")
    await store_accounts(context.stores, [an, bert, cas])
    (gone, _), before = await session_of(context, an), await context.stores.agents.agent(bert.id)
    changed = bert.model_copy(update={"departments": ("algemeen", "premies"), "capacity": 1})
    await publish_changes(context, await store_accounts(context.stores, [changed, cas]))
    await observer.catch_up(context.publisher)
    assert [event.session_id for event in observer.seen(SessionEnded)] == [gone.id]
    published = {event.agent_id: event for event in observer.seen(AgentChanged)}
    assert published[bert.id].departments == ["algemeen", "premies"]
    assert before is not None
    assert published[bert.id].v > before.v
    assert cas.id not in published
    assert {"algemeen", "premies"} <= set(woken)
    after = await context.stores.agents.agent(bert.id)
    assert after is not None
    assert (after.capacity, after.free, after.state) == (1, 1, before.state)
    assert await context.stores.agents.unpublished(context.clock()) == []


async def test_a_replica_that_dies_before_it_stores_a_supervisor_is_followed_by_one_that_ends_the_session(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    an = account("an")
    await store_accounts(context.stores, [an])
    _, token = await session_of(context, an)
    promoted = [an.model_copy(update={"supervisor": True})]

    async def dies(*_: object) -> list[str]:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(context.stores.agents, "put_accounts", dies)
        with pytest.raises(TimeoutError):
            await store_accounts(context.stores, promoted)
    await store_accounts(context.stores, promoted)
    assert not await is_live(context, token)
    found = await context.stores.agents.agent(an.id)
    assert found is not None
    assert found.supervisor
