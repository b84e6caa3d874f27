"""A private clamd of Debian's package, with the limits of the deployed one and a handful of own signatures."""

import contextlib
import hashlib
import io
import os
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local import processes
from deploy.local.processes import Program
from tests.support.servers import PATIENCE, ROOT, wait_for

DEPLOYED = ROOT / "deploy" / "components" / "clamav" / "clamd.conf"
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
"""The test file of EICAR, which every scanner finds and which does nothing."""
MARK = b"what-a-later-signature-finds"
SIGNATURES = {"Eicar-Test-Signature": EICAR}
LATER = {**SIGNATURES, "Later-Test-Signature": MARK}
OWN = ("TCPSocket", "LocalSocket", "PidFile", "User", "LogFile", "LogTime")
"""Options that name places and users of the deployed one."""


def deployed_options() -> dict[str, str]:
    """The options of the deployed configuration."""
    lines = (line.partition(" ") for line in DEPLOYED.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


@dataclass
class Clamd:
    """A running clamd. `home` has its socket, its configuration, and the folder of its signatures."""

    home: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Its address, as `CLAMD_URL` has it."""
        return f"unix:{self.home / 'socket'}"

    def ask(self, command: bytes) -> bytes:
        """Its answer to a command without arguments."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.home / "socket"))
            connection.sendall(b"z" + command + b"\0")
            return connection.recv(1_000).rstrip(b"\0")

    def update(self, version: int, signatures: dict[str, bytes]) -> None:
        """Give it signatures of this version, and wait until it uses them."""
        write_signatures(self.home, version, signatures)
        assert self.ask(b"RELOAD") == b"RELOADING"
        wait_for(lambda: f"/{version}/".encode() in self.ask(b"VERSION"), f"signatures of version {version}")


def write_signatures(home: Path, version: int, signatures: dict[str, bytes]) -> None:
    """Write a database of daily signatures, unsigned (`.cud`: a header of 512 bytes, then a tar archive)."""
    now = int(time.time())
    body = "".join(f"{name}:0:*:{found.hex()}\n" for name, found in signatures.items()).encode()
    day = time.strftime("%d %b %Y %H-%M +0000", time.gmtime(now))
    head = f"ClamAV-VDB:{day}:{version}:{len(signatures)}:90:X:X:tests:{now}"
    info = f"{head}\ndaily.ndb:{len(body)}:{hashlib.sha256(body).hexdigest()}\n".encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in (("daily.info", info), ("daily.ndb", body)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    folder = home / "signatures"
    folder.mkdir(exist_ok=True)
    (folder / "new").write_bytes(head.encode().ljust(512) + packed.getvalue())
    (folder / "new").rename(folder / "daily.cud")


@contextlib.contextmanager
def running_clamd(home: Path, **options: str) -> Iterator[Clamd]:
    """A clamd while the context is open, with the deployed options but for these. It has no network, and 20 MB."""
    home.mkdir(parents=True, exist_ok=True)
    write_signatures(home, 1, SIGNATURES)
    (home / "unpacked").mkdir(exist_ok=True)
    own = {
        "DatabaseDirectory": str(home / "signatures"),
        "TemporaryDirectory": str(home / "unpacked"),
        "LocalSocket": str(home / "socket"),
        "Foreground": "yes",
        "SelfCheck": "0",
        **({"User": "root"} if os.geteuid() == 0 else {}),
    }
    kept = {name: value for name, value in deployed_options().items() if name not in OWN}
    wanted = {**kept, **own, **options}
    (home / "clamd.conf").write_text("".join(f"{name} {value}\n" for name, value in wanted.items()))

    async def ready() -> str | None:
        return None if (home / "socket").exists() else "no socket yet"

    (home / "socket").unlink(missing_ok=True)
    argv = ("/usr/sbin/clamd", "-c", str(home / "clamd.conf"))
    program = Program("clamd", argv, dict(os.environ), home, ready, 0, 5.0, home / "clamd.log")
    process = processes.start(program)
    clamd = Clamd(home, process)

    def answers() -> bool:
        try:
            return clamd.ask(b"PING") == b"PONG"
        except OSError:
            return False

    try:
        wait_for(answers, f"clamd, see {home / 'clamd.log'}")
        yield clamd
    finally:
        processes.signal_group(process.pid, signal.SIGCONT)
        processes.signal_group(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
