"""The presence service as a process, over its HTTP port and the broker, as a gateway meets it."""

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.local import ports
from services.common.clock import utcnow
from services.common.events.agents import ButtonChanged, SessionEnded
from services.common.events.chats import ChatState
from services.common.events.places import PlaceClaimed, PlaceReleased, PlacesChanged, PlaceWanted
from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, ButtonColour, ButtonReason, Cause, ChatStatus, ReleaseReason
from services.common.http.tokens import Keys
from services.common.internal_api import presence as presence_api
from services.common.messaging.publisher import Publisher
from services.presence.repairs import RESERVED
from tests.presence.conftest import HASH, SECRET, EventObserver, eventually, listening
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE, ROOT, running_database

START_PATIENCE = 3 * PATIENCE  # seconds: a process that starts computes for long where many others do


@dataclass
class Presence:
    """A running service, and the client that a gateway would be.

    `make_headers` is called for each request: a token is valid for two minutes, and a slow machine takes longer.
    """

    process: asyncio.subprocess.Process
    url: str
    http: aiohttp.ClientSession
    make_headers: Callable[[], dict[str, str]]

    async def ask(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """The answer; after a 503 the request is repeated, as a gateway would."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.ask_once(path, body))[0] == 503:
                await asyncio.sleep(0.05)
        return answer

    async def ask_once(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        async with self.http.post(self.url + path, json=body, headers=self.make_headers()) as answer:
            return answer.status, await answer.json() if answer.content_length else None

    async def log_in(self, username: str = "an", password: str = "demo") -> tuple[int, Any]:
        body = {"username": username, "password": password, "address": "192.0.2.1"}
        return await self.ask(presence_api.SESSION_OPEN, body)

    async def readiness(self) -> tuple[int, dict[str, str]]:
        async with self.http.get(self.url + "/readyz") as answer:
            return answer.status, (await answer.json())["checks"]

    async def is_ready(self) -> bool:
        try:
            status, checks = await self.readiness()
            return status == 200 and set(checks.values()) == {"ok"}
        except (aiohttp.ClientConnectionError, TimeoutError):
            return False


@contextlib.asynccontextmanager
async def presence(rabbitmq_url: str, mongodb_url: str, **variables: str) -> AsyncIterator[Presence]:
    """The service while the context is open; ready when the context begins."""
    port = ports.pick()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "RABBITMQ_URL": rabbitmq_url,
        "MONGODB_URL": mongodb_url,
        "PRESENCE_PORT": str(port),
        "TOKEN_SECRET": SECRET,
        "OFFICE_HOURS": "always",
        "DEMO_ACCOUNTS": "on",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.presence", cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL
    )

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {Keys(SECRET).service_token('gateway')}"}

    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as http:
            running = Presence(process, f"http://127.0.0.1:{port}", http, headers)
            await eventually(running.is_ready, "the service to be ready", START_PATIENCE)
            yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


NEVER = "600"  # seconds of grace: nobody is gone within the test, however slow the machine is


@dataclass
class Gateway:
    """Heartbeats for these agents, each half second while the context of `heartbeats` is open."""

    publisher: Publisher
    agents: list[str]
    incarnation: str
    counter: int = 0

    async def run(self) -> None:
        while True:
            await self.publish()
            await asyncio.sleep(0.5)

    async def publish(self) -> None:
        """Its list, now."""
        self.counter += 1
        here = [AgentConnection(agent_id=a, silent_for=0) for a in self.agents]
        event = GatewayConnections(incarnation=self.incarnation, counter=self.counter, agents=here)
        await self.publisher.publish_best_effort(event)


@contextlib.asynccontextmanager
async def heartbeats(publisher: Publisher, *agents: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(publisher, list(agents), str(uuid.uuid4()))
    task = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def shown(observer: EventObserver, colour: ButtonColour, reason: ButtonReason) -> None:
    """Returns when the default department's button was last published so."""

    def last() -> ButtonChanged | None:
        published = [b for b in observer.seen(ButtonChanged) if b.department == "algemeen"]
        return max(published, key=lambda b: b.revision, default=None)

    async def so() -> bool:
        button = last()
        return button is not None and (button.colour, button.reason) == (colour, reason)

    await eventually(so, f"the button to be {colour} because {reason}")


def published(chat: str, status: ChatStatus, agent: str | None = None) -> ChatState:
    return ChatState(
        chat_id=chat,
        v=2,
        state=status,
        turn=1,
        department="algemeen",
        cause=Cause.ASSIGNED,
        agent_id=agent,
        at=utcnow(),
    )


GRACE = 5.0  # seconds: ten heartbeats, so that a machine that stands still for a moment loses no agent


async def test_a_day_of_an_agent(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    """Login, green, a chat, busy, its end, green, no heartbeat, blue, back, logout, blue."""
    async with (
        listening(vhost_url) as observer,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix, AGENT_GRACE=str(GRACE)) as service,
    ):
        await shown(observer, ButtonColour.BLUE, ButtonReason.NO_AGENTS)
        status, session = await service.log_in()
        assert (status, session["agent"]["state"], session["agent"]["online"]) == (200, "available", False)
        agent = session["agent"]["id"]
        async with heartbeats(publisher, agent) as gateway:
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            chat = str(uuid.uuid4())
            await publisher.publish(PlaceWanted(chat_id=chat, turn=1, department="algemeen"))
            assert (await observer.wait_for(PlaceClaimed))[0].agent_id == agent
            await shown(observer, ButtonColour.BLUE, ButtonReason.BUSY)
            await publisher.publish(published(chat, ChatStatus.ASSIGNED, agent))
            await publisher.publish(published(chat, ChatStatus.CLOSED))
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)

            last_named = time.monotonic()
            await gateway.publish()
            gateway.agents.clear()
            await shown(observer, ButtonColour.BLUE, ButtonReason.NO_AGENTS)
            assert time.monotonic() - last_named >= GRACE
            gateway.agents.append(agent)
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            # That the chat was assigned may be handled after its end: then nobody has a place of it any more.
            assert {r.reason for r in observer.seen(PlaceReleased)} <= {ReleaseReason.NO_SLOT}

            token = {"token": session["token"]}
            assert (await service.ask(presence_api.SESSION_LOOKUP, token))[1]["session_id"] == session["session_id"]
            assert await service.ask(presence_api.SESSION_END, token) == (204, None)
            assert (await observer.wait_for(SessionEnded))[0].session_id == session["session_id"]
            await shown(observer, ButtonColour.BLUE, ButtonReason.NO_AGENTS)  # still listed by the gateway
            status, problem = await service.ask(presence_api.SESSION_LOOKUP, token)
            assert (status, problem["code"]) == (401, "unauthenticated")
            assert (await service.ask(presence_api.SESSION_END, token))[0] == 204
        async with service.http.get(service.url + "/metrics") as answer:
            metrics = await answer.text()
        assert 'eloket_logins_total{outcome="ok"} 1.0' in metrics
        assert 'eloket_button_green{department="algemeen"} 0.0' in metrics


