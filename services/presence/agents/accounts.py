"""Accounts of agents: those of the accounts file, and the roles of an issuer (OpenID Connect)."""

from __future__ import annotations

from typing import Annotated

import argon2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.common.config.departments import LOCALES, Departments
from services.common.config.faults import Fault
from services.common.config.toml_file import ConfigurationError, Source, load_toml
from services.common.events.types import derived_id
from services.common.internal_api.accounts import MOST_LANGUAGES, Language
from services.common.internal_api.presence import OfficerRole
from services.presence.agents import totp
from services.presence.agents.roles import MOST_CAPACITY, require_consistent
from services.presence.oidc.roles import RoleMapping

USERNAME = r"^[a-z0-9][a-z0-9._@-]{0,99}$"


def _argon2_hash(value: str) -> str:
    try:
        argon2.extract_parameters(value)
    except argon2.exceptions.InvalidHashError:
        raise ValueError("is not an argon2 hash; make one with: python -m services.presence.hash") from None
    return value


def _totp_secret(value: str) -> str:
    totp.secret_bytes(value)
    return value


class Account(BaseModel):
    """An account with which an agent or an officer may log in.

    `role`: that of an officer, who is no agent; None: an agent. `capacity`: chats at a time; 0: a supervisor who takes
    none. `totp_secret`: that of the agent's authenticator; without one the password is enough.
    `break_glass`: the agent may log in with a password also where others have to use the issuer.
    `disabled`: nobody may log in with it; the account stays in the file to be enabled again.
    `must_change_password`: a login with this password needs a new one, which counts from then on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    username: Annotated[str, Field(pattern=USERNAME)]
    name: str = Field(min_length=1, max_length=100)
    password_hash: Annotated[str, AfterValidator(_argon2_hash)]
    role: OfficerRole | None = None
    departments: tuple[str, ...] = ()
    capacity: int = Field(1, ge=0, le=MOST_CAPACITY)
    supervisor: bool = False
    locales: tuple[Language, ...] = Field(LOCALES, max_length=MOST_LANGUAGES)
    totp_secret: Annotated[str, AfterValidator(_totp_secret)] | None = Field(None, repr=False)
    break_glass: bool = False
    disabled: bool = False
    must_change_password: bool = False

    @model_validator(mode="after")
    def _is_of_an_agent_or_an_officer(self) -> Account:
        given = "capacity" in self.model_fields_set
        require_consistent(self.role, self.departments, self.capacity, self.supervisor, given)
        return self

    @model_validator(mode="after")
    def _break_glass_has_a_second_factor(self) -> Account:
        if self.break_glass and self.totp_secret is None:
            raise ValueError("an account with break_glass needs a totp_secret")
        return self

    @property
    def id(self) -> str:
        """The agent's or the officer's id. It depends on the username, and on the role of an officer."""
        return derived_id(self.role or "agent", self.username)


class AccountsFile(BaseModel):
    """The content of the accounts file. It has accounts, or the roles of an issuer, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    accounts: tuple[Account, ...] = ()
    oidc: RoleMapping | None = None

    @classmethod
    def empty(cls) -> AccountsFile:
        """Return what an installation without an accounts file has."""
        return cls.model_construct(accounts=(), oidc=None)

    @model_validator(mode="after")
    def _has_accounts_or_roles(self) -> AccountsFile:
        if not self.accounts and self.oidc is None:
            raise ValueError("has neither [[accounts]] nor [oidc]")
        return self


def load_accounts_file(source: Source, departments: Departments) -> AccountsFile:
    """Return the content of this TOML file, or of a text that is to become one.

    Raises:
        ConfigurationError: The file is invalid; the message names the place and the problem.
    """
    file = load_toml("ACCOUNTS_FILE", source, AccountsFile)
    require_fit(file, departments, f"ACCOUNTS_FILE {source}")
    return file


def require_fit(file: AccountsFile, departments: Departments, where: str) -> None:
    """Check that each account is there once, and that what accounts and roles serve are departments.

    Args:
        file: The accounts and the roles.
        departments: The departments.
        where: What the message calls them.

    Raises:
        ConfigurationError: It is not so; the message names the place and the problem.
    """
    seen: set[str] = set()
    for account in file.accounts:
        if account.username in seen:
            raise ConfigurationError(f"{where}: '{account.username}' is there twice.")
        seen.add(account.username)
    serves = [(account.username, account.departments) for account in file.accounts]
    serves += [(role.value, role.departments) for role in (file.oidc.roles if file.oidc else ())]
    for name, served in serves:
        for department in served:
            if departments.get(department) is None:
                text = f"{where}: '{name}' serves '{department}', which is no department."
                raise ConfigurationError(text, Fault("served", {"name": name, "value": department}))
