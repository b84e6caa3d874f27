"""RabbitMQ 4 in a folder of its own. `make test RABBITMQ=4` runs the other tests on it, which tries its programs."""

import subprocess
from pathlib import Path

import pytest

from deploy.local.rabbitmq import find_sbin
from deploy.setup import bootstrap, broker_root


def test_checkouts_of_a_user_share_one() -> None:
    assert broker_root.home({"XDG_CACHE_HOME": "/var/cache/an"}) == Path("/var/cache/an/eloket-chat/rabbitmq-4")
    assert broker_root.home({}) == Path.home() / ".cache" / "eloket-chat" / "rabbitmq-4"


def test_its_programs_take_the_place_of_the_machines_own(tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    assert not broker_root.is_there(folder)
    broker_root.write_programs(folder, Path("/usr/lib/rabbitmq/lib/rabbitmq_server-4.3.6/sbin"))
    assert broker_root.is_there(folder)
    for name in broker_root.PROGRAMS:
        subprocess.run(["sh", "-n", str(folder / "sbin" / name)], check=True)
        assert f"rabbitmq_server-4.3.6/sbin/{name}" in (folder / "sbin" / name).read_text()
    assert find_sbin(tmp_path, {"RABBITMQ_SBIN": str(folder / "sbin")}) == folder / "sbin"


def test_the_archive_is_the_machines_own() -> None:
    assert (broker_root.mirror_of_the_machine() or "").startswith(("http://", "https://", "file:/", "mirror+"))


def test_a_version_that_cannot_be_had_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RABBITMQ", "5")
    with pytest.raises(SystemExit):
        bootstrap.broker("")
    assert "it can be 4" in capsys.readouterr().err
