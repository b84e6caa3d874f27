"""`services/docgen/settings.py`: the page of settings says what the code checks, all of it."""

import re

import pytest

from services.common.config.settings import Settings, described
from services.docgen import settings as settings_table
from services.docgen.settings import FILE, SERVICES, main, settings_of, table


def test_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_every_setting_of_every_service_is_there_once_and_explained() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", table(), re.MULTILINE)
    wanted = {name.upper() for service in SERVICES for name in settings_of(service).model_fields}
    assert sorted(name for name, _ in rows) == sorted(wanted)
    assert all(meaning != "None" for _, meaning in rows)


def test_what_changes_in_the_code_is_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Changed(Settings):
        new_limit: float = described("how long it is new", 7.5, gt=1)

    monkeypatch.setattr(settings_table, "settings_of", lambda service: Changed if service == "routing" else Settings)
    assert "| `NEW_LIMIT` | how long it is new | above 1 | `7.5` |" in table()
    before = FILE.read_text("utf-8")
    assert main(["--check"]) == 1
    assert "is not current" in capsys.readouterr().out
    assert FILE.read_text("utf-8") == before
