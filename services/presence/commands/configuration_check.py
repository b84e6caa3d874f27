"""`make departments-check FILE=departments.toml`: say whether the services would take this departments file.

It is validated as at the start of every service: with the calendars of public holidays, and with the accounts and the
integrations that name departments (`ACCOUNTS_FILE`, `INTEGRATIONS_FILE`), where these are given. The other settings of
presence are read from the environment too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import ValidationError

from services.common.config.integrations import load_integrations
from services.common.config.settings import EX_CONFIG, explain
from services.common.config.toml_file import ConfigurationError
from services.presence.configuration import Configuration
from services.presence.settings import PresenceSettings


def main(arguments: list[str]) -> int:
    """Print the departments. Return the exit code: 0, 2 without a file, or 78 when the services would refuse it."""
    if len(arguments) != 1:
        print("departments-check: say which file: make departments-check FILE=departments.toml", file=sys.stderr)
        return 2
    try:
        # Nothing is signed here, so the installation's secret is not needed.
        settings = PresenceSettings(
            token_secret="of no use here, never kept",  # noqa: S106 - no secret; signs nothing
            departments_file=Path(arguments[0]),
        )
        found = Configuration.load(settings)
        integrations = os.environ.get("INTEGRATIONS_FILE")
        load_integrations(Path(integrations) if integrations else None, found.departments.ids)
    except (ValidationError, ConfigurationError) as error:
        print(*(f"departments-check: {line}" for line in explain(error)), sep="\n", file=sys.stderr)
        return EX_CONFIG
    print(f"{arguments[0]} can be used: {', '.join(found.departments.ids)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
