"""`make configuration-import` and `make configuration-export`, with presence and transcripts as processes."""

from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from deploy.configuration.__main__ import import_file, main
from deploy.erasures.services import Refused, Services
from services.common.clock import utcnow
from services.common.events.types import Record
from services.common.http.tokens import Keys
from services.common.internal_api.configuration import (
    CONFIGURATION,
    CONFIGURATION_CHECK,
    CONFIGURATION_STORE,
    Author,
    Version,
)
from services.common.internal_api.transcripts import ACCESS_NOTE, AccessNoted, ChangeOfDepartments
from tests.common.config.test_departments import GOOD, NAMES
from tests.deploy.operator_system import MakeOperatorSystem
from tests.presence.conftest import SECRET

SECOND = f'# de tweede\n[[departments]]\nid = "premies"\n{NAMES}\n'
WEBHOOK = """[[webhooks]]
id = "crm"
url = "https://crm.example/hook"
events = ["chat.closed"]
secrets = ["env:CRM_SECRET"]
departments = ["algemeen"]
"""


async def test_a_file_goes_in_and_out_and_a_wrong_one_changes_nothing(
    operated: MakeOperatorSystem, tmp_path: Path
) -> None:
    seed, given, integrations = tmp_path / "seed.toml", tmp_path / "given.toml", tmp_path / "integrations.toml"
    seed.write_text(GOOD)
    integrations.write_text(WEBHOOK)
    async with operated({"INTEGRATIONS_FILE": str(integrations)}, DEPARTMENTS_FILE=str(seed)) as system:
        run = partial(system.run, main)
        given.write_text(GOOD + SECOND)
        assert await run("import", str(given), "--by=griffie") == (0, "version 2 has algemeen, premies\n", "")
        assert (await run("import", str(given)))[:2] == (0, "version 2 is the same already: nothing was stored\n")
        assert await run("export") == (0, GOOD + SECOND, "")
        out = tmp_path / "out.toml"
        status, words, _ = await run("export", str(out))
        assert (status, "by griffie" in words, out.read_text()) == (0, True, GOOD + SECOND)
        assert (await run("export", str(out)))[0] == 1, "an existing file stays"
        for text, why in (
            (GOOD + "colour = 1\n", "department 'algemeen'.colour"),
            (GOOD.replace("algemeen", "wonen"), "'crm': there is no department 'algemeen'"),
        ):
            given.write_text(text)
            status, _, refusal = await run("import", str(given))
            assert (status, why in refusal) == (1, True), refusal
        assert (await run("import", str(tmp_path / "none.toml")))[0] == 1
        assert (await run("export"))[1] == GOOD + SECOND
        acts = get_args(ChangeOfDepartments)
        assert await system.logged(*acts) == [("departments_imported", "griffie", "operator", "1:2")]


def test_the_access_log_has_an_import_before_it_is_done(tmp_path: Path) -> None:
    """A command that ends in between, and is repeated, would find its version there and log nothing."""
    file, asked = tmp_path / "departments.toml", list[str]()
    file.write_text(GOOD + SECOND)
    version = Version(version=4, at=utcnow(), by=Author(id="an", name="An", role="administrator"), act="imported")
    answers = {
        CONFIGURATION: {**version.model_dump(), "text": GOOD, "departments": {}},
        CONFIGURATION_CHECK: {"text": GOOD + SECOND, "departments": ["algemeen", "premies"], "buttons": []},
    }

    class Interrupted(Services):
        def ask(self, service: str, path: str, body: Record) -> Any:
            asked.append(path)
            if path == ACCESS_NOTE:
                assert isinstance(body, AccessNoted)
                assert (body.act, body.item, body.reader.agent_id) == ("departments_imported", "4:5", "griffie")
                raise Refused("transcripts does not answer")
            return answers.get(path)

    with pytest.raises(Refused, match="does not answer"):
        import_file(Interrupted({}, Keys(SECRET)), file, "griffie")
    assert CONFIGURATION_STORE not in asked


def test_what_is_wrong_with_the_arguments_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["import"])
    assert (caught.value.code, "file" in capsys.readouterr().err) == (2, True)
