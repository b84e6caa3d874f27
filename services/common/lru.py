"""Least recently used cache of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class LruCache(Generic[V]):
    """A cache of the `size` values that were set or read last; older ones are forgotten."""

    def __init__(self, size: int) -> None:
        self._size, self._values = size, OrderedDict[str, V]()

    def get(self, key: str) -> V | None:
        """Return the value, or None. It becomes the most recently used one."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def set(self, key: str, value: V) -> None:
        """Store a value. It becomes the most recently used one."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def forget(self, key: str) -> None:
        """Remove a value, if it is there."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Remove all values."""
        self._values.clear()

    def __contains__(self, key: object) -> bool:
        """Return whether there is a value, without using it."""
        return key in self._values

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._values)
