"""Checks of the systems of the integrations file: webhooks, registers of contacts and the mail server.

They are asked as transcripts asks them, with its rules of addresses and certificates. Nothing is sent, registered or
mailed.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

from deploy.check.result import Result
from services.common.clock import utcnow
from services.common.config.integrations import (
    ContactRegister,
    MailServer,
    Webhook,
    load_integrations,
    read_secrets,
    read_token,
)
from services.common.config.toml_file import ConfigurationError
from services.transcripts.outbox.addresses import Network, parse_networks
from services.transcripts.outbox.contacts import MOST_ANSWER, count_of, filter_of, headers_with
from services.transcripts.outbox.http import CheckedClient, read, tls_context
from services.transcripts.outbox.mail import MailConnection, attempt
from services.transcripts.outbox.rules import Outcome, Verdict, judged

LIMIT = 10.0  # seconds for each of them
NOBODY = str(UUID(int=0))  # the number of no chat
AWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
REMEDIES = {
    "refused_address": "add the network of this address to OUTBOX_NETWORKS",
    "name_not_found": "is the name right, and does the NetworkPolicy `names` fit the cluster's DNS?",
    "tls": "name the CA of its certificate (OUTBOX_CA_FILE) and a host of the certificate",
    "connection": "is it up, is the port right, does a NetworkPolicy of the component webhooks or mail allow it?",
    "timeout": "is it up, is the port right, does a NetworkPolicy of the component webhooks or mail allow it?",
    "not_supported": "the server offers no STARTTLS, or no login: look at `security` and `username`",
    "status_401": "ask for another token, and put it where the file says",
    "status_403": "give the token the right to read and write contacts",
    "smtp_530": "give `username` and `password`: the server asks for a login",
    "smtp_535": "compare username and password of [mail_server] with the server's account",
}
OTHERWISE = "ask its operator; docs/integration.md says what it must do"


async def results(path: Path, networks: str, ca_file: str) -> list[Result]:
    """Return what each system of this file answers.

    Args:
        path: The integrations file.
        networks: `OUTBOX_NETWORKS`.
        ca_file: `OUTBOX_CA_FILE`; empty: there is none.
    """
    try:
        found = load_integrations(path, None)
        tls = tls_context(Path(ca_file) if ca_file else None)
        allowed = parse_networks(networks)
    except ConfigurationError as error:
        return [Result("integrations", "transcripts does not start with them", str(error))]
    except ValueError:
        return [Result("integrations", "OUTBOX_NETWORKS is no list", "write networks such as 10.20.0.0/16")]
    client = CheckedClient(allowed, tls, LIMIT)
    try:
        asked = [await _webhook(client, one) for one in found.webhooks]
        asked += [await _register(client, one) for one in found.contact_registers]
    finally:
        await client.close()
    if found.mails and found.mail_server is not None:
        asked.append(await _mail_server(found.mail_server, allowed, tls))
    return asked or [Result("integrations", "no system is told of anything", asked=False)]


async def _webhook(client: CheckedClient, webhook: Webhook) -> Result:
    """Connect, and ask for nothing but the head: what a receiver answers to that does not matter."""
    what = f"webhook {webhook.id}"
    try:
        read_secrets(webhook)
    except ConfigurationError as error:
        return _without_secret(what, error)
    said: list[int] = []

    async def ask() -> Outcome:
        async with client.request("HEAD", webhook.url, {}) as answer:
            said.append(answer.status)
            return judged(answer.status, None, utcnow()) if answer.status in AWAY else Outcome(Verdict.DELIVERED)

    return _result(what, await client.attempt(ask()), f"reached, it says {said[0]}" if said else "")


async def _register(client: CheckedClient, register: ContactRegister) -> Result:
    """Look for the contact of no chat, as it is done before each chat is registered."""
    what = f"register {register.id}"
    try:
        token = read_token(register.id, register.token)
    except ConfigurationError as error:
        return _without_secret(what, error)
    address = f"{register.url.rstrip('/')}/klantcontacten"

    async def ask() -> Outcome:
        async with client.request("GET", address, headers_with(token), params=filter_of(NOBODY)) as answer:
            body = await read(answer, MOST_ANSWER)
            outcome = judged(answer.status, None, utcnow())
        understood = outcome.verdict is not Verdict.DELIVERED or count_of(body) is not None
        return outcome if understood else Outcome(Verdict.FAILED, "not_understood")

    return _result(what, await client.attempt(ask()), "it looks for contacts with this token")


async def _mail_server(server: MailServer, allowed: Sequence[Network], tls: ssl.SSLContext) -> Result:
    what = "mail server"
    try:
        password = read_token("mail_server", server.password) if server.password else None
    except ConfigurationError as error:
        return _without_secret(what, error)
    connection = MailConnection(server, password, allowed, tls, LIMIT)
    outcome, _ = await attempt(connection, connection.offer, LIMIT)
    return _result(what, outcome, f"{server.host} takes mail of {server.sender}")


def _without_secret(what: str, error: ConfigurationError) -> Result:
    return Result(what, "not asked without its secret", str(error))


def _result(what: str, outcome: Outcome, good: str) -> Result:
    if outcome.verdict is Verdict.DELIVERED:
        return Result(what, good)
    return Result(what, f"failed ({outcome.cause})", REMEDIES.get(outcome.cause, OTHERWISE))
