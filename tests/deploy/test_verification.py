"""`make verify`: what it says of a transcript, with which status, and with which keys."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.service_programs import service_environment
from deploy.local.settings import SERVICES, Settings
from deploy.verification import PUBLIC_KEYS, __main__
from services.common.evidence import chain
from services.transcripts.evidence.signer import Signer
from tests.common.evidence.made import OTHER, content, public, transcript
from tests.support.servers import ROOT

TEXTS = ["Dag", "Ja?", "Dank u"]
NOT_SIGNED = "INCOMPLETE: the end is not signed: the chat was going on, or the reader may not see its end"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [chain.jwk(public())]}))
    return file


def verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, *arguments: str
) -> tuple[int, list[str]]:
    monkeypatch.setattr(sys, "argv", ["verify", str(file), *arguments])
    status = __main__.main()
    said = capsys.readouterr()
    return status, (said.out + said.err).splitlines()


def test_every_verdict_has_its_status_and_names_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, keys: Path
) -> None:
    altered, cut = transcript(TEXTS), transcript(TEXTS)
    altered["messages"][2]["text"] = "Neen"
    del cut["messages"][1:3]
    legacy = {**transcript(TEXTS), "chain": None}
    file = tmp_path / "chat.json"
    for data, status, line in (
        (transcript(TEXTS), 0, "intact: chat chat-1, 5 entries, signed 2026-11-22T15:00:59.123Z"),
        (
            transcript(TEXTS, removed=(2,)),
            0,
            "removed: the content of 1 entries was removed later; their places are intact",
        ),
        (altered, 1, "ALTERED: entry 3 was altered"),
        (cut, 3, "INCOMPLETE: entries 2 to 3 are missing"),
        (transcript(TEXTS, signed=False), 3, NOT_SIGNED),
        (transcript(TEXTS, key=OTHER), 3, "UNKNOWN KEY: it is signed with a key that is not among the published ones"),
        (legacy, 3, "NO CHAIN: no chain: made before version 2, or taken out of the file"),
        ({"a": 1}, 1, "UNREADABLE: this is no transcript of this system"),
    ):
        file.write_bytes(content(data))
        ended, said = verify(monkeypatch, capsys, file, f"--keys={keys}")
        assert (ended, line in said) == (status, True), said
    file.write_bytes(content(transcript(TEXTS)))
    _, said = verify(monkeypatch, capsys, file, f"--keys={keys}", "--show")
    assert "Dank u" in "".join(said)


def test_a_file_or_keys_that_cannot_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, keys: Path
) -> None:
    missing = tmp_path / "missing.json"
    assert verify(monkeypatch, capsys, missing) == (2, [f"refused: {missing}: No such file or directory"])
    keys.write_text("[]")
    status, said = verify(monkeypatch, capsys, keys, f"--keys={keys}")
    assert (status, "is not a JSON Web Key Set" in said[0]) == (2, True)


def test_make_run_keeps_a_key_and_its_public_one_for_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ports = {name: 8000 + number for number, name in enumerate(SERVICES)}
    settings = Settings(tmp_path, ports, None, None, {}, {})
    first, second = (service_environment(settings, {})["TRANSCRIPT_KEY"] for _ in range(2))
    assert first == second
    assert (tmp_path / "transcript_key").stat().st_mode & 0o777 == 0o600
    signer = Signer(bytes.fromhex(first))
    assert chain.keys_of(json.loads((tmp_path / PUBLIC_KEYS).read_text())) == {signer.kid: signer.public_key}
    file = tmp_path / "chat.json"
    file.write_bytes(content(transcript(TEXTS)))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert verify(monkeypatch, capsys, file)[0] == 3  # signed with another key
    assert (
        service_environment(Settings(tmp_path, ports, None, None, {"TRANSCRIPT_KEY": "ab" * 32}, {}), {})[
            "TRANSCRIPT_KEY"
        ]
        == "ab" * 32
    )


def test_make_runs_the_command_without_an_environment_of_its_own(tmp_path: Path, keys: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_bytes(content(transcript(TEXTS)))
    command = ["make", "--no-print-directory", "verify", f"PYTHON={sys.executable} -I -S"]
    environ = {"PATH": os.environ["PATH"], "FILE": str(file), "KEYS": str(keys)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("intact: chat chat-1")
    without = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert "say which transcript" in without.stderr
