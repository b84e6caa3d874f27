"""Two replicas of presence and a routing service as processes: what an administrator changes reaches all of them."""

import asyncio
from pathlib import Path

from services.common.events.agents import ButtonChanged
from services.common.internal_api import configuration as api
from services.common.internal_api import presence as presence_api
from tests.common.config.test_departments import GOOD, NAMES
from tests.presence.accounts.test_changes import BEA, BEHEER, FILE
from tests.presence.conftest import eventually, listening
from tests.presence.test_service import START_PATIENCE, presence
from tests.routing.test_service import Process
from tests.support.servers import PATIENCE

SECOND = f'[[departments]]\nid = "premies"\n{NAMES}\nhours = "always"\n'


def answer_day(department: str) -> tuple[str, dict[str, object]]:
    return presence_api.ANSWER_DAY, {"department": department, "days": 1}


async def test_a_change_reaches_every_replica_and_service_without_a_restart(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file, people = tmp_path / "departments.toml", tmp_path / "accounts.toml"
    file.write_text(GOOD)
    people.write_text(FILE)
    both = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database"}
    both |= {"DEPARTMENTS_FILE": str(file), "ACCOUNTS_FILE": str(people)}
    routing = Process(tmp_path / "routing.log", RABBITMQ_URL=vhost_url, MONGODB_URL=mongodb_url, **both)

    async def routing_is_ready() -> bool:
        return await asyncio.to_thread(lambda: routing.ready)

    async def routing_answers() -> bool:
        return await asyncio.to_thread(lambda: routing.get("/readyz")[0]) == 503

    async def routing_knows() -> bool:
        return 'department="premies"' in await asyncio.to_thread(lambda: routing.get("/metrics")[1])

    try:
        await eventually(routing_answers, "an unready routing", START_PATIENCE)
        assert '"configuration":"not_yet"' in await asyncio.to_thread(lambda: routing.get("/readyz")[1])
        async with (
            listening(vhost_url) as observer,
            presence(vhost_url, mongodb_url, **both) as one,
            presence(vhost_url, mongodb_url, **both) as other,
        ):
            await eventually(routing_is_ready, "a ready routing", PATIENCE)
            assert not await routing_knows()
            wrong = {"wanted": {"base": 1, "text": GOOD + "colour = 1\n"}, "by": BEA.model_dump()}
            status, problem = await one.ask(api.CONFIGURATION_STORE, wrong)
            assert (status, problem["code"]) == (422, "invalid_configuration")
            right = {"wanted": {"base": 1, "text": GOOD + SECOND}, "by": BEA.model_dump()}
            status, made = await one.ask(api.CONFIGURATION_STORE, right)
            assert (status, made["version"]) == (200, 2)
            assert (await other.ask(api.CONFIGURATION_STORE, right | {"by": BEHEER.model_dump()}))[0] == 409

            async def has_a_button() -> bool:
                return any(event.department == "premies" for event in observer.seen(ButtonChanged))

            async def is_known_everywhere() -> bool:
                days = [(await each.ask(*answer_day("premies")))[1]["day"] for each in (one, other)]
                return None not in days

            await eventually(has_a_button, "the button of the new department")
            await eventually(is_known_everywhere, "both replicas")
            await eventually(routing_knows, "the queue of the new department")
        file.write_text(GOOD.replace("Algemeen", "Uit het bestand"))
        async with presence(vhost_url, mongodb_url, **both) as again:
            newest = (await again.ask(api.CONFIGURATION, {}))[1]
            assert (newest["version"], newest["text"]) == (2, GOOD + SECOND)
            assert list(newest["departments"]) == ["algemeen", "premies"]
    finally:
        routing.process.kill()
        routing.process.wait()
