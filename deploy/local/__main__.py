"""`make run`: the whole system on one machine, until it is asked to stop."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.local import embedded_mongodb, ports, preflight, processes, rabbitmq, service_programs
from deploy.local.console import Terminal
from deploy.local.processes import Program
from deploy.local.settings import SERVICES, Refusal, Settings, read_settings
from deploy.local.shutdown import StopRequest
from deploy.local.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[2]
NO_BROKER = (
    "RabbitMQ is not installed and RABBITMQ_URL is not set: `apt install rabbitmq-server` (Debian), "
    "or set RABBITMQ_URL to the address of a broker"
)


def main() -> int:
    """Run until SIGINT, SIGTERM or SIGHUP, or until make has ended. Return 0, or another status after a refusal."""
    arguments = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    arguments.add_argument(
        "--command", default=service_programs.DEFAULT_COMMAND, help="starts a service, {name} is its name"
    )
    options = arguments.parse_args()
    terminal = Terminal(sys.stdout, os.environ)
    outcome = asyncio.run(_run(terminal, options.command))
    terminal.close()
    if outcome is None:
        return 0
    print(f"refused: {outcome.text}", file=sys.stderr)
    return outcome.status


async def _run(terminal: Terminal, command: str) -> Refusal | None:
    request = StopRequest()
    settings = read_settings(os.environ, ROOT)
    if isinstance(settings, Refusal):
        return settings
    if refusal := preflight.token_keys_fit(settings):
        return refusal
    locked = preflight.lock(settings.data_dir)
    if isinstance(locked, Refusal):
        return locked
    with locked:
        return await _run_locked(settings, terminal, command, request)


async def _run_locked(settings: Settings, terminal: Terminal, command: str, request: StopRequest) -> Refusal | None:
    records = settings.data_dir / "processes.json"
    if left := await asyncio.to_thread(processes.end_leftovers, records):
        terminal.show("runner", f"ended what an earlier run left behind: {', '.join(left)}")
    refusal = preflight.ports_free(settings) or await preflight.servers_answer(settings)
    if refusal:
        return refusal
    programs = _programs(settings, command)
    if isinstance(programs, Refusal):
        return programs
    supervisor = Supervisor(programs, terminal.show, records)
    began = time.monotonic()
    terminal.show("runner", f"starts {', '.join(program.name for program in programs)}")
    supervisor.start()
    announcing = asyncio.create_task(_announce(supervisor, settings, terminal, began))
    stopping = asyncio.create_task(request.stop.wait())
    waited_for: set[asyncio.Future[Any]] = {announcing, stopping, supervisor.refused}
    await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    if announcing.done():
        announcing.result()
        await asyncio.wait(waited_for - {announcing}, return_when=asyncio.FIRST_COMPLETED)
    announcing.cancel()
    stopping.cancel()
    await _stop(supervisor, terminal, request)
    return supervisor.refused.result() if supervisor.refused.done() else None


def _programs(settings: Settings, command: str) -> list[Program] | Refusal:
    """Return the programs of this run: the servers that were not given from outside, and the services."""
    home, log = settings.data_dir, settings.data_dir / "log"
    names = (*rabbitmq.PORT_NAMES, embedded_mongodb.PORT_NAME, *service_programs.names_of_replicas(settings))
    chosen = ports.remembered(home / "ports.json", names, taken=set(settings.ports.values()))
    urls = {"RABBITMQ_URL": settings.rabbitmq_url or "", "MONGODB_URL": settings.mongodb_url or ""}
    table: list[Program] = []
    if not settings.rabbitmq_url:
        sbin = rabbitmq.find_sbin()
        if sbin is None:
            return Refusal(NO_BROKER)
        node = rabbitmq.prepare(home / "broker", sbin, {name: chosen[name] for name in rabbitmq.PORT_NAMES})
        table += rabbitmq.programs(node, log / "broker.log")
        urls["RABBITMQ_URL"] = node.url
    if not settings.mongodb_url:
        table.append(
            embedded_mongodb.program(home / "database", chosen[embedded_mongodb.PORT_NAME], log / "database.log")
        )
        urls["MONGODB_URL"] = embedded_mongodb.url(chosen[embedded_mongodb.PORT_NAME])
    return table + service_programs.programs(settings, ROOT, urls, command, chosen)


async def _announce(supervisor: Supervisor, settings: Settings, terminal: Terminal, began: float) -> None:
    await supervisor.until_ready()
    here = f"http://localhost:{settings.ports['gateway']}"
    terminal.show_as_is(
        f"\n  The e-loket chat is ready (after {time.monotonic() - began:.1f} s).\n\n"
        f"  sample form     {here}/\n"
        f"  agent console   {here}/agent      log in as  an / demo  or  bert / demo  (supervisor: sofie / demo)\n"
        f"  info sheet      {here}/infofiche/algemeen\n{_replicas(supervisor.programs, settings)}\n"
        f"  Ctrl-C stops it; its data stays in {settings.data_dir}\n"
    )


def _replicas(programs: Sequence[Program], settings: Settings) -> str:
    """Return the addresses of single replicas, a line for each service that has several; empty when none has."""
    own = {program.name: program.port for program in programs}
    lines = [
        f"  {service:<15} {', '.join(f'{name} on {own[name]}' for name in settings.names(service))}"
        for service in SERVICES
        if settings.replicas[service] > 1
    ]
    return "\n".join(["\n  Each replica's /readyz and /metrics, on 127.0.0.1:", *lines, ""]) if lines else ""


async def _stop(supervisor: Supervisor, terminal: Terminal, request: StopRequest) -> None:
    began = time.monotonic()
    terminal.show("runner", "stops the services, then what they stand on")
    stopping = asyncio.create_task(supervisor.stop())
    hurrying = asyncio.create_task(request.hurry.wait())
    await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        supervisor.kill()
    await stopping
    terminal.show("runner", f"stopped after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
