"""Entry point of the Makefile: prepares Python, the virtual environment and Debian packages, then runs the command.

It runs on the machine's `python3`, so it uses only the standard library, and no syntax newer than Python 3.8.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from deploy.setup import apt, broker_root, kubectl  # noqa: E402  (the script's own folder is no package path)

OLDEST = (3, 11)
DEBIANS_OWN = "/usr/bin/python3"
VENV = ROOT / ".venv"
STAMP = VENV / "requirements.json"
CHECKOV = VENV / "checkov"
WEB = ROOT / "services" / "gateway" / "web"
CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis")
# The stages run one after the other. The suites of a stage run in parallel: (files at a time, arguments of pytest).
# Two cores are busy in each stage, and little more than busy: where seven tests wait for them, limits of the services
# run out that a person would not see. Browsers alone fill two cores. Tests of one service, and those that kill whole
# systems, wait a third of their time: for processes that start and stop, and for limits.
# Files run in the order in which they are collected, so that those that share a system follow each other.
BROWSER = "tests/e2e/browser"
WHOLE_SYSTEMS = ("tests/e2e", "tests/system/chaos", "tests/system/rollout", "tests/system/bench", "tests/system/scale")
WITHOUT_SYSTEMS = tuple("--ignore=" + folder for folder in WHOLE_SYSTEMS)
UNIT = ("3", ("-m", "not integration", *WITHOUT_SYSTEMS, "--ignore=tests/deploy"))
BROWSERS = ("2", (BROWSER,))
SYSTEMS = ("2", (*WHOLE_SYSTEMS, "--ignore=" + BROWSER))
SERVICES = ("3", ("-m", "integration", *WITHOUT_SYSTEMS))
STAGES = ((UNIT,), (BROWSERS,), (SYSTEMS, SERVICES))
PROGRAMS: dict[str, tuple[str, ...]] = {
    "accounts-export": ("deploy.accounts.exchange", "FILE ARGS", "export"),
    "accounts-import": ("deploy.accounts.exchange", "FILE ARGS", "import"),
    "agent": ("deploy.accounts", "ARGS"),
    "calendar": ("services.presence.commands.calendar_table", "YEAR"),
    "configuration-export": ("deploy.configuration", "FILE ARGS", "export"),
    "configuration-import": ("deploy.configuration", "FILE ARGS", "import"),
    "dead-letters": ("deploy.dead_letters", "ARGS"),
    "deliveries": ("deploy.deliveries", "ARGS"),
    "departments-check": ("services.presence.commands.configuration_check", "FILE"),
    "erase": ("deploy.erasures", "ARGS"),
    "kubernetes-check": ("deploy.check",),
    "retention-report": ("deploy.erasures", "ARGS", "report"),
    "token-keys": ("deploy.token_keys", "ARGS"),
    "verify-access-log": ("deploy.access_log", "ARGS"),
    "vulnerabilities": ("deploy.vulnerabilities",),
}
"""Targets that become a program of the project: its module, the variables with its arguments, and those before them."""
LONG_RUNS = ("soak", "chaos", "rollout", "bench", "scale")
LINTERS = (
    ("-m", "ruff", "check"),
    ("-m", "ruff", "format", "--check"),
    ("-m", "mypy"),
    (
        "-c",
        "import sys; from importlinter.cli import lint_imports_command as lint; sys.argv[0] = 'lint-imports'; lint()",
    ),
)
WEB_LINTERS = ("lint", "format:check", "check")


def main(command: str) -> None:
    """Do one of make's targets. For `run` it does not return: this process becomes the runner."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that pip ends too
    os.chdir(str(ROOT))
    # A test run starts hundreds of interpreters; with this variable each would compile the whole project again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    targets: dict[str, Callable[[], None]] = {
        "clean": clean,
        "docs": docs,
        "fuzz": fuzz,
        "lint": lint,
        "manifests": manifests,
        "release": release,
        "run": run,
        "test": test,
        "test-unit": test_unit,
        "verify": verify,
    }
    if command in targets:
        targets[command]()
    elif command in PROGRAMS:
        environment("run")
        become(*PROGRAMS[command])
    elif command in LONG_RUNS:
        long_run(command)
    elif command in ("backup", "restore"):
        environment("run", *([] if os.environ.get("MONGODB_URL") else ["embedded"]))
        become("deploy.backup", "ARGS", command)
    else:
        refuse(f"there is no target {command!r}: `make help` lists them")


