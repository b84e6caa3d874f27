"""services/presence/agents/session_store.py on the real database."""

from datetime import timedelta

from services.common.clock import utcnow
from services.common.mongo.client import Database
from services.presence.agents import session_store

MINUTE = timedelta(minutes=1)


async def test_a_token_is_known_by_its_hash_alone(db: Database) -> None:
    session, token = await session_store.begin(db, "a", utcnow(), 12)
    doc = await db["sessions"].find_one({"_id": session.id})
    assert doc is not None
    assert token not in str(doc)
    assert len(token) >= 43  # 32 bytes
    found = await session_store.find(db, token, utcnow())
    assert found is not None
    assert (found.id, found.agent_id) == (session.id, "a")
    assert await session_store.find(db, token[:-1], utcnow()) is None


async def test_a_session_expires(db: Database) -> None:
    session, token = await session_store.begin(db, "a", utcnow(), 1)
    assert await session_store.find(db, token, utcnow() + 59 * MINUTE)
    assert await session_store.find(db, token, utcnow() + 61 * MINUTE) is None
    assert await session_store.live(db, ["a"], utcnow() + 61 * MINUTE) == {}
    assert await session_store.over(db, utcnow(), 0) == []
    assert [s.id for s in await session_store.over(db, utcnow() + 61 * MINUTE, 2)] == [session.id]


async def test_a_session_ends_and_is_kept_until_forgotten(db: Database) -> None:
    session, token = await session_store.begin(db, "a", utcnow(), 12)
    _, other = await session_store.begin(db, "a", utcnow(), 12)
    await session_store.begin(db, "b", utcnow(), 12)
    assert await session_store.end(db, token, utcnow())
    assert await session_store.end(db, token, utcnow())
    assert await session_store.find(db, token, utcnow()) is None
    assert set(await session_store.live(db, ["a", "b", "c"], utcnow())) == {"a", "b"}
    await session_store.end(db, other, utcnow())
    assert set(await session_store.live(db, ["a", "b", "c"], utcnow())) == {"b"}
    assert session.id in {s.id for s in await session_store.over(db, utcnow() + MINUTE, 2)}
    await session_store.forget(db, session.id)
    assert await session_store.end(db, token, utcnow()) is None
    assert session.id not in {s.id for s in await session_store.over(db, utcnow() + MINUTE, 2)}


async def test_all_sessions_of_someone_end(db: Database) -> None:
    for who in ("a", "a", "b"):
        await session_store.begin(db, who, utcnow(), 12)
    await session_store.end_all_of(db, ["a"], utcnow())
    assert set(await session_store.live(db, ["a", "b"], utcnow())) == {"b"}


async def test_the_oldest_sessions_give_way(db: Database) -> None:
    now = utcnow()
    begun = [await session_store.begin(db, "a", now + n * MINUTE, 12) for n in range(7)]
    await session_store.begin(db, "b", now, 12)
    gave_way = await session_store.end_oldest(db, "a", 5, now)
    assert [s.id for s in gave_way] == [session.id for session, _ in begun[:2]]
    assert await session_store.end_oldest(db, "a", 5, now) == []
    live = await session_store.live(db, ["a", "b"], now)
    assert live["a"] == {session.id for session, _ in begun[2:]}
    assert len(live["b"]) == 1


async def test_sessions_end_with_the_password_that_began_them(db: Database) -> None:
    now = utcnow()
    for password in ("old", "new", None):
        await session_store.begin(db, "a", now, 12, password)
    await session_store.begin(db, "b", now, 12, "old")
    assert await session_store.end_changed(db, {"a": "new"}, now) == 1
    assert await session_store.end_changed(db, {"a": "new"}, now) == 0
    assert {who: len(ids) for who, ids in (await session_store.live(db, ["a", "b"], now)).items()} == {"a": 2, "b": 1}


async def test_the_database_clears_old_sessions_by_itself(db: Database) -> None:
    indexes = await db["sessions"].index_information()
    assert any(i.get("expireAfterSeconds") for i in indexes.values())
