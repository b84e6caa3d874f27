"""The entry point of the Makefile: virtual environment, interpreter, packages and targets."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.settings import Refusal
from deploy.setup import apt, bootstrap
from tests.support.servers import ROOT


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project without a virtual environment; pip is kept from every index."""
    (tmp_path / "requirements").mkdir()
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "WEB", tmp_path / "web")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "requirements.json")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def require(tree: Path, text: str) -> None:
    (tree / "requirements" / "run.txt").write_text(text)


def test_it_needs_the_standard_library_alone() -> None:
    modules = list((ROOT / "deploy" / "setup").glob("*.py"))
    assert len(modules) == 5
    for module in modules:
        compiled = ast.parse(module.read_text(), feature_version=(3, 8))
        imported = {
            name.split(".")[0]
            for node in ast.walk(compiled)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert imported <= {*sys.stdlib_module_names, "deploy"}


def test_a_virtual_environment_is_made_once_and_a_broken_one_again(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tree / ".venv" / "bin").mkdir(parents=True)
    (tree / ".venv" / "bin" / "python").symlink_to("/no/such/python")
    require(tree, "# nothing\n")
    bootstrap.environment("run")
    assert "makes a virtual environment" in capfd.readouterr().out
    assert set(json.loads((tree / ".venv" / "requirements.json").read_text())) == {"run"}
    bootstrap.environment("run")
    assert capfd.readouterr().out == ""
    require(tree, "# changed\n")
    bootstrap.environment("run")
    assert capfd.readouterr().out == "setup         installs Python packages: run\n"


def test_no_network_is_one_clear_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "VENV", Path(sys.prefix))
    monkeypatch.setattr(bootstrap, "STAMP", tree / "requirements.json")
    require(tree, "a-package-that-is-nowhere==1.0\n")
    with pytest.raises(SystemExit) as end:
        bootstrap.environment("run")
    assert end.value.code == 1
    shown = capfd.readouterr().err.splitlines()
    assert len(shown) == 1
    assert shown[0].startswith("refused: the Python packages could not be installed; the first run needs the network")
    assert not (tree / "requirements.json").exists()


def test_no_venv_module_is_one_clear_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "suitable_python", lambda: shutil.which("false"))
    with pytest.raises(SystemExit):
        bootstrap.environment("run")
    assert "apt install python3-venv" in capfd.readouterr().err
    assert not (tree / ".venv").exists()


def test_debians_own_python_unless_another_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "python3"
    own.symlink_to(sys.executable)
    monkeypatch.setattr(bootstrap, "DEBIANS_OWN", str(own))
    monkeypatch.delenv("PYTHON", raising=False)
    assert bootstrap.suitable_python() == str(own)
    monkeypatch.setenv("PYTHON", sys.executable)
    assert bootstrap.suitable_python() == sys.executable


@pytest.mark.parametrize("why", ["too old", "no ensurepip", "not there"])
def test_debians_own_python_that_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    own = tmp_path / "python3"
    if why != "not there":
        modules = tmp_path / "modules"
        modules.mkdir()
        wrong = "raise ImportError" if why == "no ensurepip" else "import sys; sys.version_info = (3, 9, 2)"
        (modules / "ensurepip.py").write_text(wrong)
        own.write_text(f'#!/bin/sh\nPYTHONPATH={modules} exec {sys.executable} "$@"\n')
        own.chmod(0o755)
    monkeypatch.setattr(bootstrap, "DEBIANS_OWN", str(own))
    monkeypatch.delenv("PYTHON", raising=False)
    assert bootstrap.suitable_python() == sys.executable


def test_an_old_python_looks_for_a_newer_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    assert bootstrap.suitable_python() == sys.executable
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "python3.12" else None)
    assert bootstrap.suitable_python() == "/usr/bin/python3.12"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit):
        bootstrap.suitable_python()
    assert capfd.readouterr().err.startswith("refused: Python 3.9.2 is too old: install Python 3.11 or later")


def test_a_package_that_may_not_be_installed_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bootstrap.package("rabbitmq-server", True, "")
    monkeypatch.setattr(apt, "install", lambda name: "there is no right to install it")
    with pytest.raises(SystemExit):
        bootstrap.package("rabbitmq-server", False, "or set RABBITMQ_URL")
    assert "rabbitmq-server is missing and there is no right" in capfd.readouterr().err


