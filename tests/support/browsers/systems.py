"""Whole systems for tests with browsers: the limits give a page the time that it needs on a busy machine."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.accounts import Account, write_accounts
from tests.support.servers import Broker, System, running_system, unique

LIMITS = {
    "ACCEPT_LIMIT": "300",  # a check of a page for its accessibility takes long
    "HELLO_LIMIT": "120",  # and so does loading a page
    "AGENT_GRACE": "120",  # or loading it again
}
"""Seconds."""
DEPARTMENTS = Path(__file__).parents[3] / "deploy" / "departments.toml"
FORM = "premies"
"""The department whose press opens the form; that of `algemeen` starts a chat."""


def write_departments(file: Path) -> Path:
    """Write the departments of the project, one of them with the form first."""
    text = DEPARTMENTS.read_text("utf-8")
    assert text.count(f'id = "{FORM}"') == 1
    file.write_text(text.replace(f'id = "{FORM}"', f'id = "{FORM}"\nstart = "form"'), "utf-8")
    return file


@contextlib.contextmanager
def running_browser_system(
    home: Path,
    accounts: Sequence[Account] = (),
    broker: Broker | None = None,
    mongodb_url: str = "",
    **variables: str,
) -> Iterator[System]:
    """Run a system for browsers while the context is open.

    Args:
        home: The folder for its data.
        accounts: The agents who have an account beside those of the demonstration; without any, those of
            `DEMO_AGENTS` alone.
        broker: The broker of the tests, of which the system gets a virtual host; without one it starts its own.
        mongodb_url: The database of the tests; given with `broker`.
        **variables: Further environment variables; limits among them replace those of this module.
    """
    settings = {"RATE_LIMITS": "off", **LIMITS, **variables}
    if "DEPARTMENTS_FILE" not in settings:
        settings["DEPARTMENTS_FILE"] = str(write_departments(home / "departments.toml"))
    if accounts:
        settings["ACCOUNTS_FILE"] = str(write_accounts(home / "accounts.toml", accounts))
    with contextlib.ExitStack() as stack:
        if broker is not None:
            name = unique("browser-")
            settings |= {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url}
            settings["MONGODB_PREFIX"] = f"{name}-"
            stack.callback(broker.remove_vhost, name)
        yield stack.enter_context(running_system(home, **settings))
