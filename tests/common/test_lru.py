"""A bounded memory."""

from services.common.lru import LruCache


def test_the_one_used_longest_ago_is_forgotten_first() -> None:
    recent: LruCache[int] = LruCache(2)
    recent.set("a", 1)
    recent.set("b", 2)
    assert recent.get("a") == 1
    recent.set("c", 3)
    assert "b" not in recent
    assert (recent.get("a"), recent.get("c"), len(recent)) == (1, 3, 2)


def test_forgetting_one_or_all() -> None:
    recent: LruCache[int] = LruCache(9)
    recent.set("a", 1)
    recent.set("b", 2)
    recent.forget("a")
    recent.forget("never there")
    assert recent.get("a") is None
    recent.clear()
    assert len(recent) == 0
