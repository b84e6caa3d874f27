"""`services/routing/chats/admission.py` against the real database: open chats of an address, and blocks."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from structlog.testing import capture_logs

from services.common.events.chats import CloseRequested
from services.common.events.types import Block, CloseReason
from services.common.internal_api.routing import AdmitQuery, Admitted
from services.routing.chats import rules
from tests.routing.scene import MOST_OPEN, Scene

OFFICE, HOME = "office", "home"


async def ask(
    scene: Scene,
    address: str | None = OFFICE,
    browser: str | None = None,
    chat_id: str = "",
) -> Admitted:
    wish = AdmitQuery(chat_id=chat_id or str(uuid4()), address=address, browser=browser)
    return await scene.context.admission.admit(wish)


async def reserve(scene: Scene, chat_id: str) -> Admitted:
    """A form is opened, or its slot renewed."""
    return await scene.context.admission.admit(AdmitQuery(chat_id=chat_id, address=OFFICE, reserves=60))


async def press(scene: Scene, address: str = OFFICE, browser: str | None = None, greeted: bool = True) -> str | None:
    """A press as gateways make it: admitted, then opened; the chat's id."""
    chat_id = str(uuid4())
    if await ask(scene, address, browser, chat_id) != Admitted():
        return None
    return await scene.press(greeted=greeted, chat_id=chat_id)


async def end(scene: Scene, chat_id: str) -> None:
    await scene.store.change(chat_id, lambda c: rules.closed(c, CloseReason.CITIZEN, scene.now()))


async def test_an_address_has_so_many_chats_open_and_another_one_its_own(pair: tuple[Scene, Scene]) -> None:
    one, other = pair
    opened = [await press(scene) for scene in (one, other, one, other, one)]
    assert all(opened)
    for scene in pair:
        assert (await ask(scene)).full_for, "in whichever replica"
        assert await ask(scene, chat_id=opened[0] or "") == Admitted(), "a repeat is not counted"
    assert await press(one, HOME)
    assert await ask(one, address=None) == Admitted(), "without an address nothing is counted"
    await end(one, opened[1] or "")
    assert await press(other)
    assert (await ask(one)).full_for


async def test_presses_at_once_are_not_more_than_are_allowed(pair: tuple[Scene, Scene]) -> None:
    answers = await asyncio.gather(*(ask(scene) for _ in range(8) for scene in pair))
    assert answers.count(Admitted()) == MOST_OPEN


async def test_a_start_that_never_says_hello_counts_longer_than_it_lives(scene: Scene) -> None:
    opened = [await press(scene, greeted=n > 0) for n in range(MOST_OPEN)]
    for chat_id in opened:
        await end(scene, chat_id or "")
    scene.later(seconds=60)
    assert [bool(await press(scene)) for _ in range(MOST_OPEN)] == [True] * (MOST_OPEN - 1) + [False]
    scene.later(seconds=70)
    assert await press(scene)


async def test_a_press_that_opened_nothing_counts_for_seconds(scene: Scene) -> None:
    for _ in range(MOST_OPEN):
        assert await ask(scene) == Admitted()
    assert (await ask(scene)).full_for
    scene.later(seconds=16)
    assert await ask(scene) == Admitted()


async def closed(scene: Scene, chat_id: str, block: Block, agent: str = "an") -> None:
    await scene.handle(
        CloseRequested(chat_id=chat_id, by=CloseReason.AGENT, agent_id=agent, block=block, occurred_at=scene.now())
    )


