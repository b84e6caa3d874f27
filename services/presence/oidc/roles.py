"""Which roles an issuer's claims give a person: the mapping in the accounts file, by profile. No I/O.

`generic`: the subject is `sub`, and each value of the claim with the roles is the name of a role (Entra ID's
application roles; Keycloak's `realm_access.roles`).

`acmidm`: ACM/IDM of the Flemish government. The subject is `vo_id`, the organisation `vo_orgcode` (its name
`vo_orgnaam`), the target group `vo_doelgroepcode`. The values of `<application>_rol_3d` are `<role>:<organisation>`, or
`<role>:<context>:<organisation>`; a value without an organisation is of that of the session.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common.config.departments import LOCALES
from services.common.events.types import derived_id
from services.common.internal_api.presence import OfficerRole
from services.presence.agents.roles import MOST_CAPACITY, require_consistent

Profile = Literal["generic", "acmidm"]
MOST_MEMBERSHIPS = 15  # of one person; more are not offered
MOST_ROLES = 500  # values of a claim that are read
MOST_NAME = 100  # characters
SUBJECT: Mapping[str, str] = {"generic": "sub", "acmidm": "vo_id"}
"""The claim that identifies a person, by profile."""


class Role(BaseModel):
    """What a value of the claim gives. `organisation`, `target_group`: only for these; None: for all.

    `role`: that of an officer, who is no agent; None: an agent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    value: str = Field(min_length=1, max_length=200)
    organisation: str | None = Field(None, min_length=1, max_length=100)
    target_group: str | None = Field(None, min_length=1, max_length=100)
    role: OfficerRole | None = None
    departments: tuple[str, ...] = ()
    capacity: int = Field(1, ge=0, le=MOST_CAPACITY)
    supervisor: bool = False
    locales: tuple[str, ...] = LOCALES

    @model_validator(mode="after")
    def _is_of_an_agent_or_an_officer(self) -> Role:
        given = "capacity" in self.model_fields_set
        require_consistent(self.role, self.departments, self.capacity, self.supervisor, given)
        return self


class RoleMapping(BaseModel):
    """The section `[oidc]` of the accounts file.

    Attributes:
        roles_claim: The claim with the roles. A dot separates the levels of nested claims.
        name: The claims that make an agent's name, which citizens see.
        roles: What each role gives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    roles_claim: str = Field(min_length=1, max_length=200)
    name: tuple[str, ...] = Field(("given_name", "family_name"), min_length=1)
    roles: tuple[Role, ...] = Field(min_length=1)

    def fingerprint(self, issuer: str, profile: str) -> str:
        """Return a text that changes with everything that decides on a person's roles."""
        known = self.model_dump(mode="json")
        for role in known["roles"]:
            if role["role"] is None:  # as before there were officers: their release changes no fingerprint
                del role["role"]
        return json.dumps([issuer, profile, known], sort_keys=True)


@dataclass(frozen=True)
class Membership:
    """A role of a person in an organisation: an account with which they may log in.

    Attributes:
        subject: Identifies the person at the issuer.
        organisation: The code of the organisation, or the empty string.
        organisation_name: Its name, where the issuer gives one.
        name: The agent's name, which citizens see.
        supervisor: Whether the account is a supervisor's.
        departments: The departments that it serves.
        capacity: Chats at a time.
        locales: The languages that it serves.
        role: The role of an officer; None: the account is an agent's.
    """

    subject: str
    organisation: str
    organisation_name: str
    name: str
    supervisor: bool
    departments: tuple[str, ...]
    capacity: int
    locales: tuple[str, ...]
    role: OfficerRole | None = None

    def agent_id(self, issuer: str) -> str:
        """Return the id of the agent or officer. Each organisation, and each role in it, has one of its own."""
        if self.role is not None:
            return derived_id(f"oidc {self.role}", json.dumps([issuer, self.subject, self.organisation]))
        return derived_id("oidc agent", json.dumps([issuer, self.subject, self.organisation, self.supervisor]))


def memberships_of(claims: Mapping[str, Any], profile: Profile, mapping: RoleMapping) -> list[Membership]:
    """Return what these claims give, at most `MOST_MEMBERSHIPS`; none when the person has no role here.

    Several roles of one person in one organisation are one account: their departments together and the largest
    capacity. The role of supervisor is kept apart, because it gives access to all chats of its departments; those of
    officers, because they are no agents.
    """
    subject = claims.get(SUBJECT[profile])
    if not isinstance(subject, str) or not subject:
        return []
    own = _text(claims, "vo_orgcode") if profile == "acmidm" else ""
    group = _text(claims, "vo_doelgroepcode") if profile == "acmidm" else ""
    found: dict[tuple[str, bool, str], list[Role]] = {}
    for value in _values(claims, mapping.roles_claim)[:MOST_ROLES]:
        name, organisation = _parts(value, own) if profile == "acmidm" else (value, "")
        for role in mapping.roles:
            if (
                role.value == name
                and role.organisation in (None, organisation)
                and role.target_group in (None, group)
                and role not in found.setdefault((organisation, role.supervisor, role.role or ""), [])
            ):
                found[organisation, role.supervisor, role.role or ""].append(role)
    name = _name(claims, mapping.name) or subject[:MOST_NAME]
    return [
        Membership(
            subject=subject,
            organisation=organisation,
            organisation_name=_text(claims, "vo_orgnaam") if organisation == own else "",
            name=name,
            supervisor=supervisor,
            departments=tuple(dict.fromkeys(d for role in roles for d in role.departments)),
            capacity=max(role.capacity for role in roles),
            locales=tuple(dict.fromkeys(one for role in roles for one in role.locales)),
            role=roles[0].role,
        )
        for (organisation, supervisor, _), roles in sorted(found.items())
        if roles
    ][:MOST_MEMBERSHIPS]


def _parts(value: str, own: str) -> tuple[str, str]:
    """Return the role and the organisation of a value of `_rol_3d`."""
    name, _, rest = value.partition(":")
    return name, rest.rpartition(":")[2] or own


def _values(claims: Mapping[str, Any], path: str) -> list[str]:
    """Return the texts of a claim, which may be one text or a list, and may be nested."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for step in path.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    values = found if isinstance(found, list) else [found]
    return [value for value in values if isinstance(value, str) and value]


def _name(claims: Mapping[str, Any], parts: tuple[str, ...]) -> str:
    words = " ".join(text for part in parts if (text := _text(claims, part)))
    return (words or _text(claims, "name"))[:MOST_NAME].strip()


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return " ".join("".join(c for c in value if c.isprintable()).split())[:200] if isinstance(value, str) else ""