@pytest.fixture
def npm(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that writes its arguments to a file, and makes node_modules or fails."""
    bin_folder = tree / "bin"
    bin_folder.mkdir()
    (tree / "web").mkdir()
    (tree / "web" / "package-lock.json").write_text("{}")
    program = bin_folder / "npm"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tree}/calls\n'
        f"[ ! -e {tree}/fails ] || {{ echo 'npm error code ENOTFOUND'; exit 1; }}\n"
        f"rm -rf {tree}/web/node_modules && mkdir {tree}/web/node_modules\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    monkeypatch.setattr(apt, "has_node", lambda: True)
    return tree / "calls"


def test_the_linters_of_the_browser_code_are_installed_once_for_each_lock_file(tree: Path, npm: Path) -> None:
    lock = tree / "web" / "package-lock.json"
    for _ in range(2):
        assert bootstrap.web_linters() == str(tree / "bin" / "npm")
    assert npm.read_text() == f"ci --prefix {tree}/web --ignore-scripts --no-audit --no-fund\n"
    lock.write_text('{"other": true}')
    bootstrap.web_linters()
    assert len(npm.read_text().splitlines()) == 2


def test_linters_that_cannot_be_installed_are_one_clear_line_and_are_tried_again(
    tree: Path, npm: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tree / "fails").touch()
    with pytest.raises(SystemExit):
        bootstrap.web_linters()
    assert "npm said: npm error code ENOTFOUND" in capfd.readouterr().err
    (tree / "fails").unlink()
    bootstrap.web_linters()
    assert len(npm.read_text().splitlines()) == 2


@pytest.mark.parametrize("has_node", [True, False])
def test_npm_is_installed_with_node_but_not_beside_a_node_that_is_there(
    tree: Path, npm: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], has_node: bool
) -> None:
    wanted: list[str] = []
    monkeypatch.setenv("PATH", str(tree))
    monkeypatch.setattr(apt, "has_node", lambda: has_node)
    monkeypatch.setattr(apt, "install", lambda name: wanted.append(name))
    with pytest.raises(SystemExit):
        bootstrap.web_linters()
    assert wanted == ([] if has_node else ["nodejs", "npm"])
    assert "`apt install npm`" in capfd.readouterr().err


def test_the_tests_get_every_browser_or_a_refusal_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted: list[str] = []
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(apt, "install", lambda name: wanted.append(name))
    bootstrap.browsers()
    assert wanted == ["chromium-headless-shell", "firefox-esr", "webkit2gtk-driver", "xvfb"]
    for name in wanted:
        monkeypatch.setattr(apt, "install", lambda one, name=name: "this is no Debian" if one == name else None)
        with pytest.raises(SystemExit):
            bootstrap.browsers()
        assert capfd.readouterr().err.startswith(f"refused: {name} is missing and this is no Debian: install it (")


def test_an_unknown_target_is_refused() -> None:
    script = [sys.executable, str(ROOT / "deploy" / "setup" / "bootstrap.py"), "dance"]
    done = subprocess.run(script, capture_output=True, text=True, cwd="/", env={"PATH": os.defpath})
    assert done.returncode == 1
    assert done.stderr.startswith("refused: there is no target 'dance'")


def test_clean_keeps_its_hands_off_a_running_system(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from deploy.local import preflight

    lock = preflight.lock(tree / ".run")
    with pytest.raises(SystemExit):
        bootstrap.clean()
    assert "stop it first" in capfd.readouterr().err
    assert not isinstance(lock, Refusal)
    lock.close()
    bootstrap.clean()
    assert not (tree / ".run").exists()


@pytest.mark.parametrize("name", bootstrap.LONG_RUNS)
def test_a_long_run_sees_to_what_tests_need_and_takes_its_arguments(
    tree: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert becomes(tree, monkeypatch, name, f"{name.upper()}_ARGS") == [
        ("run", "embedded", "dev"),
        "rabbitmq-server",
        "faketime",
        [str(tree / ".venv" / "bin" / "python"), "-m", f"tests.system.{name}", "--minutes", "5", "--home", "a b"],
    ]


def test_dead_letters_need_only_what_services_need(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert becomes(tree, monkeypatch, "dead-letters", "ARGS") == [
        ("run",),
        [str(tree / ".venv" / "bin" / "python"), "-m", "deploy.dead_letters", "--minutes", "5", "--home", "a b"],
    ]


@pytest.mark.parametrize("target", ["configuration-import", "accounts-export"])
def test_a_file_is_one_argument_and_others_follow(tree: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("FILE", "the town's accounts.toml")
    module, _, word = bootstrap.PROGRAMS[target]
    command = [str(tree / ".venv" / "bin" / "python"), "-m", module, word, "the town's accounts.toml"]
    assert becomes(tree, monkeypatch, target, "ARGS") == [("run",), [*command, "--minutes", "5", "--home", "a b"]]


@pytest.mark.parametrize("target", ["backup", "restore"])
def test_a_backup_needs_the_embedded_server_where_no_other_is_given(
    tree: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    command = [str(tree / ".venv" / "bin" / "python"), "-m", "deploy.backup", target]
    arguments = ["--minutes", "5", "--home", "a b"]
    monkeypatch.delenv("MONGODB_URL", raising=False)
    assert becomes(tree, monkeypatch, target, "ARGS") == [("run", "embedded"), command + arguments]
    monkeypatch.setenv("MONGODB_URL", "mongodb://elsewhere/")
    assert becomes(tree, monkeypatch, target, "ARGS") == [("run",), command + arguments]


def becomes(tree: Path, monkeypatch: pytest.MonkeyPatch, target: str, variable: str) -> list[object]:
    """What a target sees to, in order, and the command that it turns into."""
    calls: list[object] = []
    monkeypatch.setattr(bootstrap, "environment", lambda *names: calls.append(names))
    monkeypatch.setattr(bootstrap, "package", lambda name, *_: calls.append(name))
    monkeypatch.setattr(os, "execv", lambda program, arguments: calls.append(arguments))
    monkeypatch.setenv(variable, "--minutes 5 --home 'a b'")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    bootstrap.main(target)
    return calls


def test_suites_beside_each_other_are_all_run_and_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The first one ends after the second one; both statuses count, and nothing that was printed is lost."""
    second = tmp_path / "second"
    slow = f"import os, time\nwhile not os.path.exists({str(second)!r}): time.sleep(0.01)\nprint('the first')"
    fails = "import sys; print('the second'); print('its error', file=sys.stderr); open(sys.argv[1], 'w'); sys.exit(3)"
    commands = [(sys.executable, "-c", slow), (sys.executable, "-c", fails, str(second))]
    assert bootstrap.beside_each_other(commands) == [0, 3]
    shown = capfd.readouterr().out
    assert shown.index("the first") < shown.index("the second")
    assert "its error" in shown
