"""A stand-in for a service, to try the runner alone: `python dummy_service.py NAME`. Not for tests of the system.

Ready when the broker's and the database's ports answer. DUMMY_DRAIN: seconds that it needs to stop. DUMMY_HANG=NAME:
that one ignores SIGTERM. OFFICE_HOURS=nonsense: presence refuses its settings.
"""

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

NAME = sys.argv[1]


def log(event: str, **pairs: object) -> None:
    line = {"event": event, "level": "info", "timestamp": datetime.now(UTC).isoformat(), "service": NAME, **pairs}
    print(json.dumps(line), flush=True)


async def answers(url: str) -> bool:
    address = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
    except OSError:
        return False
    writer.close()
    return True


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    ready = await answers(os.environ["RABBITMQ_URL"]) and await answers(os.environ["MONGODB_URL"])
    head = b"HTTP/1.1 200 OK" if ready else b"HTTP/1.1 503 Unavailable"
    checks = {"checks": {"servers": "ok" if ready else "not_yet"}}
    writer.write(head + b"\r\n\r\n" + json.dumps(checks).encode())
    writer.close()


async def main() -> None:
    stop = asyncio.Event()
    hangs = os.environ.get("DUMMY_HANG") == NAME
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, (lambda: None) if hangs else stop.set)
    shared = os.environ["PORT_SHARED"] == "on"
    await asyncio.start_server(answer, "127.0.0.1", int(os.environ[f"{NAME.upper()}_PORT"]), reuse_port=shared)
    if shared:
        await asyncio.start_server(answer, "127.0.0.1", int(os.environ["OWN_PORT"]))
    log("dummy_started", hours=os.environ["OFFICE_HOURS"], demo=os.environ["DEMO_ACCOUNTS"])
    await stop.wait()
    log("dummy_draining")
    await asyncio.sleep(float(os.environ.get("DUMMY_DRAIN", "0")))
    log("dummy_drained")


if NAME == "presence" and os.environ["OFFICE_HOURS"] == "nonsense":
    log("settings_invalid", problem="OFFICE_HOURS: not understood")
    sys.exit(78)
asyncio.run(main())
