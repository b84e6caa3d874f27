"""The page of auditors knows every act that is logged."""

import re

from services.transcripts.access_log.store import ACTS
from tests.support.servers import ROOT

PAGE = ROOT / "services" / "gateway" / "web" / "console" / "access-log.js"
PRIVACY = ROOT / "docs" / "privacy.md"


def test_the_page_lists_every_act_and_no_other() -> None:
    (listed,) = re.findall(r"export const ACTS = \[(.*?)\];", PAGE.read_text("utf-8"), re.DOTALL)
    assert sorted(re.findall(r'"([a-z_]+)"', listed)) == sorted(ACTS)


def test_the_page_about_privacy_names_every_act() -> None:
    (row,) = re.findall(r"^\| `act`, .*$", PRIVACY.read_text("utf-8"), re.MULTILINE)
    assert [act for act in ACTS if f"`{act}`" not in row] == []
