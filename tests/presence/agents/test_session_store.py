"""services/presence/agents/session_store.py on the real database."""

from datetime import timedelta

from services.common.clock import utcnow
from services.common.internal_api.sessions import Client
from services.common.mongo.client import Database
from services.presence.agents.session_store import Origin
from services.presence.stores import Stores

MINUTE = timedelta(minutes=1)


async def test_a_token_is_known_by_its_hash_alone(db: Database, stores: Stores) -> None:
    session, token = await stores.sessions.begin("a", utcnow(), 12)
    doc = await db["sessions"].find_one({"_id": session.id})
    assert doc is not None
    assert token not in str(doc)
    assert len(token) >= 43  # 32 bytes
    found = await stores.sessions.find(token, utcnow())
    assert found is not None
    assert (found.id, found.agent_id) == (session.id, "a")
    assert await stores.sessions.find(token[:-1], utcnow()) is None


async def test_a_session_expires(stores: Stores) -> None:
    session, token = await stores.sessions.begin("a", utcnow(), 1)
    assert await stores.sessions.find(token, utcnow() + 59 * MINUTE)
    assert await stores.sessions.find(token, utcnow() + 61 * MINUTE) is None
    assert await stores.sessions.live(["a"], utcnow() + 61 * MINUTE) == {}
    assert await stores.sessions.over(utcnow(), 0) == []
    assert [s.id for s in await stores.sessions.over(utcnow() + 61 * MINUTE, 2)] == [session.id]


async def test_a_session_ends_and_is_kept_until_forgotten(stores: Stores) -> None:
    session, token = await stores.sessions.begin("a", utcnow(), 12)
    _, other = await stores.sessions.begin("a", utcnow(), 12)
    await stores.sessions.begin("b", utcnow(), 12)
    assert await stores.sessions.end(token, utcnow())
    assert await stores.sessions.end(token, utcnow())
    assert await stores.sessions.find(token, utcnow()) is None
    assert set(await stores.sessions.live(["a", "b", "c"], utcnow())) == {"a", "b"}
    await stores.sessions.end(other, utcnow())
    assert set(await stores.sessions.live(["a", "b", "c"], utcnow())) == {"b"}
    assert session.id in {s.id for s in await stores.sessions.over(utcnow() + MINUTE, 2)}
    await stores.sessions.forget(session.id)
    assert await stores.sessions.end(token, utcnow()) is None
    assert session.id not in {s.id for s in await stores.sessions.over(utcnow() + MINUTE, 2)}


async def test_all_sessions_of_an_agent_end(stores: Stores) -> None:
    for who in ("a", "a", "b"):
        await stores.sessions.begin(who, utcnow(), 12)
    await stores.sessions.end_all_of(["a"], utcnow())
    assert set(await stores.sessions.live(["a", "b"], utcnow())) == {"b"}


async def test_the_oldest_sessions_give_way(stores: Stores) -> None:
    now = utcnow()
    begun = [await stores.sessions.begin("a", now + n * MINUTE, 12) for n in range(7)]
    await stores.sessions.begin("b", now, 12)
    gave_way = await stores.sessions.end_oldest("a", 5, now)
    assert [s.id for s in gave_way] == [session.id for session, _ in begun[:2]]
    assert await stores.sessions.end_oldest("a", 5, now) == []
    live = await stores.sessions.live(["a", "b"], now)
    assert live["a"] == {session.id for session, _ in begun[2:]}
    assert len(live["b"]) == 1


async def test_sessions_end_with_the_password_that_began_them(stores: Stores) -> None:
    now = utcnow()
    for password in ("old", "new", None):
        await stores.sessions.begin("a", now, 12, password)
    await stores.sessions.begin("b", now, 12, "old")
    assert len(await stores.sessions.end_changed({"a": "new"}, now)) == 1
    assert not await stores.sessions.end_changed({"a": "new"}, now)
    assert {who: len(ids) for who, ids in (await stores.sessions.live(["a", "b"], now)).items()} == {"a": 2, "b": 1}


async def test_the_database_clears_old_sessions_by_itself(db: Database) -> None:
    indexes = await db["sessions"].index_information()
    assert any(i.get("expireAfterSeconds") for i in indexes.values())


async def test_live_sessions_are_listed_with_their_origin(stores: Stores, db: Database) -> None:
    now, idle = utcnow(), timedelta(hours=1)
    origin = Origin.of("192.0.2.17", Client(browser="firefox", system="windows"))
    await stores.sessions.begin("a", now - 3 * idle, 1)  # it has expired
    await stores.sessions.begin("a", now - 2 * idle, 12)  # it was not used
    ended, token = await stores.sessions.begin("a", now, 12)
    await stores.sessions.end(token, now)
    old, _ = await stores.sessions.begin("a", now - idle / 2, 12)
    new, _ = await stores.sessions.begin("a", now, 12, origin=origin)
    former, _ = await stores.sessions.begin("a", now, 12)
    other, _ = await stores.sessions.begin("b", now, 12)
    await db["sessions"].update_one({"_id": former.id}, {"$unset": {"used_at": 1, "begun_at": 1, "origin": 1}})

    found = await stores.sessions.listed(now, idle, ["a"])
    assert [one.id for one in found] == [new.id, old.id, former.id], "those that were used last are first"
    assert (found[0].origin, found[0].begun_at is not None) == (Origin("192.0.2.*", "firefox", "windows"), True)
    assert (found[2].origin, found[2].begun_at, found[2].used_at) == (Origin(), None, None)
    assert len(await stores.sessions.listed(now, None, ["a"])) == 4, "without a limit of inactivity"
    assert {one.id for one in await stores.sessions.listed(now, idle)} == {new.id, old.id, former.id, other.id}
    assert [one.id for one in await stores.sessions.listed(now, idle, session_id=other.id)] == [other.id]
    assert len(await stores.sessions.listed(now, idle, most=2)) == 2

    assert not await stores.sessions.end_of("b", new.id, now), "another one's"
    assert not await stores.sessions.end_of("a", ended.id, now), "it is over"
    assert [one.id for one in await stores.sessions.end_of("a", new.id, now)] == [new.id]
    assert not await stores.sessions.end_of("a", new.id, now)
