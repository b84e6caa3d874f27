"""Debian packages: which are installed, and the installation of missing ones.

Uses only the standard library, and no syntax newer than Python 3.8.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

OLDEST_NODE = 18
BROKER_RELEASES = Path("/usr/lib/rabbitmq/lib")

# Run by root. A package's service must not start, now or at the next boot: Debian's policy-rc.d prevents it. The file
# exists only while this script runs. An existing one belongs to the machine and stays.
INSTALL = r"""
set -e
policy="${POLICY_FILE:-/usr/sbin/policy-rc.d}"
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
for service in rabbitmq-server prometheus clamav-daemon clamav-freshclam; do
    case " $* " in
    *" $service "*)
        if [ -d /run/systemd/system ]; then systemctl disable --quiet "$service.service" || true; fi ;;
    esac
done
"""


def has_broker() -> bool:
    """Return whether a RabbitMQ release of any version is installed."""
    return any(BROKER_RELEASES.glob("rabbitmq_server-*/sbin/rabbitmq-server"))


def has_faketime() -> bool:
    """Return whether libfaketime, which shows a process another time, is installed."""
    return any(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def has_clamd() -> bool:
    """Return whether ClamAV's scanner is installed. Its signatures are not needed: tests have their own."""
    return Path("/usr/sbin/clamd").exists()


def has_webkit() -> bool:
    """Return whether WebKitGTK is installed with its driver."""
    return shutil.which("WebKitWebDriver") is not None and minibrowser() is not None


def minibrowser() -> Path | None:
    """Return the browser that comes with WebKitGTK, or None where that is not installed."""
    return next(Path("/usr/lib").glob("*/webkit*gtk-*/MiniBrowser"), None)


def has_node() -> bool:
    """Return whether a node is installed that can run the tests."""
    node = shutil.which("node")
    if node is None:
        return False
    version = subprocess.run([node, "--version"], stdout=subprocess.PIPE, text=True).stdout
    match = re.match(r"v(\d+)", version)
    return match is not None and int(match.group(1)) >= OLDEST_NODE


def install(*packages: str) -> str | None:
    """Install packages with apt-get as root or with sudo without a password. Return None, or why that failed."""
    if shutil.which("apt-get") is None:
        return "this is no Debian"
    command = root_command()
    if command is None:
        return "there is no right to install it (not root, and sudo asks for a password)"
    # A signal in the middle would interrupt dpkg; signals wait until it has finished.
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        done = subprocess.run(
            [*command, "sh", "-c", INSTALL, "sh", *packages],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if done.returncode == 0:
        return None
    errors = [line.strip() for line in done.stdout.splitlines() if line.startswith("E:")] or ["no reason given"]
    return f"apt-get could not install it ({errors[-1]})"


def root_command() -> list[str] | None:
    """Return the prefix of a command that needs root; None when there is no right to it."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None or subprocess.call([sudo, "-n", "true"], stderr=subprocess.DEVNULL) != 0:
        return None
    return [sudo, "-n"]


def is_locked(file: Path) -> bool:
    """Return whether a running system holds this lock file."""
    if not file.exists():
        return False
    with file.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
