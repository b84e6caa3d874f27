"""The commands that install Debian packages, run against a stand-in for apt-get that writes down what it sees."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from deploy.setup import apt as debian

APT = """#!/bin/sh
echo "$*" >> "$APT_LOG"
if [ -e "$POLICY_FILE" ]; then echo "policy $(sh "$POLICY_FILE"; echo $?)" >> "$APT_LOG"; fi
if [ -n "$APT_FAILS" ] && [ "$1" = install ]; then echo "E: Unable to locate package"; exit 100; fi
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a stand-in for apt-get, which runs as if we were root."""
    command = tmp_path / "bin" / "apt-get"
    command.parent.mkdir()
    command.write_text(APT)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("APT_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("POLICY_FILE", str(tmp_path / "policy-rc.d"))
    monkeypatch.setattr(debian, "root_command", list)
    return tmp_path / "log"


def test_the_lists_are_fetched_first_and_no_service_may_start(apt: Path, tmp_path: Path) -> None:
    assert debian.install("rabbitmq-server") is None
    update, policy, install, again = apt.read_text().splitlines()
    assert update == "update -q"
    assert install == "install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 rabbitmq-server"
    assert policy == again == "policy 101"
    assert not (tmp_path / "policy-rc.d").exists()


def test_the_machines_own_policy_stays(apt: Path, tmp_path: Path) -> None:
    (tmp_path / "policy-rc.d").write_text("exit 7\n")
    assert debian.install("nodejs") is None
    assert "policy 7" in apt.read_text()
    assert (tmp_path / "policy-rc.d").read_text() == "exit 7\n"


def test_a_failure_has_the_reason_of_apt_get_and_leaves_nothing(
    apt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APT_FAILS", "1")
    assert debian.install("rabbitmq-server") == "apt-get could not install it (E: Unable to locate package)"
    assert not (tmp_path / "policy-rc.d").exists()


def test_signals_are_as_before_afterwards(apt: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    debian.install("rabbitmq-server")
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_right_and_no_debian(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "root_command", lambda: None)
    assert "there is no right to install it" in str(debian.install("rabbitmq-server"))
    monkeypatch.setenv("PATH", "")
    assert debian.install("rabbitmq-server") == "this is no Debian"


def test_root_or_sudo_without_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert debian.root_command() == []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.root_command() is None
    for status, expected in ((0, [str(tmp_path / "sudo"), "-n"]), (1, None)):
        (tmp_path / "sudo").write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / "sudo").chmod(0o755)
        assert debian.root_command() == expected


@pytest.mark.parametrize(
    ("version", "expected"), [("v20.20.2", True), ("v18.0.0", True), ("v16.1.0", False), ("", False)]
)
def test_node_must_be_able_to_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, expected: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not debian.has_node()
    (tmp_path / "node").write_text(f"#!/bin/sh\necho {version}\n")
    (tmp_path / "node").chmod(0o755)
    assert debian.has_node() is expected


def test_a_broker_of_whatever_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "BROKER_RELEASES", tmp_path)
    assert not debian.has_broker()
    (tmp_path / "rabbitmq_server-4.2.0" / "sbin").mkdir(parents=True)
    (tmp_path / "rabbitmq_server-4.2.0" / "sbin" / "rabbitmq-server").touch()
    assert debian.has_broker()


def test_the_script_is_valid_shell() -> None:
    assert subprocess.run(["sh", "-n", "-c", debian.INSTALL]).returncode == 0
