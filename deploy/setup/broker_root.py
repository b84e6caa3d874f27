"""RabbitMQ 4 for tests on a machine whose own Debian has an older one.

Debian's newest `rabbitmq-server` is installed in a directory of its own (debootstrap), and its programs run inside it
(chroot). The machine's own packages do not change. Each program has its own mount namespace, in which it finds the
files of its node at the same place as outside, and it shares the network of the machine.

Uses only the standard library, and no syntax newer than Python 3.8.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.setup import apt

SUITE = "sid"
PROGRAMS = ("rabbitmq-server", "rabbitmqctl", "rabbitmq-queues")
ARCHIVE = "Debian"  # the origin that Debian's main archive names in its Release file

WRAPPER = """\
#!/bin/sh
# Runs {program} inside {root}, where it sees the files of its node.
exec unshare --mount -- /bin/sh -c '
set -e
root=$1 program=$2
shift 2
for folder in dev proc "$(echo "${{RABBITMQ_CONFIG_FILE:-/tmp/}}" | cut -d/ -f2)"; do
    mkdir -p "$root/$folder"
    mount --rbind "/$folder" "$root/$folder"
done
exec chroot "$root" "$program" "$@"
' sh {root} {program} "$@"
"""


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory that checkouts of this user share: `sbin/` has the programs, `root/` the packages."""
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "eloket-chat" / "rabbitmq-4"


def is_there(folder: Path) -> bool:
    """Return whether RabbitMQ is installed in this folder."""
    return (folder / "sbin" / PROGRAMS[0]).is_file()


def prepare(folder: Path) -> str | None:
    """Install RabbitMQ in this folder. Return None, or why that failed."""
    if os.geteuid() != 0:
        return "a directory with another Debian can only be made by root"
    if shutil.which("debootstrap") is None:
        problem = apt.install("debootstrap")
        if problem:
            return f"debootstrap is missing and {problem}"
    mirror = mirror_of_the_machine()
    if mirror is None:
        return "the machine's apt sources name no archive of Debian"
    root = folder / "root"
    shutil.rmtree(str(folder), ignore_errors=True)
    root.mkdir(parents=True)
    command = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", SUITE, str(root), mirror]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    releases = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    if done.returncode != 0 or not releases:
        return f"debootstrap failed: {(done.stdout.strip().splitlines() or ['it said nothing'])[-1]}"
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    write_programs(folder, Path("/") / releases[-1].relative_to(root))
    return None


def write_programs(folder: Path, sbin: Path) -> None:
    """Write the programs in `sbin/`. `sbin`: where they are inside the root."""
    (folder / "sbin").mkdir(exist_ok=True)
    for name in reversed(PROGRAMS):  # the first one last: it says that all is there
        file = folder / "sbin" / name
        text = WRAPPER.format(root=shlex.quote(str(folder / "root")), program=shlex.quote(str(sbin / name)))
        file.write_text(text)
        file.chmod(0o755)


def mirror_of_the_machine() -> str | None:
    """Return the address from which this machine gets Debian's main archive."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = [line.split() for line in done.stdout.splitlines()]
    return next((line[1] for line in found if len(line) == 2 and line[0] == ARCHIVE), None)
