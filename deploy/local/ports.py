"""TCP ports: which are free, which process holds one, and which ones this data directory used before."""

import json
import os
import random
import socket
from collections import deque
from collections.abc import Collection, Iterable
from pathlib import Path

LOWEST = 20_000
HIGHEST: int | None = None  # the first port that is not picked; None: the start of the range of outgoing connections
_FALLBACK_EPHEMERAL = 32_768
_picked: deque[int] = deque(maxlen=100)  # recently, by this process; the server may not listen there yet


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port now, on loopback as well as on every address."""
    for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - only probes whether the port is free
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError:
                return False
    return True


def pick(taken: Collection[int] = ()) -> int:
    """Return a free port below the range that the kernel uses for outgoing connections.

    Inside that range a client that retries could take the port of the server for which it waits. A port that this
    process picked recently is not picked again.
    """
    lowest, highest = limits()
    for _ in range(1_000):
        port = random.randrange(lowest, highest)  # noqa: S311 - a port number, no secret
        if port not in taken and port not in _picked and is_free(port):
            _picked.append(port)
            return port
    raise RuntimeError(f"no free TCP port between {lowest} and {highest}")


def limits() -> tuple[int, int]:
    """Return the lowest port that is picked, and the first one that is too high."""
    return LOWEST, HIGHEST or max(_ephemeral_start(), LOWEST + 1_000)


def remembered(file: Path, names: Iterable[str], taken: Collection[int] = ()) -> dict[str, int]:
    """Return a port for each name: the one in the file while it is free, else another. The file is updated."""
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    chosen: dict[str, int] = {}
    for name in names:
        port: object = known.get(name) if isinstance(known, dict) else None
        used = {*taken, *chosen.values()}
        chosen[name] = port if isinstance(port, int) and _usable(port, used) else pick(used)
    file.write_text(json.dumps(chosen))
    return chosen


def holder(port: int) -> str | None:
    """Return the process that listens on the port, as `name (process 123)`, or None when it cannot be determined."""
    inodes = _listening_inodes(port)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:  # it has ended, or belongs to another user
            continue
    return None


def _usable(port: int, used: Collection[int]) -> bool:
    return 1_024 <= port <= 65_535 and port not in used and is_free(port)


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _FALLBACK_EPHEMERAL