async def test_a_press_reserves_a_slot_before_its_chat_is_opened(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    """Held, the same again, busy meanwhile, confirmed by the chat's state, free at its end; nothing published early."""
    async with (
        listening(vhost_url) as observer,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix, AGENT_GRACE=NEVER) as service,
    ):
        chat, other = str(uuid.uuid4()), str(uuid.uuid4())
        press = {"chat_id": chat, "department": "algemeen", "locale": "fr"}
        _, answer = await service.ask(presence_api.HOLD, press)
        assert answer == {"hold": None, "may_wait": False, "reason": "no_agents"}
        agent = (await service.log_in())[1]["agent"]["id"]
        async with heartbeats(publisher, agent):
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            pressed = utcnow()
            status, first = await service.ask(presence_api.HOLD, press)
            assert (status, first["hold"]["agent_id"], first["hold"]["agent_name"]) == (200, agent, "An")
            assert first["hold"]["choice"]["rule"] == "only_one"
            assert await service.ask(presence_api.HOLD, press) == (200, first)
            await shown(observer, ButtonColour.BLUE, ButtonReason.BUSY)
            _, late = await service.ask(presence_api.HOLD, {**press, "chat_id": other})
            assert (late["hold"], late["may_wait"], late["reason"]) == (None, True, "busy")
            # A press that has not become a chat for long is published, which a slow machine may bring about.
            early = pressed + timedelta(seconds=RESERVED - 1)
            assert [c for c in observer.seen(PlaceClaimed) if c.occurred_at < early] == []
            await publisher.publish(published(chat, ChatStatus.ASSIGNED, agent))
            await publisher.publish(published(chat, ChatStatus.CLOSED))
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)
        async with service.http.post(service.url + presence_api.HOLD, json=press) as unsigned:
            assert unsigned.status == 401
        async with service.http.get(service.url + "/metrics") as metrics:
            assert 'eloket_holds_total{outcome="may_wait"} 1.0' in await metrics.text()


