"""Departments files that tests write: the usual one with what a test needs in addition."""

from pathlib import Path

from tests.support.servers import ROOT

USUAL = ROOT / "deploy/departments.toml"
IDENTIFICATION = """
[identification]
[identification.name]
nl = "Toegangsbeheer Vlaanderen"
fr = "Gestion des accès Flandre"
de = "Zugangsverwaltung Flandern"
en = "Flemish access management"
[identification.levels]
"urn:be:vlaanderen:authmech:eid" = "high"
"urn:be:vlaanderen:authmech:itsme" = "high"
"urn:be:vlaanderen:authmech:csamtotp" = "substantial"
"urn:be:vlaanderen:authmech:csampassword" = "low"

"""


def identifying_departments(path: Path, department: str = "algemeen") -> Path:
    """Write the usual departments file here, in which agents of this department may ask citizens to identify."""
    usual, id_ = USUAL.read_text(), f'id = "{department}"\n'
    assert id_ in usual
    made = usual.replace("[[departments]]", IDENTIFICATION + "[[departments]]", 1)
    path.write_text(made.replace(id_, f"{id_}identification = true\n", 1))
    return path
