"""Imports and exports the departments, where they are in the database of presence (CONFIG_SOURCE=database).

The file is a departments file (TOML). An import becomes a new version that all services use within seconds; a file that
is wrong is refused with what is wrong and where. Addresses: PRESENCE_URL, TRANSCRIPTS_URL and OPERATOR_KEY (or
TOKEN_SECRET), else those of `make run`.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from deploy.erasures import services
from deploy.erasures.services import Refused, Services
from deploy.local.settings import Refusal
from deploy.new_file import new_file
from deploy.refusals import of_file, refuse
from services.common.config.toml_file import MOST_STORED
from services.common.events.types import Record
from services.common.internal_api.configuration import (
    CONFIGURATION,
    CONFIGURATION_CHECK,
    CONFIGURATION_NAMES,
    CONFIGURATION_STORE,
    Author,
    Change,
    Check,
    Checked,
    Configuration,
    NamesCheck,
    Version,
    Wanted,
)
from services.common.internal_api.transcripts import ACCESS_NOTE, AccessNoted, Reader

ROOT = Path(__file__).resolve().parents[2]
ANY_YEAR = 2000


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Return 0 when it is done, 1 when it is refused, 2 when the arguments are invalid."""
    options = _parser().parse_args(arguments)
    found = services.find(os.environ, ROOT)
    if isinstance(found, Refusal):
        return refuse(found.text)
    try:
        if options.command == "import":
            import_file(found, options.file, options.by)
        else:
            export_file(found, options.file)
    except Refused as refused:
        return refuse(str(refused))
    except UnicodeDecodeError:
        return refuse(f"{options.file}: is not UTF-8")
    except OSError as error:
        return refuse(of_file(error))
    return 0


def import_file(found: Services, file: Path, by: str) -> None:
    """Store what is in the file as the newest version, and print its number.

    Raises:
        Refused: The file is wrong, or a service does not answer.
        OSError: The file cannot be read.
    """
    text = file.read_text("utf-8")
    if len(text.encode()) > MOST_STORED:
        raise Refused(f"{file}: has more than {MOST_STORED} bytes")
    newest = Configuration.model_validate(found.ask("presence", CONFIGURATION, Record()))
    wanted = Wanted(base=newest.version, text=text)
    checked = Checked.model_validate(found.ask("presence", CONFIGURATION_CHECK, Check(wanted=wanted, year=ANY_YEAR)))
    found.ask("transcripts", CONFIGURATION_NAMES, NamesCheck(departments=checked.departments))
    if checked.same:
        print(f"version {newest.version} is the same already: nothing was stored")
        return
    item = f"{newest.version}:{newest.version + 1}"
    found.ask(
        "transcripts", ACCESS_NOTE, AccessNoted(act="departments_imported", reader=Reader(agent_id=by), item=item)
    )
    change = Change(wanted=wanted, by=Author(id=by, name=by, role="operator"))
    made = Version.model_validate(found.ask("presence", CONFIGURATION_STORE, change))
    print(f"version {made.version} has {', '.join(checked.departments)}")


def export_file(found: Services, file: Path | None) -> None:
    """Write the newest version to the file, or print it.

    Raises:
        Refused: Presence does not answer, or the departments are in a file already.
        OSError: The file cannot be written, or exists.
    """
    newest = Configuration.model_validate(found.ask("presence", CONFIGURATION, Record()))
    if file is None:
        sys.stdout.write(newest.text)
        return
    with new_file(file, 0o666) as out:  # nothing in it is secret
        out.write(newest.text)
    print(f"version {newest.version}, of {newest.at:%Y-%m-%d %H:%M} UTC by {newest.by.name}, is in {file}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make configuration-…", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="make a departments file the newest version")
    importing.add_argument("file", type=Path, help="the departments file")
    importing.add_argument("--by", default=getpass.getuser(), help="who does it, for the list of versions (your login)")
    exporting = commands.add_parser("export", help="write the newest version as a departments file")
    exporting.add_argument("file", type=Path, nargs="?", help="a file that does not exist yet; none: it is printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
