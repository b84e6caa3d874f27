"""A database in memory: what presence's stores ask of MongoDB, and no more.

It stands in where thousands of steps are taken; the same steps are held against the real database too, so that it
cannot drift from it. Every call gives way to other tasks a few times, by the dice, before it does its work in one
piece. What stores make of `pymongo.UpdateOne`, which shows nobody what it holds, they make of `UpdateOne` here.
"""

import asyncio
import copy
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.errors import DuplicateKeyError

Document = dict[str, Any]


@dataclass(frozen=True)
class UpdateOne:
    """An update of one document, to be written with others."""

    filter: Mapping[str, Any]
    update: Mapping[str, Any]
    upsert: bool = False


class Result:
    """What an update did."""

    def __init__(self, matched: int = 0, upserted_id: object = None) -> None:
        self.modified_count, self.upserted_id = matched, upserted_id


class Cursor:
    """What was found."""

    def __init__(self, collection: "Collection", wanted: Mapping[str, Any]) -> None:
        self._collection, self._wanted = collection, wanted

    async def to_list(self, _: object) -> list[Document]:
        await self._collection.give_way()
        return [copy.deepcopy(d) for d in self._collection.documents.values() if matches(d, self._wanted)]

    async def __aiter__(self) -> AsyncIterator[Document]:
        for document in await self.to_list(None):
            yield document


class Collection:
    """Documents by `_id`."""

    def __init__(self, dice: random.Random) -> None:
        self.documents: dict[Any, Document] = {}
        self._dice = dice

    async def give_way(self) -> None:
        for _ in range(self._dice.randint(0, 3)):
            await asyncio.sleep(0)

    def find(self, wanted: Mapping[str, Any], _: object = None) -> Cursor:
        return Cursor(self, wanted)

    async def find_one(self, wanted: Mapping[str, Any], _: object = None) -> Document | None:
        found = await Cursor(self, wanted).to_list(1)
        return found[0] if found else None

    async def update_one(
        self,
        wanted: Mapping[str, Any],
        update: Mapping[str, Any],
        upsert: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
    ) -> Result:
        await self.give_way()
        for document in self.documents.values():
            if matches(document, wanted):
                apply(document, update, wanted, array_filters)
                return Result(1)
        if not upsert:
            return Result()
        if wanted["_id"] in self.documents:
            raise DuplicateKeyError("_id")
        document = {name: value for name, value in wanted.items() if not isinstance(value, dict)}
        apply(document, {"$set": update.get("$setOnInsert", {})}, wanted)
        apply(document, update, wanted)
        self.documents[document["_id"]] = document
        return Result(0, document["_id"])

    async def update_many(self, wanted: Mapping[str, Any], update: Mapping[str, Any]) -> Result:
        await self.give_way()
        concerned = [d for d in self.documents.values() if matches(d, wanted)]
        for document in concerned:
            apply(document, update, wanted)
        return Result(len(concerned))

    async def bulk_write(self, writes: Sequence[UpdateOne], ordered: bool = True) -> None:
        for write in writes:
            await self.update_one(write.filter, write.update, write.upsert)


class Memory(defaultdict[str, Collection]):
    """A database."""

    def __init__(self, seed: int = 0) -> None:
        dice = random.Random(seed)
        super().__init__(lambda: Collection(dice))


def matches(document: Any, wanted: Mapping[str, Any]) -> bool:
    return all(_fits(list(_values(document, path.split("."))), condition) for path, condition in wanted.items())


def _values(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """What a dotted path leads to, through every element of an array unless it numbers one."""
    if not path:
        yield value
    elif isinstance(value, list) and path[0].isdigit():
        if int(path[0]) < len(value):
            yield from _values(value[int(path[0])], path[1:])
    elif isinstance(value, list):
        for element in value:
            yield from _values(element, path)
    elif isinstance(value, dict) and path[0] in value:
        yield from _values(value[path[0]], path[1:])


def _fits(values: list[Any], condition: Any) -> bool:
    each = [e for v in values for e in (v if isinstance(v, list) else [v])] or [None]
    if not isinstance(condition, dict) or not any(name.startswith("$") for name in condition):
        return condition in each
    return all(_operator(name, operand, values, each) for name, operand in condition.items())


def _operator(name: str, operand: Any, values: list[Any], each: list[Any]) -> bool:
    match name:
        case "$exists":
            return bool(values) is operand
        case "$in":
            return any(v in operand for v in each)
        case "$nin":
            return not any(v in operand for v in each)
        case "$ne":
            return operand not in each
        case "$gt":
            return any(v is not None and v > operand for v in each)
        case "$lt":
            return any(v is not None and v < operand for v in each)
        case "$lte":
            return any(v is not None and v <= operand for v in each)
        case "$elemMatch":
            return any(isinstance(v, dict) and matches(v, operand) for v in each)
    raise AssertionError(f"the stand-in for the database does not model {name}: a test would pass on a wrong answer")


def apply(
    document: Document,
    update: Mapping[str, Any],
    wanted: Mapping[str, Any],
    array_filters: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    for path, value in update.get("$set", {}).items():
        _set(document, path, copy.deepcopy(value), wanted, array_filters)
    for path, number in update.get("$inc", {}).items():
        document[path] += number
    for path, value in update.get("$push", {}).items():
        several = isinstance(value, dict) and "$each" in value
        pushed = [*document.get(path, []), *copy.deepcopy(value["$each"] if several else [value])]
        document[path] = pushed[value["$slice"] :] if several and "$slice" in value else pushed
    for path, condition in update.get("$pull", {}).items():
        if path in document:
            document[path] = [e for e in document[path] if not matches(e, condition)]


def _set(
    document: Document,
    path: str,
    value: Any,
    wanted: Mapping[str, Any],
    array_filters: Sequence[Mapping[str, Any]] | None,
) -> None:
    name, _, rest = path.partition(".")
    if not rest:
        document[name] = value
        return
    which, _, field = rest.partition(".")
    if which == "$":
        conditions = [wanted[name]["$elemMatch"]]
        elements = [e for e in document[name] if matches(e, conditions[0])][:1]
    else:
        assert which.startswith("$[")
        condition = next(f for f in array_filters or () if all(k.startswith(f"{which[2:-1]}.") for k in f))
        elements = [e for e in document[name] if all(_fits([e.get(k.split(".")[1])], v) for k, v in condition.items())]
    for element in elements:
        element[field] = value
