"""Accounts of the accounts file in the database, at the start and after a change of the file: idempotent.

Every replica does it. Sessions of accounts that are gone, are disabled, have another password or have become another
kind of agent end here; their agents' chats are then handed on as after any end of a session.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from services.common.clock import utcnow
from services.presence.agents.accounts import Account
from services.presence.agents.passwords import fingerprint
from services.presence.agents.session_store import Session
from services.presence.agents.transitions import close_session_soon
from services.presence.context import Context
from services.presence.publisher import publish_agent_soon
from services.presence.stores import Stores

log = structlog.get_logger()


async def store_accounts(
    stores: Stores, accounts: Sequence[Account], issuer: str | None = None, roles: str | None = None
) -> list[Session]:
    """Store the accounts, and end the sessions that these no longer allow. Return these sessions.

    Args:
        stores: The stores.
        accounts: Every account that may log in by a password.
        issuer: The issuer at which others log in.
        roles: The fingerprint of what its roles give.

    Raises:
        PyMongoError: The database does not answer.
    """
    now, sessions = utcnow(), stores.sessions
    # Before the accounts are stored: a replica that dies in between is followed by one that finds the same difference.
    ended = await sessions.end_live_of(await stores.agents.with_other_rights(accounts), now)
    barred = await stores.agents.put_accounts(accounts, now, issuer)
    barred += await stores.officers.put_accounts(accounts, issuer)
    ended += await sessions.end_live_of(barred, now)
    hashes = {account.id: account.password_hash for account in accounts}
    changed_by_people = await stores.agents.changed_passwords() | await stores.officers.changed_passwords()
    hashes |= {id_: hash_ for id_, hash_ in changed_by_people.items() if id_ in hashes}
    if changed := await sessions.end_changed({id_: fingerprint(hash_) for id_, hash_ in hashes.items()}, now):
        log.info("sessions_ended", why="password_changed", sessions=len(changed))
    ended += changed
    if issuer is not None and roles is not None:
        known = await stores.agents.persons(issuer) | await stores.officers.persons(issuer)
        if changed := await sessions.end_changed(dict.fromkeys(known, roles), now):
            log.info("sessions_ended", why="roles_changed", sessions=len(changed))
        ended += changed
    log.info("accounts_ready", accounts=len(accounts))
    return ended


async def publish_changes(context: Context, ended: Sequence[Session]) -> None:
    """Do what follows from a change of accounts while the service runs.

    Args:
        context: Dependencies of the service.
        ended: The sessions that `store_accounts` has ended.
    """
    for session in ended:
        log.info("session_ended_by_accounts", agent_id=session.agent_id)
        await close_session_soon(context, session)
    for agent in await context.stores.agents.unpublished(context.clock()):
        context.wake(agent.departments)
        await publish_agent_soon(context, agent.id)