async def test_an_agent_ends_a_chat_and_blocks_its_browser_and_address(pair: tuple[Scene, Scene]) -> None:
    one, other = pair
    chat_id = await press(one, browser="b1") or ""
    await one.assign(chat_id)
    with capture_logs() as logs:
        await closed(one, chat_id, Block(minutes=60, reason="scheldt"))
    assert (await one.chat(chat_id)).closed
    (queue,) = [queue for queue in logs if queue["event"] == "citizen_blocked"]
    assert (queue["agent_id"], queue["minutes"], queue["reason"]) == ("an", 60, "scheldt")
    assert OFFICE not in str(logs)
    for scene in pair:
        for wish in ({"browser": "b1", "address": HOME}, {"browser": "b2"}, {}):
            seconds = (await ask(scene, **wish)).blocked_for or 0
            assert 3_500 < seconds <= 3_600, wish
        assert await ask(scene, address=HOME, browser="b2") == Admitted()
    other.later(minutes=61)
    assert await ask(other, browser="b1") == Admitted(), "it ends by itself"


async def test_a_block_of_the_browser_alone_spares_the_others_of_its_network(scene: Scene) -> None:
    chat_id = await press(scene, browser="b1") or ""
    await scene.assign(chat_id)
    await closed(scene, chat_id, Block(minutes=1, reason="x", address=False))
    assert (await ask(scene, browser="b1")).blocked_for
    assert await ask(scene, browser="b2") == Admitted()


async def test_only_the_agent_of_the_chat_blocks_also_after_its_end(scene: Scene) -> None:
    chat_id = await press(scene) or ""
    await scene.assign(chat_id)
    await closed(scene, chat_id, Block(minutes=60, reason="x"), agent="bert")
    assert not (await scene.chat(chat_id)).closed
    assert await ask(scene) == Admitted()
    await end(scene, chat_id)
    await closed(scene, chat_id, Block(minutes=60, reason="x"), agent="bert")
    assert await ask(scene) == Admitted()
    hour = Block(minutes=60, reason="x")
    event = CloseRequested(chat_id=chat_id, by=CloseReason.AGENT, agent_id="an", block=hour, occurred_at=scene.now())
    for _ in range(2):  # handled twice it is no longer
        await scene.handle(event)
    until = (await scene.database["blocks"].find_one({"_id": f"address:{OFFICE}"}) or {})["until"]
    assert abs(until - event.occurred_at - timedelta(minutes=60)) < timedelta(seconds=1)
    longer = event.model_copy(update={"block": Block(minutes=1, reason="y"), "event_id": str(uuid4())})
    await scene.handle(longer)
    assert ((await ask(scene)).blocked_for or 0) > 3_000, "a shorter one shortens nothing"


async def test_where_chats_came_from_is_forgotten(scene: Scene) -> None:
    chat_id = await press(scene, browser="b1")
    source = await scene.database["starts"].find_one({"_id": chat_id}) or {}
    assert source.keys() == {"_id", "address", "browser", "expire_at"}
    assert source["expire_at"] - scene.now() <= timedelta(days=1)
    for name in ("starts", "addresses", "blocks"):
        assert "expire" in await scene.database[name].index_information()


async def test_an_open_form_counts_as_a_chat_for_as_long_as_it_reserves_a_slot(scene: Scene) -> None:
    forms = [str(uuid4()) for _ in range(MOST_OPEN)]
    for form in forms:
        assert await reserve(scene, form) == Admitted()
    scene.later(seconds=50)
    assert (await ask(scene)).full_for
    assert await reserve(scene, forms[0]) == Admitted(), "it is renewed"
    scene.later(seconds=20)
    assert [bool((await ask(scene)).full_for) for _ in range(MOST_OPEN)] == [False] * (MOST_OPEN - 1) + [True]


async def test_where_an_erased_chat_came_from_is_deleted(scene: Scene) -> None:
    chat_id, other = await press(scene, browser="firefox") or "", await press(scene, browser="firefox") or ""
    assert await scene.context.admission.erase(chat_id) == 2
    assert await scene.context.admission.erase(chat_id) == 0
    assert [d["_id"] async for d in scene.context.admission._starts.find({})] == [other]
    (address,) = [d async for d in scene.context.admission._addresses.find({})]
    assert [chat["id"] for chat in address["chats"]] == [other]
