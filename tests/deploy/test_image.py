"""`deploy/Dockerfile`: what each image would hold is enough to run, and holds nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.service_programs import http_ready
from tests.deploy import closure
from tests.deploy.closure import FOLDER, SERVICES
from tests.deploy.image import as_user, copied, entry, environment, instructions, lay_out, removed
from tests.support.accounts import Account, write_accounts
from tests.support.clients import agent, citizen, http_client, pair, say, until
from tests.support.servers import PATIENCE, ROOT, START_SECONDS, Broker, patient, unique

USER = 10001


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_is_pinned_to_is_what_it_needs(service: str) -> None:
    assert (FOLDER / f"{service}.txt").read_text() == closure.text(service), "run python -m tests.deploy.closure"


def test_every_pin_of_an_image_has_hashes_and_pip_demands_them() -> None:
    known = closure.hashes()
    assert list(known) == closure.pinned(FOLDER / "run.txt")
    assert all(re.fullmatch("[0-9a-f]{64}", one) for found in known.values() for one in found)
    assert all(known.values())
    assert len(closure.MACHINES) * len(closure.PYTHONS) == len(known[next(p for p in known if "uvloop" in p)])
    assert [rest for word, rest in instructions("gateway") if word == "RUN" and " --require-hashes " in rest]


def test_pip_installs_what_the_hashes_say_and_nothing_else(tmp_path: Path) -> None:
    """With a small wheel of this test, which needs no package index: another hash is refused, the right one taken."""
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("tiny.py", "")
        made.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        made.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr("tiny-1.0.dist-info/RECORD", "")
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for sha256, status in ((right, 0), (right[::-1], 1)):
        (tmp_path / "wanted.txt").write_text(f"{wheel} --hash=sha256:{sha256}\n")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--require-hashes"]
        done = subprocess.run([*command, "-r", tmp_path / "wanted.txt"], capture_output=True, text=True)
        assert done.returncode == status, done.stderr
    assert "DO NOT MATCH THE HASHES" in done.stderr


@pytest.mark.parametrize(
    ("service", "folder", "one"),
    [
        ("gateway", "gateway/http", "pages/info_sheet/translations/nl.json"),
        ("transcripts", "transcripts/rendering", "translations/nl.json"),
    ],
)
def test_an_image_holds_what_its_modules_read(service: str, folder: str, one: str) -> None:
    places = {str(place) for _, place in copied(service)}
    data = {path.relative_to(ROOT / "services") for path in (ROOT / "services" / folder).rglob("*")}
    wanted = {f"/app/services/{path}" for path in data if path.suffix in (".json", ".html", ".typ", ".ttf", ".otf")}
    assert f"/app/services/{folder}/{one}" in wanted
    assert wanted <= places


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_one_service_and_what_all_share(service: str) -> None:
    places = [str(place) for _, place in copied(service)]
    assert f"/app/services/{service}/app.py" in places
    assert "/app/services/common/runtime/service.py" in places
    assert not [p for p in places if "/services/docgen/" in p]
    assert not [p for p in places for other in SERVICES if other != service and f"/services/{other}/" in p]
    assert not [p for p in places if "/tests/" in p or "pycache" in p or p.endswith("docgen/openapi.py")]


def test_no_image_has_the_demonstration_page_or_accounts() -> None:
    """They are removed by the layer that copies them, before the bytecode is made; without that they would be there."""
    for service in SERVICES:
        words = [rest for word, rest in instructions(service) if word == "RUN"]
        (at,) = [n for n, rest in enumerate(words) if "$DEMO" in rest]
        (compiles,) = [n for n, rest in enumerate(words) if "compileall" in rest]
        assert at < compiles
        assert ("ARG", "DEMO=off") in instructions(service), "unless it is asked for"
        assert not [place for _, place in copied(service) if "demo" in place.name or "demo" in place.parts]
    assert {place for place in removed("gateway") if (ROOT / place.relative_to("/app")).exists()} == set(
        removed("gateway")
    ), "what it names is there, so that a new name is noticed"


def test_it_runs_as_an_unprivileged_user_and_ends_by_sigterm() -> None:
    words = dict(instructions("gateway"))
    assert words["USER"] == f"{USER}:{USER}"
    assert words["STOPSIGNAL"] == "SIGTERM"
    assert all("latest" not in rest for word, rest in instructions("gateway") if word in ("ARG", "FROM"))


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Path]]:
    """The interpreter of each service, laid out where another user may read."""
    with tempfile.TemporaryDirectory(prefix="images-") as name:
        home = Path(name)
        home.chmod(0o755)
        yield {service: lay_out(service, home / service) for service in SERVICES}
        subprocess.run(["chmod", "-R", "u+w", home], check=True)


@contextlib.contextmanager
def running(
    images: dict[str, Path], listening: dict[str, int], **settings: str
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The four services at these ports, each on its own files and packages alone, with nothing of this environment."""
    addresses = {f"{service.upper()}_PORT": str(port) for service, port in listening.items()}
    addresses |= {f"{service.upper()}_URL": f"http://127.0.0.1:{port}" for service, port in listening.items()}
    processes = {}
    try:
        for service, python in images.items():
            given = environment(service) | addresses | settings | {"LISTEN_ADDRESS": "127.0.0.1"}
            given |= {"PATH": f"{python.parent}:/usr/bin:/bin"}
            command = [*as_user(USER), *entry(service)]
            processes[service] = subprocess.Popen(command, cwd=python.parents[2] / "app", env=given)
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


