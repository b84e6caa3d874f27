"""The presence service as a process, over its HTTP port and the broker, as a gateway meets it."""

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.local import ports
from services.common.events.agents import ButtonChanged, SessionEnded
from services.common.events.chats import ChatState
from services.common.events.places import PlaceClaimed, PlaceReleased, PlaceWanted
from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, ButtonColour, ButtonReason, Cause, ChatStatus, ReleaseReason
from services.common.http.tokens import Keys
from services.common.internal_api import presence as presence_api
from services.common.messaging.connection import Publisher
from tests.presence.conftest import HASH, SECRET, Ear, eventually, listening, publishing
from tests.real import PATIENCE, ROOT, running_database


@dataclass
class Presence:
    """A running service, and the client that a gateway would be."""

    process: asyncio.subprocess.Process
    url: str
    http: aiohttp.ClientSession
    headers: dict[str, str]
    output: list[str] = field(default_factory=list)

    async def ask(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        async with self.http.post(self.url + path, json=body, headers=self.headers) as answer:
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
        except aiohttp.ClientConnectionError:
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
    headers = {"Authorization": f"Bearer {Keys(SECRET).service_token('gateway')}"}
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http:
            running = Presence(process, f"http://127.0.0.1:{port}", http, headers)
            await eventually(running.is_ready, "the service to be ready")
            yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass
class Gateway:
    """Heartbeats for these agents, each half second while the context of `heartbeats` is open."""

    publisher: Publisher
    agents: list[str]

    async def run(self) -> None:
        incarnation, counter = str(uuid.uuid4()), 0
        while True:
            counter += 1
            here = [AgentConnection(agent_id=a, silent_for=0.1) for a in self.agents]
            await self.publisher.publish_best_effort(
                GatewayConnections(incarnation=incarnation, counter=counter, agents=here)
            )
            await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def heartbeats(publisher: Publisher, *agents: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(publisher, list(agents))
    task = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def shown(ear: Ear, colour: ButtonColour, reason: ButtonReason, seconds: float = PATIENCE) -> ButtonChanged:
    """Returns when the default department's button was last told so."""

    def last() -> ButtonChanged | None:
        told = [b for b in ear.heard(ButtonChanged) if b.department == "algemeen"]
        return max(told, key=lambda b: b.revision, default=None)

    async def so() -> bool:
        button = last()
        return button is not None and (button.colour, button.reason) == (colour, reason)

    await eventually(so, f"the button to be {colour} because {reason}", seconds)
    button = last()
    assert button is not None
    return button


def told(chat: str, status: ChatStatus, agent: str | None = None) -> ChatState:
    now = ButtonChanged(department="x", colour=ButtonColour.BLUE, reason=ButtonReason.BUSY, revision=1).occurred_at
    return ChatState(
        chat_id=chat, v=2, state=status, turn=1, department="algemeen", cause=Cause.ASSIGNED, agent_id=agent, at=now
    )


async def test_a_day_of_an_agent(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    """Login, green, a chat, busy, its end, green, silence, blue, back, logout, blue."""
    async with (
        listening(vhost_url) as ear,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix, AGENT_GRACE="2") as service,
    ):
        await shown(ear, ButtonColour.BLUE, ButtonReason.NO_AGENTS)
        status, session = await service.log_in()
        assert (status, session["agent"]["state"], session["agent"]["online"]) == (200, "available", False)
        agent = session["agent"]["id"]
        async with heartbeats(publisher, agent) as gateway:
            await shown(ear, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            chat = str(uuid.uuid4())
            await publisher.publish(PlaceWanted(chat_id=chat, turn=1, department="algemeen"))
            assert (await ear.hear(PlaceClaimed))[0].agent_id == agent
            await shown(ear, ButtonColour.BLUE, ButtonReason.BUSY)
            await publisher.publish(told(chat, ChatStatus.ASSIGNED, agent))
            await publisher.publish(told(chat, ChatStatus.CLOSED))
            await shown(ear, ButtonColour.GREEN, ButtonReason.AVAILABLE)

            gateway.agents.clear()
            silent = time.monotonic()
            await shown(ear, ButtonColour.BLUE, ButtonReason.NO_AGENTS)
            assert time.monotonic() - silent > 1
            gateway.agents.append(agent)
            await shown(ear, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            assert ear.heard(PlaceReleased) == []

            token = {"token": session["token"]}
            assert (await service.ask(presence_api.SESSION_LOOKUP, token))[1]["session_id"] == session["session_id"]
            assert await service.ask(presence_api.SESSION_END, token) == (204, None)
            assert (await ear.hear(SessionEnded))[0].session_id == session["session_id"]
            await shown(ear, ButtonColour.BLUE, ButtonReason.NO_AGENTS, 3)  # still listed by the gateway
            status, problem = await service.ask(presence_api.SESSION_LOOKUP, token)
            assert (status, problem["code"]) == (401, "unauthenticated")
            assert (await service.ask(presence_api.SESSION_END, token))[0] == 204
        async with service.http.get(service.url + "/metrics") as answer:
            metrics = await answer.text()
        assert 'eloket_logins_total{outcome="ok"} 1.0' in metrics
        assert 'eloket_button_green{department="algemeen"} 0.0' in metrics


async def test_a_press_holds_a_place_before_its_chat_is_opened(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    """Held, the same again, busy meanwhile, confirmed by the chat's state, free at its end; nothing told early."""
    async with (
        listening(vhost_url) as ear,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix) as service,
    ):
        chat, other = str(uuid.uuid4()), str(uuid.uuid4())
        press = {"chat_id": chat, "department": "algemeen", "locale": "fr"}
        _, answer = await service.ask(presence_api.HOLD, press)
        assert answer == {"hold": None, "may_wait": False, "reason": "no_agents"}
        agent = (await service.log_in())[1]["agent"]["id"]
        async with heartbeats(publisher, agent):
            await shown(ear, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            status, first = await service.ask(presence_api.HOLD, press)
            assert (status, first["hold"]["agent_id"], first["hold"]["agent_name"]) == (200, agent, "An")
            assert first["hold"]["choice"]["rule"] == "only_one"
            assert await service.ask(presence_api.HOLD, press) == (200, first)
            await shown(ear, ButtonColour.BLUE, ButtonReason.BUSY)
            _, late = await service.ask(presence_api.HOLD, {**press, "chat_id": other})
            assert (late["hold"], late["may_wait"], late["reason"]) == (None, True, "busy")
            assert ear.heard(PlaceClaimed) == []
            await publisher.publish(told(chat, ChatStatus.ASSIGNED, agent))
            await publisher.publish(told(chat, ChatStatus.CLOSED))
            await shown(ear, ButtonColour.GREEN, ButtonReason.AVAILABLE)
        async with service.http.post(service.url + presence_api.HOLD, json=press) as unsigned:
            assert unsigned.status == 401
        async with service.http.get(service.url + "/metrics") as metrics:
            assert 'eloket_holds_total{outcome="may_wait"} 1.0' in await metrics.text()


async def test_a_gateway_that_dies_takes_its_agents_away(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    async with (
        listening(vhost_url) as ear,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix, AGENT_GRACE="3") as service,
    ):
        _, session = await service.log_in()
        agent = session["agent"]["id"]
        async with heartbeats(publisher, agent):
            await shown(ear, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            await publisher.publish(PlaceWanted(chat_id="c", turn=1, department="algemeen"))
            await ear.hear(PlaceClaimed)
        released = (await ear.hear(PlaceReleased))[0]
        assert (released.chat_id, released.reason) == ("c", ReleaseReason.AGENT_GONE)
        await shown(ear, ButtonColour.BLUE, ButtonReason.NO_AGENTS)


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

        for _ in range(9):
            assert (await service.log_in("an", "wrong"))[0] == 401
        body = {"username": "an", "password": "demo", "address": "192.0.2.1"}
        async with service.http.post(
            service.url + presence_api.SESSION_OPEN, json=body, headers=service.headers
        ) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 300


async def test_readiness_tells_the_truth_and_sigterm_ends_it(vhost_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        mongodb_url = stack.enter_context(running_database(tmp_path))
        async with presence(vhost_url, mongodb_url) as service:
            stack.close()

            async def missed() -> bool:
                status, checks = await service.readiness()
                assert status == 200, "every other replica misses it too"
                return checks["database"] != "ok" and checks["broker"] == "ok"

            await eventually(missed, "the database to be missed")
            assert (await service.log_in())[0] == 503
            async with service.http.get(service.url + "/healthz") as answer:
                assert answer.status == 200
            service.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await service.process.wait() == 0


async def test_sigterm_exits_0_with_work_under_way(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    """What was not finished is done by the next process."""
    variables = {"MONGODB_PREFIX": mongodb_prefix, "DEMO_AGENTS": "20"}
    chats = [str(uuid.uuid4()) for _ in range(20)]
    async with (
        listening(vhost_url) as ear,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, **variables) as service,
    ):
        agents = [(await service.log_in(f"agent{n}"))[1]["agent"]["id"] for n in range(1, 21)]
        async with heartbeats(publisher, *agents):
            await shown(ear, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            await asyncio.gather(
                *(publisher.publish(PlaceWanted(chat_id=c, turn=1, department="algemeen")) for c in chats)
            )
            service.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await service.process.wait() == 0
            async with presence(vhost_url, mongodb_url, **variables):

                async def all_claimed() -> bool:
                    return {c.chat_id for c in ear.heard(PlaceClaimed)} == set(chats)

                await eventually(all_claimed, "every chat to have an agent")
    assert len({(c.chat_id, c.agent_id) for c in ear.heard(PlaceClaimed)}) == 20


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"OFFICE_HOURS": "sometimes"}, "OFFICE_HOURS: "),
        ({"HOLIDAYS": "XX"}, "HOLIDAYS: 'XX'"),
        ({"ACCOUNTS_FILE": "/nowhere.toml"}, "ACCOUNTS_FILE /nowhere.toml: "),
        ({"DEMO_AGENTS": "many"}, "DEMO_AGENTS: "),
    ],
)
async def test_bad_settings_are_refused_in_one_line(variables: dict[str, str], line: str) -> None:
    environment = {"PATH": os.environ["PATH"], "TOKEN_SECRET": SECRET, **variables}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.presence"),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        _, errors = await process.communicate()
    assert process.returncode == 78
    (told_line,) = errors.decode().splitlines()
    assert told_line.startswith(f"presence: {line}")