async def test_the_answers_to_gateways(vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(
        f'[[accounts]]\nusername = "karel"\nname = "Karel"\ndepartments = ["premies"]\ncapacity = 3\n'
        f'supervisor = true\npassword_hash = "{HASH}"\n'
    )
    variables = {"MONGODB_PREFIX": mongodb_prefix, "ACCOUNTS_FILE": str(file), "DEMO_AGENTS": "2"}
    async with presence(vhost_url, mongodb_url, **variables) as service:
        for username in ("nobody", "an"):
            status, problem = await service.log_in(username, "wrong")
            assert (status, problem["code"]) == (401, "bad_credentials")
        assert (await service.log_in("agent2"))[0] == 200
        status, session = await service.log_in("Karel")
        assert (status, session["agent"]["supervisor"], session["agent"]["capacity"]) == (200, True, 3)

        _, found = await service.ask(presence_api.AGENTS, {"department": "algemeen"})
        assert [a["name"] for a in found["agents"]] == ["Agent 1", "Agent 2", "An", "Bert", "Sofie"]
        _, found = await service.ask(presence_api.AGENTS, {"ids": [session["agent"]["id"], str(uuid.uuid4())]})
        assert [(a["name"], a["free"], a["online"]) for a in found["agents"]] == [("Karel", 3, False)]

        async def evaluated() -> bool:
            _, answer = await service.ask(presence_api.BUTTONS, {})
            return {b["department"] for b in answer["buttons"]} == {"algemeen", "premies"}

        await eventually(evaluated, "buttons")

        for path in (
            presence_api.SESSION_OPEN,
            presence_api.SESSION_LOOKUP,
            presence_api.SESSION_END,
            presence_api.AGENTS,
        ):
            bodies = {"username": "an", "password": "demo", "token": session["token"]}
            async with service.http.post(service.url + path, json=bodies) as answer:
                assert answer.status == 401
        async with service.http.post(service.url + presence_api.BUTTONS, json={}) as answer:
            assert answer.status == 401
        assert (await service.ask(presence_api.SESSION_OPEN, {"username": "an"}))[0] == 422

        body = {"username": "an", "password": "wrong", "address": "192.0.2.1"}
        for attempt in range(2, 40):
            async with service.http.post(
                service.url + presence_api.SESSION_OPEN, json=body, headers=service.make_headers()
            ) as answer:
                if answer.status == 429:
                    assert attempt > 10
                    assert 1 <= int(answer.headers["Retry-After"]) <= 300
                    break
        else:
            pytest.fail("whoever tries passwords again and again was never made to wait")


async def test_readiness_is_correct_and_sigterm_ends_it(vhost_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        mongodb_url = stack.enter_context(running_database(tmp_path))
        async with presence(vhost_url, mongodb_url) as service:
            stack.close()

            async def missed() -> bool:
                status, checks = await service.readiness()
                assert status == 200, "every other replica misses it too"
                return checks["database"] != "ok" and checks["broker"] == "ok"

            await eventually(missed, "the database to be missed")
            body = {"username": "an", "password": "demo", "address": "192.0.2.1"}
            assert (await service.ask_once(presence_api.SESSION_OPEN, body))[0] == 503
            async with service.http.get(service.url + "/healthz") as answer:
                assert answer.status == 200
            service.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await service.process.wait() == 0


async def test_sigterm_exits_0_with_work_under_way(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    """What was not finished is done by the next process."""
    variables = {"MONGODB_PREFIX": mongodb_prefix, "DEMO_AGENTS": "20", "AGENT_GRACE": NEVER}
    chats = [str(uuid.uuid4()) for _ in range(20)]
    async with (
        listening(vhost_url) as observer,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, **variables) as service,
    ):
        agents = [(await service.log_in(f"agent{n}"))[1]["agent"]["id"] for n in range(1, 21)]
        async with heartbeats(publisher, *agents):

            async def all_there() -> bool:
                published = [p for p in observer.seen(PlacesChanged) if p.department == "algemeen"]
                return max(published, key=lambda p: p.revision).free == len(agents) if published else False

            await eventually(all_there, "every agent to be there: who asks for one in vain is not heard again")
            await asyncio.gather(
                *(publisher.publish(PlaceWanted(chat_id=c, turn=1, department="algemeen")) for c in chats)
            )
            service.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await service.process.wait() == 0
            async with presence(vhost_url, mongodb_url, **variables):

                async def all_claimed() -> bool:
                    return {c.chat_id for c in observer.seen(PlaceClaimed)} == set(chats)

                await eventually(all_claimed, "every chat to have an agent")
    assert len({(c.chat_id, c.agent_id) for c in observer.seen(PlaceClaimed)}) == 20


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        ({"OFFICE_HOURS": "sometimes", "DEMO_AGENTS": "many"}, ["OFFICE_HOURS: ", "DEMO_AGENTS: "]),
        ({"HOLIDAYS": "XX"}, ["HOLIDAYS: 'XX'"]),
        ({"ACCOUNTS_FILE": "/nowhere.toml"}, ["ACCOUNTS_FILE /nowhere.toml: "]),
    ],
)
async def test_bad_settings_are_refused_on_a_line_each(variables: dict[str, str], lines: list[str]) -> None:
    environment = {"PATH": os.environ["PATH"], "TOKEN_SECRET": SECRET, **variables}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.presence"),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(START_PATIENCE):
        _, errors = await process.communicate()
    assert process.returncode == 78
    for last_published_line, line in zip(sorted(errors.decode().splitlines()), sorted(lines), strict=True):
        assert last_published_line.startswith(f"presence: {line}")