def run() -> None:
    """Run the system on this machine. This process becomes the runner, so that make's signals reach it."""
    environment("run", *([] if os.environ.get("MONGODB_URL") else ["embedded"]))
    if not os.environ.get("RABBITMQ_URL"):
        broker("or set RABBITMQ_URL to the address of a broker")
    become("deploy.local")


def test() -> None:
    """Run every test. Each suite runs to its end, and the exit status is that of the first failure."""
    prepare_tests()
    browsers()
    package("clamav-daemon", apt.has_clamd(), "the tests scan files with it")
    package("prometheus", shutil.which("promtool") is not None, "the alert rules are played with its promtool")
    package("nodejs", apt.has_node(), "the tests of the browser's code need node 18 or later")
    manifests_tools()
    chosen = os.environ.get("PYTEST_ARGS", "").split()
    suites = ((("2", tuple(chosen)),),) if chosen else STAGES
    stages = [[pytest(files, arguments) for files, arguments in stage] for stage in suites]
    web = sorted(str(file) for file in (ROOT / "tests" / "web").rglob("*.test.*js"))
    if web:
        stages.append([(shutil.which("node") or "node", "--test", *web)])
    failed = [status for stage in stages for status in beside_each_other(stage) if status != 0]
    if failed:
        sys.exit(failed[0] if failed[0] > 0 else 1)


def test_unit() -> None:
    """Run the tests that need only Python: no broker, no database and no browser."""
    environment("run", "dev")
    status = subprocess.call(pytest(*UNIT))
    if status:
        sys.exit(status if status > 0 else 1)


def fuzz() -> None:
    """Run the tests of strange input for long, with other input each time."""
    prepare_tests()
    os.environ.setdefault("FUZZ_TIMES", "20")
    do(*pytest("2", ("tests/fuzz", "--timeout=0")))


def pytest(files: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that runs these tests, so many files at a time."""
    return (python(), "-m", "pytest", "-n", files, "--dist", "loadfile", "--no-loadscope-reorder", *arguments)


def beside_each_other(commands: list[tuple[str, ...]]) -> list[int]:
    """Run these commands in parallel and return their statuses.

    The output of all but the first one is shown at the end.
    """
    shown, *others = commands
    running = []
    for command in others:
        output = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed after it is shown
        running.append((subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), output))
    try:
        statuses = [subprocess.call(shown)]
        statuses += [process.wait() for process, _ in running]
    except BaseException:
        for process, _ in running:
            process.terminate()
            process.wait()
        raise
    sys.stdout.flush()
    for _, output in running:
        output.seek(0)
        shutil.copyfileobj(output, sys.stdout.buffer)
        output.close()
    sys.stdout.flush()
    return statuses


def long_run(name: str) -> None:
    """Run one of the long runs, which takes <NAME>_ARGS. This process becomes it, so that make's signals reach it."""
    prepare_tests()
    become(f"tests.system.{name}", f"{name.upper()}_ARGS")


def verify() -> None:
    """Verify a transcript. It needs no virtual environment, and so no network: this Python becomes the command."""
    if sys.version_info < OLDEST:
        refuse("verifying needs Python 3.11 or later: make verify PYTHON=/path/to/python3")
    file, keys = os.environ.get("FILE", ""), os.environ.get("KEYS", "")
    if not file:
        refuse("say which transcript: make verify FILE=chat.json, and KEYS=keys.json with the published keys")
    arguments = [file, *(["--keys=" + keys] if keys else []), *shlex.split(os.environ.get("ARGS", ""))]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "deploy.verification", *arguments])  # noqa: S606 - it is meant to be replaced


def manifests() -> None:
    """Build and check the manifests. This process becomes the program."""
    environment("run")
    manifests_tools()
    checkov()
    become("deploy.manifests", "ARGS")


def release() -> None:
    """Build the artefacts of a release. This process becomes the program."""
    if not os.environ.get("VERSION"):
        refuse("say which version: make release VERSION=2.0.0")
    environment("run")
    manifests_tools()
    become("deploy.release", "ARGS", os.environ["VERSION"])


def lint() -> None:
    """Run every linter."""
    environment("run", "dev")
    for arguments in LINTERS:
        do(python(), *arguments)
    npm = web_linters()
    for script in WEB_LINTERS:
        do(npm, "run", "--silent", "--prefix", str(WEB), script)