async def without_demonstration(base: str) -> None:
    """There is no page at `/`, and nothing of it; the console and the widget are there."""
    async with http_client() as session:
        statuses = {}
        for path in ("/", "/static/demo/demo.js", "/static/demo/texts/nl.js", "/agent", "/widget.js"):
            async with session.get(base + path) as answer:
                statuses[path] = answer.status
    assert list(statuses.values()) == [404, 404, 404, 200, 200], statuses


def test_presence_refuses_accounts_that_its_image_has_not(images: dict[str, Path]) -> None:
    python = images["presence"]
    given = environment("presence") | {"TOKEN_SECRET": os.urandom(16).hex(), "DEMO_ACCOUNTS": "on"}
    done = subprocess.run(
        [python, "-m", "services.presence"],
        cwd=python.parents[2] / "app",
        env={**given, "PATH": f"{python.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode != 0
    assert "this image has no demonstration accounts" in done.stdout + done.stderr


async def ready(processes: dict[str, subprocess.Popen[bytes]], ports_: dict[str, int]) -> None:
    async with asyncio.timeout(2 * START_SECONDS):  # nothing of what they import is compiled yet
        for service, process in processes.items():
            while await http_ready(ports_[service]) is not None:
                assert process.poll() is None, f"{service} ended with {process.returncode}"
                await asyncio.sleep(0.05)


async def test_the_four_images_talk_and_end_well(images: dict[str, Path], broker: Broker, mongodb_url: str) -> None:
    name = unique("image-")
    variables = {
        "RABBITMQ_URL": patient(broker.make_vhost(name)),
        "MONGODB_URL": mongodb_url,
        "MONGODB_PREFIX": f"{name}-",
    }
    variables |= {"TOKEN_SECRET": os.urandom(16).hex(), "OFFICE_HOURS": "always"}
    home = images["presence"].parents[3]  # where another user may read
    variables["ACCOUNTS_FILE"] = str(write_accounts(home / "accounts.toml", [Account("an")]))
    listening = {service: ports.pick() for service in SERVICES}
    with running(images, listening, **variables) as processes:
        await ready(processes, listening)
        base = f"http://127.0.0.1:{listening['gateway']}"
        await without_demonstration(base)
        async with citizen(base) as visitor, agent(base) as an:
            await until(lambda button: button["colour"] == "green", base)
            theirs, ours = await pair(visitor, an)
            await say(theirs, "Dag")
            await ours.expect("message", text="Dag")
            for format in ("txt", "pdf"):
                assert (await visitor.transcript(format)).status == 200
        if os.geteuid() == 0:
            assert {Path(f"/proc/{process.pid}").stat().st_uid for process in processes.values()} == {USER}
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(PATIENCE) for process in processes.values()] == [0, 0, 0, 0]
    broker.remove_vhost(name)
