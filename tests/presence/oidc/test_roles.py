"""services/presence/oidc/roles.py: from claims to roles, departments and capacity."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.presence.oidc.roles import MOST_MEMBERSHIPS, Role, RoleMapping, memberships_of

AGENT = Role(value="agent", departments=("algemeen",), capacity=1, locales=("nl",))
MORE = Role(value="more", departments=("premies", "algemeen"), capacity=3, locales=("fr",))
CHIEF = Role(value="chief", departments=("premies",), supervisor=True)
GENERIC = RoleMapping(roles_claim="roles", roles=(AGENT, MORE, CHIEF))
FLEMISH = RoleMapping(
    roles_claim="eloket_rol_3d",
    name=("given_name",),
    roles=(
        AGENT,
        Role(value="agent", organisation="OVO000002", departments=("premies",)),
        Role(value="groep", target_group="LB", departments=("algemeen",)),
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def flemish(*values: str, **more: str) -> list[tuple[str, tuple[str, ...]]]:
    claims = {"vo_id": "p", "vo_orgcode": "OVO000001", "eloket_rol_3d": list(values), **more}
    return [(one.organisation, one.departments) for one in memberships_of(claims, "acmidm", FLEMISH)]


def test_roles_of_agents_are_joined_and_that_of_a_supervisor_gives_no_more_departments() -> None:
    claims = {"sub": "s", "name": "An  Peeters\u0000", "roles": ["chief", "more", "agent", "agent", "unknown"]}
    agent, chief = memberships_of(claims, "generic", GENERIC)
    assert (agent.departments, agent.capacity, agent.locales) == (("premies", "algemeen"), 3, ("fr", "nl"))
    assert (agent.name, agent.supervisor) == ("An Peeters", False)
    assert (chief.departments, chief.supervisor) == (("premies",), True)
    ids = {one.agent_id(issuer) for one in (agent, chief) for issuer in ("https://a.example", "https://b.example")}
    assert len(ids) == 4


def test_the_role_of_an_officer_is_kept_apart_and_changes_no_id_of_an_agent() -> None:
    auditor = Role(value="audit", role="auditor")
    claims = {"sub": "s", "roles": ["agent", "audit"]}
    before = memberships_of(claims, "generic", GENERIC)
    mapping = GENERIC.model_copy(update={"roles": (*GENERIC.roles, auditor)})
    agent, officer = memberships_of(claims, "generic", mapping)
    assert [agent] == before
    assert (officer.role, officer.departments, agent.role) == ("auditor", (), None)
    assert officer.agent_id("https://a.example") != agent.agent_id("https://a.example")
    assert "role" not in json.loads(GENERIC.fingerprint("i", "generic"))[2]["roles"][0], "it would end all sessions"
    with pytest.raises(ValueError, match="no departments"):
        Role(value="audit", role="auditor", departments=("algemeen",))


def test_a_role_of_acmidm_is_of_the_organisation_that_it_names_or_of_that_of_the_session() -> None:
    assert flemish("agent") == [("OVO000001", ("algemeen",))]
    assert flemish("agent:OVO000002") == [("OVO000002", ("algemeen", "premies"))]
    assert flemish("agent:GID:OVO000003") == [("OVO000003", ("algemeen",))]
    assert flemish("groep") == []
    assert flemish("groep", vo_doelgroepcode="LB") == [("OVO000001", ("algemeen",))]


@pytest.mark.parametrize("claims", [{}, {"sub": "s"}, {"sub": "", "roles": ["agent"]}, {"sub": 1, "roles": ["agent"]}])
def test_without_a_subject_or_a_role_there_is_nothing(claims: dict[str, Any]) -> None:
    assert memberships_of(claims, "generic", GENERIC) == []


def test_the_number_of_choices_is_bounded() -> None:
    values = [f"agent:OVO{n:06}" for n in range(100)]
    assert len(flemish(*values)) == MOST_MEMBERSHIPS


@given(st.dictionaries(st.sampled_from(["sub", "vo_id", "vo_orgcode", "roles", "eloket_rol_3d", "given_name"]), JSON))
def test_any_claims_give_known_roles_or_none(claims: dict[str, Any]) -> None:
    for profile, mapping in (("generic", GENERIC), ("acmidm", FLEMISH)):
        for one in memberships_of(claims, profile, mapping):  # type: ignore[arg-type]
            assert one.name
            assert len(one.name) <= 100
            assert set(one.departments) <= {"algemeen", "premies"}