def docs() -> None:
    """Generate the parts of the documentation that are made from the code."""
    environment("run")
    for part in ("openapi", "settings", "role_matrix", "accessibility"):
        do(python(), "-m", f"services.docgen.{part}")


def manifests_tools() -> None:
    """Install the tools that build the manifests and check their schemas."""
    environment("manifests")
    if kubectl.find(VENV) is None:
        say("installs kubectl, for its kustomize")
        problem = kubectl.fetch(python(), VENV)
        if problem:
            refuse(f"kubectl is missing and {problem}: {kubectl.HOW}")


def checkov() -> None:
    """Install checkov, the checker of manifests, in an environment of its own.

    It needs other versions than the services.
    """
    pins = ROOT / "requirements" / "checkov.txt"
    stamp = CHECKOV / "requirements.sha256"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say("installs checkov")
    do(python(), "-m", "venv", "--clear", str(CHECKOV))
    pip = (str(CHECKOV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input")
    do(*pip, "--disable-pip-version-check", "-r", str(pins))
    stamp.write_text(wanted)


def web_linters() -> str:
    """Install the linters of the browser code as its lock file says, and return npm."""
    if not apt.has_node():
        package("nodejs", False, "the linters of the browser's code need node 18 or later")
        package("npm", shutil.which("npm") is not None, "it installs the linters of the browser's code")
    npm = shutil.which("npm")
    if npm is None:
        # Debian's npm brings hundreds of packages, and its own node: not beside a node from elsewhere, unasked.
        refuse(
            "there is a node but no npm, which installs the linters of the browser's code: install the npm that "
            "belongs to this node (Debian's: `apt install npm`)"
        )
    stamp = WEB / "node_modules" / "lock.sha256"
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return npm
    say("installs the linters of the browser's code")
    install = [npm, "ci", "--prefix", str(WEB), "--ignore-scripts", "--no-audit", "--no-fund"]
    result = subprocess.run(install, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        errors = [line.strip() for line in result.stdout.splitlines() if "npm ERR!" in line or "npm error" in line]
        refuse(
            "the linters of the browser's code could not be installed; the first run needs the network, or a registry "
            f"that npm is configured for. npm said: {(errors or ['nothing'])[0]}"
        )
    stamp.write_text(wanted)
    return npm


def become(module: str, arguments: str = "", *first: str) -> None:
    """Replace this process by a module, with the arguments `first` and those in these environment variables.

    FILE is one argument, whatever is in it; the others are split as a shell does it.
    """
    values = [(name, os.environ.get(name, "")) for name in arguments.split()]
    given = [part for name, value in values if value for part in ([value] if name == "FILE" else shlex.split(value))]
    sys.stdout.flush()
    os.execv(python(), [python(), "-m", module, *first, *given])  # noqa: S606 - it is meant to be replaced


def prepare_tests() -> None:
    """Install what every test that runs the system needs."""
    environment("run", "embedded", "dev")
    broker("the tests start a private broker")
    package("faketime", apt.has_faketime(), "the tests set services' clocks wrong")


def clean() -> None:
    """Remove what can be made again, and the data of `make run`. Refused while that runs."""
    data = ROOT / ".run"
    if apt.is_locked(data / "lock"):
        refuse("`make run` is using .run/: stop it first")
    for folder in [data, VENV, WEB / "node_modules", *(ROOT / name for name in CACHES)]:
        shutil.rmtree(str(folder), ignore_errors=True)
    for folder in [path for top in ("services", "deploy", "tests") for path in (ROOT / top).rglob("__pycache__")]:
        shutil.rmtree(str(folder), ignore_errors=True)


def environment(*names: str) -> None:
    """Prepare the virtual environment with the pinned packages of `requirements/<name>.txt`.

    This is quick when nothing is missing.
    """
    if not Path(python()).exists() or subprocess.call([python(), "-c", "import pip"], stderr=subprocess.DEVNULL) != 0:
        make_venv()
    wanted = {name: hashlib.sha256((ROOT / "requirements" / f"{name}.txt").read_bytes()).hexdigest() for name in names}
    installed = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    missing = [name for name in names if installed.get(name) != wanted[name]]
    if not missing:
        return
    say(f"installs Python packages: {', '.join(missing)}")
    files = [part for name in missing for part in ("-r", f"requirements/{name}.txt")]
    pip = [python(), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *files]
    result = subprocess.run(pip, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        errors = [line.strip() for line in result.stderr.splitlines() if "ERROR" in line] or ["pip failed"]
        refuse(
            "the Python packages could not be installed; the first run needs the network, or a package index that pip "
            f"is configured for. pip said: {errors[0]}"
        )
    STAMP.write_text(json.dumps({**installed, **wanted}))


def make_venv() -> None:
    """Create the virtual environment."""
    chosen = suitable_python()
    say(f"makes a virtual environment in {VENV.name}/")
    made = subprocess.run(
        [chosen, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode != 0:
        shutil.rmtree(str(VENV), ignore_errors=True)
        refuse(f"{chosen} cannot make a virtual environment: on Debian, `apt install python3-venv`, then try again")


def suitable_python() -> str:
    """Return an interpreter: the one that PYTHON names, else Debian's, which is built with profile-guided optimisation.

    The services run a third faster on it than on a plain build of a version manager (docs/performance.md). If it is not
    suitable: this interpreter when it is new enough, else a newer one that is installed beside it.
    """
    if not os.environ.get("PYTHON") and will_do(DEBIANS_OWN):
        return DEBIANS_OWN
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in range(15, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    have = ".".join(map(str, sys.version_info[:3]))
    refuse(f"Python {have} is too old: install Python 3.11 or later, or name it: make PYTHON=/path/to/python3")


def will_do(interpreter: str) -> bool:
    """Return whether the interpreter exists, is new enough, and can create a virtual environment."""
    check = f"import ensurepip, sys; sys.exit(sys.version_info < {OLDEST})"
    return (
        os.access(interpreter, os.X_OK) and subprocess.call([interpreter, "-c", check], stderr=subprocess.DEVNULL) == 0
    )


def package(name: str, present: bool, why: str) -> None:
    """Install a Debian package when it is missing and that is allowed."""
    if not present:
        say(f"installs {name} from Debian")
        problem = apt.install(name)
        if problem:
            refuse(f"{name} is missing and {problem}: install it ({why})")


def broker(why: str) -> None:
    """Install RabbitMQ when it is missing: that of this Debian, or with `RABBITMQ=4` a newer one in its own folder."""
    version = os.environ.get("RABBITMQ", "")
    if not version:
        package("rabbitmq-server", apt.has_broker(), why)
        return
    if version != "4":
        refuse(f"RABBITMQ={version}: it can be 4, or left out for the version of this Debian")
    folder = broker_root.home()
    if not broker_root.is_there(folder):
        say("installs RabbitMQ 4 from Debian unstable in a folder of its own; this takes some minutes")
        problem = broker_root.prepare(folder)
        if problem:
            refuse(f"RabbitMQ 4 cannot be had: {problem}")
    os.environ["RABBITMQ_SBIN"] = str(folder / "sbin")


def browsers() -> None:
    """Install the browsers of the tests that are missing.

    The headless shell draws the same pages with half the processor time. Where it cannot be had, Chromium does.
    WebKitGTK comes with its driver, and draws on a display in memory (Xvfb).
    """
    present = shutil.which("chromium") is not None
    if shutil.which("chromium-headless-shell") is None:
        say("installs chromium-headless-shell from Debian")
        problem = apt.install("chromium-headless-shell")
        if problem and not present:
            refuse(f"chromium-headless-shell is missing and {problem}: install it (the browser tests need it)")
    package("firefox-esr", shutil.which("firefox-esr") is not None, "the tests run in Firefox too")
    package("webkit2gtk-driver", apt.has_webkit(), "the tests run in WebKitGTK too")
    package("xvfb", shutil.which("Xvfb") is not None, "WebKitGTK draws on its display in memory")


def python() -> str:
    """Return the virtual environment's interpreter."""
    return str(VENV / "bin" / "python")


def do(*command: str) -> None:
    """Run a command to its end. Exit with its status when it fails."""
    status = subprocess.call(command)
    if status != 0:
        sys.exit(status if status > 0 else 1)


def say(text: str) -> None:
    """Print what takes time."""
    print(f"setup         {text}", flush=True)


def refuse(text: str) -> NoReturn:
    """Exit with one line that says what to do."""
    print(f"refused: {text}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except KeyboardInterrupt:
        sys.exit(130)
