"""The store of the accounts on the real database: one revision once, and its entry with it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.common.clock import utcnow
from services.common.internal_api.accounts import AccountEntry
from services.common.internal_api.configuration import Author
from services.common.mongo.client import Database
from services.presence.accounts import store as store_module
from services.presence.accounts.secret_seal import SecretSeal
from services.presence.accounts.store import AccountStore
from services.presence.agents import totp
from tests.presence.conftest import account

NOW = datetime(2026, 12, 24, 10, tzinfo=UTC)
AN = account("an")
SEAL = SecretSeal([bytes(32)])


def entry(revision: int, by: str = "Bea") -> AccountEntry:
    author = Author(id=by, name=by, role="administrator")
    return AccountEntry(
        revision=revision, at=NOW, by=author, act="changed", before={"capacity": 1}, after={"capacity": 2}
    )


async def test_of_many_who_write_the_same_revision_one_succeeds(db: Database) -> None:
    store = AccountStore(db, SEAL)
    for revision in (1, 2, 3):
        outcomes = await asyncio.gather(*(store.put("an", AN, entry(revision, f"author {n}")) for n in range(8)))
        assert sum(outcomes) == 1
        found = await store.get("an")
        assert found is not None
        (newest, *_) = await store.history("an")
        assert (found.revision, found.by) == (revision, newest.by), "the account and its entry are of the same author"
    assert not await store.put("an", AN, entry(3))
    assert not await store.put("an", AN, entry(5))
    assert [one.revision for one in await store.history("an")] == [3, 2, 1]


async def test_the_oldest_changes_go(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT", 3)
    store = AccountStore(db, SEAL)
    for revision in range(1, 6):
        assert await store.put("an", AN, entry(revision))
    assert await store.history("an") == [entry(revision) for revision in (5, 4, 3)]


async def test_what_is_written_is_sealed_at_once(db: Database) -> None:
    store, secret = AccountStore(db, SEAL), totp.new_secret()
    with_secret = AN.model_copy(update={"totp_secret": secret})
    await store.begin([(with_secret, {})], NOW)
    for account_or_none, revision in ((with_secret, 2), (None, 3), (with_secret, 4)):
        assert secret not in str(await db["accounts"].find_one({"_id": "an"}))
        assert await store.put("an", account_or_none, entry(revision))
    assert secret not in str(await db["accounts"].find_one({"_id": "an"}))
    found = await store.get("an")
    assert found is not None
    assert found.account == with_secret


async def test_a_removed_account_is_nowhere_but_in_its_history(db: Database) -> None:
    store = AccountStore(db, SEAL)
    assert await store.put("an", AN, entry(1))
    accounts, revisions = await store.all()
    assert ([one.account for one in accounts], revisions) == ([AN], {"an": 1})
    assert await store.put("an", None, entry(2))
    assert (await store.revisions(), await store.all(), await store.listed("", "")) == ({}, ([], {}), ([], False))
    found = await store.get("an")
    assert found is not None
    assert (found.account, found.revision, len(await store.history("an"))) == (None, 2, 2)
    assert await store.history("bert") == []


async def test_removed_accounts_are_found_by_the_name_that_they_had(db: Database) -> None:
    store = AccountStore(db, SEAL)
    for username in ("an", "bert", "cas"):
        await store.put(username, AN.model_copy(update={"username": username}), entry(1))
    for username in ("bert", "cas"):
        removal = entry(2).model_copy(update={"act": "removed", "before": {"name": f"{username.title()} Peeters"}})
        await store.put(username, None, removal)
    await store.put("cas", AN.model_copy(update={"username": "cas"}), entry(3))

    async def found(search: str, after: str = "") -> list[tuple[str, object]]:
        rows, more = await store.listed_removed(search, after)
        assert not more
        return [(one.username, removal.before["name"]) for one, removal in rows]

    assert await found("") == await found("PEETERS") == await found("ber") == [("bert", "Bert Peeters")]
    assert await found("an") == await found("", "bert") == await found("(") == []
    await db["accounts"].update_one({"_id": "bert"}, {"$set": {"history.1.act": "of a later release"}})
    assert await found("") == [], "an entry that is not known is left out"


async def test_what_each_replica_reads_each_2_s_is_in_an_index(db: Database) -> None:
    indexes = [[name for name, _ in one["key"]] for one in (await db["accounts"].index_information()).values()]
    assert ["removed", "_id", "revision"] in indexes


async def test_a_write_that_arrives_too_late_is_refused_by_the_database(db: Database) -> None:
    store = AccountStore(db, SEAL)
    early, late = utcnow() + timedelta(hours=1), utcnow() - timedelta(seconds=1)
    assert await store.put("an", AN, entry(1), late), "a new account takes nobody's role"
    for account_or_none in (AN, None):
        assert not await store.put("an", account_or_none, entry(2), late)
    assert ((await store.revisions())["an"], len(await store.history("an"))) == (1, 1)
    assert await store.put("an", AN, entry(2), early)
    assert await store.put("an", None, entry(3), early)
    assert await store.put("an", AN, entry(4), early), "a removed one is there again"
    found = await store.get("an")
    assert found is not None
    assert found.account == AN


async def test_pages_are_full_although_some_cannot_be_read(db: Database) -> None:
    store = AccountStore(db, SEAL)
    for n in range(8):
        assert await store.put(f"agent{n}", account(f"agent{n}"), entry(1))
    await db["accounts"].update_many({"_id": {"$in": ["agent0", "agent1", "agent3"]}}, {"$set": {"account": {"v": 2}}})
    first, more = await store.page("", 3)
    assert ([one.username for one in first], more) == (["agent2", "agent4", "agent5"], True)
    rest, more = await store.page("agent5", 3)
    assert ([one.username for one in rest], more) == (["agent6", "agent7"], False)
