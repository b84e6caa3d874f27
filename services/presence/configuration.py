"""The departments with their opening hours, and the accounts: of files, or of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.common.config.departments import Departments, load_departments
from services.common.config.faults import Fault
from services.common.config.toml_file import ConfigurationError, Source, load_toml
from services.presence.agents.accounts import Account, AccountsFile, load_accounts_file, require_fit
from services.presence.opening_hours import Schedule, load_schedules
from services.presence.settings import PresenceSettings

T = TypeVar("T")


@dataclass
class Configuration:
    """The departments, their opening hours and their accounts. A process has one, which takes over what has changed.

    Attributes:
        departments: The departments.
        schedules: Their opening hours.
        longest: How many chats may wait in the queue of each.
        wrap_ups: For how many seconds agents of each wrap up a chat.
        file: The accounts, and the roles of the issuer.
    """

    departments: Departments
    schedules: dict[str, Schedule]
    longest: dict[str, int]
    wrap_ups: dict[str, float]
    file: AccountsFile

    @classmethod
    def first(cls, settings: PresenceSettings, source: Source | None = None) -> Configuration:
        """Return what presence is composed of: the files. What is stored follows.

        The accounts may name departments of which the file knows nothing then.

        Args:
            settings: The settings.
            source: Where the departments are; None: in `DEPARTMENTS_FILE`.

        Raises:
            ConfigurationError: As `load`.
        """
        if settings.config_source == "file":
            return cls.load(settings)
        departments = load_departments(settings.departments_file if source is None else source)
        path = settings.accounts_file
        file = load_toml("ACCOUNTS_FILE", path, AccountsFile) if path else AccountsFile.empty()
        return cls._of(settings, departments, file)

    @classmethod
    def load(
        cls, settings: PresenceSettings, source: Source | None = None, accounts: Sequence[Account] | None = None
    ) -> Configuration:
        """Read and validate the departments and the accounts.

        Args:
            settings: The settings.
            source: Where the departments are; None: in `DEPARTMENTS_FILE`.
            accounts: Those of the database; None: they are in `ACCOUNTS_FILE`. The roles of an issuer are there always.

        Raises:
            ConfigurationError: A file, or a calendar of public holidays, is invalid.
        """
        departments = load_departments(settings.departments_file if source is None else source)
        path = settings.accounts_file
        if accounts is None:
            file = load_accounts_file(path, departments) if path else AccountsFile.empty()
            return cls._of(settings, departments, file)
        roles = load_toml("ACCOUNTS_FILE", path, AccountsFile).oidc if path and settings.oidc_issuer else None
        require_fit(AccountsFile.model_construct(accounts=(), oidc=roles), departments, f"ACCOUNTS_FILE {path}")
        file = AccountsFile.model_construct(accounts=tuple(accounts), oidc=roles)
        require_fit(file, departments, "the accounts")
        return cls._of(settings, departments, file)

    @classmethod
    def _of(cls, settings: PresenceSettings, departments: Departments, file: AccountsFile) -> Configuration:
        schedules = load_schedules(settings, departments)
        if settings.oidc_issuer and file.oidc is None:
            raise ConfigurationError(f"ACCOUNTS_FILE {settings.accounts_file}: has no section [oidc].")
        if not settings.citizen_oidc_issuer and any(d.identification for d in departments.departments):
            where = "DEPARTMENTS_FILE: " if settings.config_source == "file" else ""
            text = f"{where}identification = true needs the setting CITIZEN_OIDC_ISSUER of presence."
            raise ConfigurationError(text, Fault("identification_setting"))
        longest = {d.id: d.queue.longest for d in departments.departments}
        return cls(departments, schedules, longest, {d.id: d.wrap_up for d in departments.departments}, file)

    def take_over(self, other: Configuration) -> set[str]:
        """Become as `other`, at once for all code that has this object or one of its parts.

        Return the departments that are gone.
        """
        gone = self.schedules.keys() - other.schedules.keys()
        self.departments.take_over(other.departments)
        _replace(self.schedules, other.schedules)
        _replace(self.longest, other.longest)
        _replace(self.wrap_ups, other.wrap_ups)
        self.file = other.file
        return gone


def _replace(mine: dict[str, T], others: dict[str, T]) -> None:
    mine.clear()
    mine.update(others)
