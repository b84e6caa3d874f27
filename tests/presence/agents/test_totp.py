"""services/presence/agents/totp.py by the test vectors of RFC 6238, appendix B, and logins that need a code."""

import base64
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api.presence import Credentials
from services.common.mongo.client import Database
from services.presence.accounts.secret_seal import SecretSeal
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from services.presence.agents.logins import Logins
from services.presence.context import Context
from tests.presence.agents.test_logins import OFFICE, Plain
from tests.presence.conftest import HASH, SECRET, Clock, account
from tests.support.servers import PATIENCE, ROOT

RFC = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_the_standard(seconds: int, code: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert totp.code_at(RFC, totp.step_of(moment)) == code[-6:]


def test_codes_of_the_step_before_and_after_are_accepted_and_no_others() -> None:
    now = datetime.fromtimestamp(1234567890, UTC)
    code = totp.code_at(RFC, totp.step_of(now))
    shifts = {n: totp.matching_step(RFC, code, now + timedelta(seconds=n * totp.STEP)) for n in range(-3, 4)}
    assert {n for n, step in shifts.items() if step == totp.step_of(now)} == {-1, 0, 1}
    assert totp.matching_step(RFC, f"{code[:3]} {code[3:]}", now) == totp.step_of(now)
    for wrong in ("", "1", code + "0", code[:-1], "é", "\ud800", "999999"):
        assert totp.matching_step(RFC, wrong, now) is None


def test_secrets_that_are_too_short_or_not_base32_are_refused() -> None:
    for wrong in ("", "JBSWY3DPEHPK3PXP", "not base32!", "1" * 32):
        with pytest.raises(ValueError, match="hash --totp"):
            totp.secret_bytes(wrong)
    assert len(totp.secret_bytes(totp.new_secret())) == 20
    assert totp.secret_bytes(RFC.lower()) == b"12345678901234567890"


def test_the_tool_prints_a_secret_and_the_address_for_an_authenticator() -> None:
    command = [sys.executable, "-m", "services.presence.hash", "--totp", "an"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=3 * PATIENCE, cwd=ROOT, check=True)
    line, uri = made.stdout.splitlines()
    secret = line.removeprefix('totp_secret = "').removesuffix('"')
    assert len(totp.secret_bytes(secret)) == 20
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/e-loket%20chat:an")
    assert parse_qs(parts.query)["secret"] == [secret]


# ── logging in ───────────────────────────────────────────────────────────────────────────────────────────────────────


AN = account("an").model_copy(update={"totp_secret": RFC})
AUDRA = Account(username="audra", name="Audra", password_hash=HASH, role="auditor", totp_secret=RFC)


def door(context: Context, clock: Clock, only: set[str] | None = None) -> Logins:
    moved = Context(context.stores, context.publisher, context.wake, clock)
    factors = {"an": RFC}
    return Logins(moved, Plain(), Keys(SECRET), 12, True, clock.monotonic, second_factors=factors, only=only)


@pytest.fixture
async def clock(context: Context, clock: Clock) -> Clock:
    await context.stores.agents.put_accounts([AN, account("bert")], clock())
    return clock


async def attempt(one: Logins, code: str = "", password: str = "demo", username: str = "an") -> str:
    try:
        await one.log_in(Credentials(username=username, password=password, address=OFFICE, code=code))
    except Problem as problem:
        return problem.code
    return "ok"


def code_of(clock: Clock, steps: int = 0) -> str:
    return totp.code_at(RFC, totp.step_of(clock()) + steps)


async def test_the_code_is_asked_for_after_the_right_password_only(context: Context, clock: Clock) -> None:
    one = door(context, clock)
    assert await attempt(one) == "totp_required"
    assert await attempt(one, password="wrong") == "bad_credentials"
    assert await attempt(one, code_of(clock), password="wrong") == "bad_credentials"
    assert await attempt(one, code_of(clock)) == "ok"
    assert await attempt(one, username="bert") == "ok"


async def test_a_code_is_used_once_in_all_replicas_and_may_be_a_step_off(context: Context, clock: Clock) -> None:
    one, other = door(context, clock), door(context, clock)
    assert await attempt(one, code_of(clock, -1)) == "ok"
    assert await attempt(other, code_of(clock, -1)) == "bad_credentials"
    assert await attempt(other, code_of(clock, 1)) == "ok"
    for steps in (-2, 2):
        assert await attempt(one, code_of(clock, steps)) == "bad_credentials"


async def test_guessing_codes_is_as_slow_as_guessing_passwords(context: Context, clock: Clock) -> None:
    one = door(context, clock)
    wrong = "000000" if code_of(clock) != "000000" else "000001"
    tries = [await attempt(one, "" if n % 2 else wrong) for n in range(12)]
    assert tries[-2:] == ["rate_limited"] * 2, "being asked for the code does not begin the count again"


async def test_where_passwords_are_for_emergencies_others_are_unknown(context: Context, clock: Clock) -> None:
    one = door(context, clock, only={"an"})
    assert await attempt(one, username="bert") == "bad_credentials"
    assert await attempt(one, code_of(clock)) == "ok"


async def test_the_secret_is_not_stored(context: Context, clock: Clock) -> None:
    with_secret = account("an").model_copy(update={"totp_secret": RFC})
    await context.stores.agents.put_accounts([with_secret], clock())
    stored = await context.stores.agents._documents.find_one({"username": "an"})
    assert RFC not in str(stored)
    assert RFC not in repr(with_secret)


# ── replicas that have not read the same accounts file yet ───────────────────────────────────────────────────────────


async def test_a_replica_that_does_not_know_a_new_secret_lets_nobody_in_by_the_password_alone(
    context: Context, clock: Clock
) -> None:
    await context.stores.agents.put_accounts([account("an"), account("bert")], clock())
    behind = door(context, clock)
    behind.follow_accounts({}, None)
    assert await attempt(behind) == "ok"
    await context.stores.agents.put_accounts([AN, account("bert")], clock())  # by another replica
    for _ in range(12):
        assert await attempt(behind) == "unavailable", "it counts as no attempt"
    assert await attempt(behind, code_of(clock)) == "unavailable"
    assert await attempt(behind, password="wrong") == "bad_credentials"
    assert await attempt(behind, username="bert") == "ok", "the others log in"
    behind.follow_accounts({"an": RFC}, None)
    assert await attempt(behind) == "totp_required"
    assert await attempt(behind, code_of(clock)) == "ok"


async def test_a_replica_does_not_accept_codes_of_a_secret_that_was_replaced_or_removed(
    context: Context, clock: Clock
) -> None:
    behind = door(context, clock)
    for secret in (totp.new_secret(), None):
        await context.stores.agents.put_accounts([AN.model_copy(update={"totp_secret": secret})], clock())
        assert await attempt(behind, code_of(clock)) == "unavailable"


async def test_it_is_so_for_officers_too(context: Context, clock: Clock) -> None:
    await context.stores.officers.put_accounts([AUDRA])
    behind = door(context, clock)
    assert await attempt(behind, username="audra") == "unavailable"
    behind.follow_accounts({"audra": RFC}, None)
    assert await attempt(behind, username="audra") == "totp_required"


async def test_a_replica_that_has_not_the_key_of_a_secret_lets_nobody_in_and_leaves_it_to_the_others(
    context: Context, clock: Clock, db: Database
) -> None:
    sealed = SecretSeal([b"x" * 32]).close(RFC, "an")
    without, knows = door(context, clock), door(context, clock)
    without.follow_accounts({"an": sealed}, None)
    people = [one.model_copy(update={"totp_secret": sealed}) for one in (AN, AUDRA)] + [account("bert")]
    await context.stores.officers.put_accounts([AUDRA])
    await context.stores.officers.put_accounts(people)  # by that replica
    await context.stores.agents.put_accounts(people, clock())
    for _ in range(12):
        assert await attempt(without) == "unavailable", "it counts as no attempt"
    assert await attempt(without, code_of(clock)) == "unavailable"
    assert await attempt(without, password="wrong") == "bad_credentials"
    assert await attempt(without, username="bert") == "ok", "the others log in"
    assert await attempt(knows, code_of(clock)) == "ok"
    knows.follow_accounts({"audra": RFC}, None)
    assert await attempt(knows, username="audra") == "totp_required"
    await db["agents"].update_one({"_id": AN.id}, {"$unset": {"second_factor": ""}})  # no replica has read it yet
    assert await attempt(without) == await attempt(without, code_of(clock)) == "unavailable"


async def test_an_account_that_an_earlier_release_has_stored_goes_by_the_file(
    context: Context, clock: Clock, db: Database
) -> None:
    await db["agents"].update_one({"_id": AN.id}, {"$unset": {"second_factor": ""}})
    assert await attempt(door(context, clock)) == "totp_required"


def test_a_fingerprint_is_of_the_bytes_of_a_secret() -> None:
    assert totp.fingerprint(RFC) == totp.fingerprint(RFC.lower())
    assert totp.fingerprint(RFC) != totp.fingerprint(totp.new_secret())
    assert totp.fingerprint(None) == ""
