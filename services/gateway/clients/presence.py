"""Client of presence's internal API."""

from __future__ import annotations

import asyncio
from datetime import date

from services.common.events.agents import ButtonChanged
from services.common.events.types import Record
from services.common.internal_api import accounts as accounts_api
from services.common.internal_api import configuration as configuration_api
from services.common.internal_api import presence as api
from services.common.internal_api import sessions as sessions_api
from services.common.internal_api import supervision as supervision_api
from services.gateway.clients.http_client import Declined, HttpClient, Unavailable

ANSWER_DAY_LIMIT = 1.5  # seconds that a citizen waits for the day in their receipt


class PresenceClient:
    """Login sessions, agents, buttons, and reservations of slots.

    Every method raises `Unavailable` when presence does not answer.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def open_session(self, credentials: api.Credentials) -> api.OpenSession:
        """Log an agent in.

        Raises:
            Declined: The credentials are wrong, or there were too many attempts.
        """
        return await self._http.ask("presence", api.SESSION_OPEN, credentials, api.OpenSession)

    async def session(self, token: str) -> api.OpenSession | None:
        """Return the session of this cookie, of an agent or an officer, or None when there is none (any more)."""
        question = api.SessionSought(token=token, roles=list(api.OFFICER_ROLES))
        try:
            return await self._http.ask("presence", api.SESSION_LOOKUP, question, api.OpenSession, hedged=True)
        except Declined as declined:
            if declined.status == 401:
                return None
            raise Unavailable("presence") from declined

    async def change_password(self, wish: api.PasswordChange) -> None:
        """Replace the password of the agent or officer of a session.

        Raises:
            Declined: Presence refused: the old password is wrong, the new one is not good enough, or there is none.
        """
        await self._http.ask("presence", api.PASSWORD_CHANGE, wish, Record)

    async def end_session(self, ending: api.SessionEnd) -> None:
        """Log an agent out.

        Raises:
            Declined: Presence refused: 401 when there is no such session.
        """
        await self._http.ask("presence", api.SESSION_END, ending, Record)

    async def own_sessions(self, query: sessions_api.OwnSessions) -> sessions_api.Sessions:
        """Return the sessions of the person who has this one.

        Raises:
            Declined: There is no such session (any more).
        """
        return await self._http.ask("presence", sessions_api.SESSIONS_OWN, query, sessions_api.Sessions, hedged=True)

    async def end_own_session(self, wish: sessions_api.OwnSessionEnd) -> None:
        """End another session of the person who has this one.

        Raises:
            Declined: There is no such session (any more), or it is this one.
        """
        await self._http.ask("presence", sessions_api.SESSIONS_OWN_END, wish, Record)

    async def login_ways(self) -> api.LoginWays:
        """Return how agents log in."""
        try:
            return await self._http.ask("presence", api.LOGIN_WAYS, None, api.LoginWays, hedged=True)
        except Declined:  # a replica of an earlier release
            return api.LoginWays()

    async def begin_oidc(self, wish: api.OidcBegin) -> api.OidcFlow:
        """Begin a login at the issuer.

        Raises:
            Declined: There is no issuer.
        """
        return await self._http.ask("presence", api.OIDC_BEGIN, wish, api.OidcFlow)

    async def finish_oidc(self, answer: api.OidcAnswer) -> api.OidcOutcome:
        """Log in the agent whom the issuer has sent back.

        Raises:
            Declined: The answer is not accepted, or gives no role.
        """
        return await self._http.ask("presence", api.OIDC_FINISH, answer, api.OidcOutcome)

    async def oidc_choices(self, pending: str) -> api.OidcChoices:
        """Return the roles among which a person chooses.

        Raises:
            Declined: There is nothing to choose (any more).
        """
        return await self._http.ask("presence", api.OIDC_CHOICES, api.OidcPending(pending=pending), api.OidcChoices)

    async def choose_oidc(self, chosen: api.OidcChosen) -> api.OpenSession:
        """Log a person in with a role.

        Raises:
            Declined: There is no such choice (any more).
        """
        return await self._http.ask("presence", api.OIDC_CHOOSE, chosen, api.OpenSession)

    async def log_out_oidc(self, token: str) -> None:
        """End the sessions that a logout token of the issuer names.

        Raises:
            Declined: The token is not valid, or there is no issuer.
        """
        await self._http.ask("presence", api.OIDC_LOGOUT, api.OidcLogout(token=token), Record)

    async def client_keys(self, query: api.ClientKeysQuery) -> api.ClientKeySet:
        """Return the public keys with which this installation authenticates at an issuer.

        Raises:
            Declined: There is no such issuer, or no key.
        """
        return await self._http.ask("presence", api.CLIENT_KEYS, query, api.ClientKeySet, hedged=True)

    async def begin_identification(self, wanted: api.IdentificationWanted) -> api.IdentificationTicket:
        """Return a ticket for the page on which a citizen identifies.

        Raises:
            Declined: Citizens do not identify here.
        """
        return await self._http.ask("presence", api.IDENTIFY_BEGIN, wanted, api.IdentificationTicket)

    async def open_identification(self, ticket: str) -> api.IdentificationFlow:
        """Use a ticket up, and begin the login at the citizens' issuer.

        Raises:
            Declined: The ticket is not valid (any more), or the issuer does not answer.
        """
        shown = api.TicketShown(ticket=ticket)
        return await self._http.ask("presence", api.IDENTIFY_OPEN, shown, api.IdentificationFlow)

    async def finish_identification(self, answer: api.OidcAnswer) -> api.IdentificationOutcome:
        """Return what became of the identification of the citizen whom the issuer has sent back.

        Raises:
            Declined: This browser has begun no such identification, or it was finished before.
        """
        return await self._http.ask("presence", api.IDENTIFY_FINISH, answer, api.IdentificationOutcome)

    async def agents(self, query: api.AgentsQuery) -> list[api.AgentView]:
        """Return the agents whom the query selects."""
        return (await self._http.read("presence", api.AGENTS, query, api.Agents)).agents

    async def names(self, query: api.NamesQuery) -> dict[str, str]:
        """Return the names of people by id."""
        return (await self._http.read("presence", api.NAMES, query, api.Names)).names

    async def buttons(self) -> list[ButtonChanged]:
        """Return the state of every button."""
        return (await self._http.read("presence", api.BUTTONS, None, api.Buttons)).buttons

    async def hold(self, query: api.HoldQuery) -> api.Held:
        """Reserve a slot. A repeated request returns the same reservation.

        Raises:
            Declined: Presence refused.
        """
        return await self._http.ask("presence", api.HOLD, query, api.Held, hedged=True)

    async def reserve(self, query: api.ReserveQuery) -> api.Reserved:
        """Reserve a slot while a form is open, or renew the reservation.

        Raises:
            Declined: Presence refused.
        """
        return await self._http.ask("presence", api.RESERVE, query, api.Reserved, hedged=True)

    async def release(self, query: api.ReleaseQuery) -> None:
        """Free the slot that a form reserved.

        Raises:
            Declined: Presence refused.
        """
        await self._http.ask("presence", api.RELEASE, query, Record)

    async def answer_day(self, department: str, days: int) -> date | None:
        """Return the day by which a question that is left now is answered.

        Args:
            department: The id of the department.
            days: The working days within which it answers.

        Returns:
            The day, or None when presence does not say it soon: the question is stored all the same.
        """
        query = api.AnswerDayQuery(department=department, days=days)
        try:
            async with asyncio.timeout(ANSWER_DAY_LIMIT):
                return (await self._http.read("presence", api.ANSWER_DAY, query, api.AnswerDay)).day
        except (Unavailable, TimeoutError):  # also a replica of an earlier release
            return None

    # ── for supervisors ──────────────────────────────────────────────────────────────────────────────────────────────

    async def intakes(self, departments: list[str]) -> supervision_api.Intakes:
        """Return the closed intakes of these departments, and their opening hours of today."""
        query = supervision_api.IntakesQuery(departments=departments)
        return await self._http.read("presence", supervision_api.INTAKES, query, supervision_api.Intakes)

    async def close_intake(self, wish: supervision_api.IntakeClose) -> supervision_api.ClosedIntake:
        """Close the intake of a department.

        Raises:
            Declined: The end is past or too far away.
        """
        path = supervision_api.INTAKE_CLOSE
        return await self._http.ask("presence", path, wish, supervision_api.ClosedIntake)

    async def open_intake(self, wish: supervision_api.IntakeOpen) -> None:
        """Open the intake of a department again.

        Raises:
            Declined: Presence refused.
        """
        await self._http.ask("presence", supervision_api.INTAKE_OPEN, wish, Record)

    async def pause_agent(self, act: supervision_api.AgentAct) -> None:
        """Pause an agent.

        Raises:
            Declined: There is no such agent in these departments, or they are not logged in.
        """
        await self._http.ask("presence", supervision_api.AGENT_PAUSE, act, Record)

    async def log_agent_out(self, act: supervision_api.AgentAct) -> None:
        """End all sessions of an agent.

        Raises:
            Declined: There is no such agent in these departments, or they are not logged in.
        """
        await self._http.ask("presence", supervision_api.AGENT_LOGOUT, act, Record)

    # ── for administrators ───────────────────────────────────────────────────────────────────────────────────────────

    async def configuration(self) -> configuration_api.Configuration:
        """Return the newest version of the departments.

        Raises:
            Declined: The departments are in a file.
        """
        path = configuration_api.CONFIGURATION
        return await self._http.ask("presence", path, None, configuration_api.Configuration, hedged=True)

    async def check_configuration(self, check: configuration_api.Check) -> configuration_api.Checked:
        """Return what would be with other departments.

        Raises:
            Declined: They are not valid, or there is a newer version than their author has seen.
        """
        path = configuration_api.CONFIGURATION_CHECK
        return await self._http.ask("presence", path, check, configuration_api.Checked, hedged=True)

    async def store_configuration(self, change: configuration_api.Change) -> configuration_api.Version:
        """Store a version of the departments.

        Raises:
            Declined: As `check_configuration`.
        """
        return await self._http.ask(
            "presence", configuration_api.CONFIGURATION_STORE, change, configuration_api.Version
        )

    async def configuration_versions(self, query: configuration_api.VersionsQuery) -> configuration_api.Versions:
        """Return versions of the departments.

        Raises:
            Declined: The departments are in a file.
        """
        path = configuration_api.CONFIGURATION_VERSIONS
        return await self._http.ask("presence", path, query, configuration_api.Versions, hedged=True)

    async def configuration_version(self, query: configuration_api.VersionQuery) -> configuration_api.VersionDetail:
        """Return one version of the departments.

        Raises:
            Declined: There is no such version.
        """
        path = configuration_api.CONFIGURATION_VERSION
        return await self._http.ask("presence", path, query, configuration_api.VersionDetail, hedged=True)

    async def sessions(self, query: sessions_api.SessionsQuery) -> sessions_api.Sessions:
        """Return live sessions of all people, or of those who are sought.

        Raises:
            Declined: Presence refused.
        """
        return await self._http.ask("presence", sessions_api.SESSIONS_SEARCH, query, sessions_api.Sessions, hedged=True)

    async def end_other_session(self, wish: sessions_api.OtherSessionEnd) -> None:
        """End a session of another person.

        Raises:
            Declined: There is no such session (any more).
        """
        await self._http.ask("presence", sessions_api.SESSIONS_END, wish, Record)

    async def accounts(self, query: accounts_api.AccountsQuery) -> accounts_api.Accounts:
        """Return accounts.

        Raises:
            Declined: The accounts are in a file.
        """
        return await self._http.ask("presence", accounts_api.ACCOUNTS, query, accounts_api.Accounts, hedged=True)

    async def check_account(self, wish: accounts_api.AccountWish) -> accounts_api.AccountChecked:
        """Return what a change of an account would change.

        Raises:
            Declined: As `change_account`.
        """
        return await self._http.ask("presence", accounts_api.ACCOUNTS_CHECK, wish, accounts_api.AccountChecked)

    async def change_account(self, wish: accounts_api.AccountWish) -> accounts_api.AccountChanged:
        """Change an account.

        Raises:
            Declined: It is not valid or not allowed, or there is a newer revision than its author has seen.
        """
        return await self._http.ask("presence", accounts_api.ACCOUNTS_CHANGE, wish, accounts_api.AccountChanged)

    async def account_history(self, query: accounts_api.AccountQuery) -> accounts_api.AccountHistory:
        """Return the changes of an account.

        Raises:
            Declined: There is no such account.
        """
        return await self._http.ask(
            "presence", accounts_api.ACCOUNTS_HISTORY, query, accounts_api.AccountHistory, hedged=True
        )
