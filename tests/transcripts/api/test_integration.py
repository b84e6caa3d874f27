"""The routes of the read API, over HTTP and the real database: who is a client, what it reads, and what is logged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.common.clock import utcnow
from services.common.config.departments import load_departments
from services.common.config.integrations import load_integrations
from services.common.http.tokens import Actor
from services.common.internal_api.integration import (
    CLIENT_ASSERTED,
    CLIENT_AUTHENTICATE,
    CLOSED_CHATS,
    QUESTION_ROWS,
    STATISTIC_ROWS,
)
from services.common.internal_api.transcripts import AskedQuestion, Rating
from services.common.mongo.client import Database
from services.transcripts.access.read_clients import ReadAccess
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.app import create_app
from services.transcripts.log.store import Store
from services.transcripts.questions.store import Questions
from services.transcripts.settings import Settings
from services.transcripts.statistics.store import Statistics
from tests.support.metrics import sample
from tests.transcripts.api.client import CHAT, ApiClient, fill, opened, seal
from tests.transcripts.conftest import OPENED_AT, new_id
from tests.transcripts.past_chats.conftest import Player

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PLACE = "https://chat.stad.example"
GIVEN, FORMER = "5e" * 32, "a1" * 32
FILE = f"""
[[clients]]
id = "cijfers"
secret_hashes = ["sha256:{sha256(GIVEN.encode()).hexdigest()}", "sha256:{sha256(FORMER.encode()).hexdigest()}"]
scopes = ["statistics:*", "chats:algemeen", "transcripts:algemeen", "questions:premies"]

[[clients]]
id = "sleutel"
public_keys = ['''{PEM}''']
scopes = ["chats:algemeen"]

[[clients]]
id = "beide"
secret_hashes = ["sha256:{sha256(GIVEN.encode()).hexdigest()}"]
public_keys = ['''{PEM}''']
scopes = ["chats:premies"]
"""
READER = {"client_id": "cijfers", "source": "192.0.2.9"}
DAYS = {"since": "2026-11-22", "until": "2026-11-22"}
ALGEMEEN: dict[str, Any] = {"reader": READER, "department": "algemeen", **DAYS}
PREMIES: dict[str, Any] = {"reader": READER, "department": "premies", **DAYS}


def signed(key: ec.EllipticCurvePrivateKey = KEY, client: str = "sleutel") -> str:
    """What a client signs for a token."""
    now = int(utcnow().timestamp())
    claims = {"iss": client, "sub": client, "aud": PLACE, "iat": now, "exp": now + 60, "jti": new_id()}
    return jwt.encode(claims, key, "ES256")


def asserted(scope: str | None = None, **signing: Any) -> dict[str, Any]:
    """What a gateway asks for one token request."""
    return {"assertion": signed(**signing), "audiences": [PLACE], "request": token_hex(), "scope": scope}


@pytest.fixture
async def api(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str, tmp_path: Path
) -> AsyncIterator[ApiClient]:
    await fill(store)
    file = tmp_path / "integrations.toml"
    file.write_text(FILE)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, integrations_file=file))) as made:
        yield made


@pytest.fixture
def apart(
    make_settings: Callable[..., Settings], vhost_url: str, tmp_path: Path
) -> Callable[[], contextlib.AbstractAsyncContextManager[ApiClient]]:
    """Each call opens one more replica, on the same database."""
    file = tmp_path / "integrations.toml"
    file.write_text(FILE)
    return lambda: opened(create_app(make_settings(rabbitmq_url=vhost_url, integrations_file=file)))


@pytest.fixture
async def player(database: Database, store: Store, make_settings: Callable[..., Settings]) -> Player:
    return Player(database, store, load_departments(make_settings().departments_file))


async def logged(database: Database) -> list[dict[str, Any]]:
    return (
        await database["access_log"].find({"who": "cijfers"}, {"_id": 0, "at": 0, "prev": 0, "hash": 0}).to_list(None)
    )


# ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("secret", [GIVEN, FORMER])
async def test_a_client_gets_its_scopes_with_either_secret(api: ApiClient, secret: str) -> None:
    all_of_them = ["statistics:*", "chats:algemeen", "transcripts:algemeen", "questions:premies"]
    given = {"client_id": "cijfers", "secret": secret}
    assert await api.ask(CLIENT_AUTHENTICATE, given) == (200, {"client_id": "cijfers", "scopes": all_of_them})
    asked = {**given, "scope": "chats:algemeen statistics:premies chats:algemeen"}
    status, told = await api.ask(CLIENT_AUTHENTICATE, asked)
    assert (status, told["scopes"]) == (200, ["chats:algemeen", "statistics:premies"])


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"secret": "5f" * 32}, 401, "invalid_client"),
        ({"secret": ""}, 401, "invalid_client"),
        ({"client_id": "ander"}, 401, "invalid_client"),
        ({"scope": "chats:premies"}, 400, "invalid_scope"),
        ({"scope": "chats:*"}, 400, "invalid_scope"),
        ({"scope": "statistics:nergens"}, 400, "invalid_scope"),
        ({"scope": "admin"}, 400, "invalid_scope"),
        ({"scope": "chats:algemeen transcripts:premies"}, 400, "invalid_scope"),
        ({"secret": "x" * 201}, 422, "invalid"),
    ],
)
async def test_others_are_refused_without_a_word_of_the_secret(
    api: ApiClient, changed: dict[str, str], status: int, code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    got, told = await api.ask(CLIENT_AUTHENTICATE, {"client_id": "cijfers", "secret": GIVEN, **changed})
    assert (got, told["code"]) == (status, code)
    said = "".join(capfd.readouterr()) + str(told)
    assert GIVEN not in said
    assert not changed.get("secret") or changed["secret"] not in said


async def test_a_client_with_a_key_is_known_by_what_it_signs(api: ApiClient) -> None:
    given = asserted(scope="chats:algemeen")
    assert await api.ask(CLIENT_ASSERTED, given) == (200, {"client_id": "sleutel", "scopes": ["chats:algemeen"]})
    for more, expected in (
        ({}, (200, None, None)),
        ({"client_id": "sleutel"}, (200, None, None)),
        ({"audiences": ["https://other.example", PLACE]}, (200, None, None)),
        ({"client_id": "cijfers"}, (401, "invalid_client", "client")),
        ({"scope": "questions:algemeen"}, (400, "invalid_scope", None)),
        ({"audiences": ["https://other.example"]}, (401, "invalid_client", "aud")),
        ({"audiences": []}, (401, "invalid_client", "aud")),
        ({"assertion": signed(key=ec.generate_private_key(ec.SECP256R1()))}, (401, "invalid_client", "signature")),
        ({"assertion": "x" * 4_097}, (422, "invalid", None)),
        ({"request": ""}, (422, "invalid", None)),
    ):
        status, told = await api.ask(CLIENT_ASSERTED, {**asserted(), **more})
        assert (status, told.get("code"), told.get("why")) == expected, more


async def test_a_client_has_what_the_file_gives_it(api: ApiClient) -> None:
    status, told = await api.ask(CLIENT_AUTHENTICATE, {"client_id": "sleutel", "secret": ""})
    assert (status, told["code"]) == (401, "invalid_client"), "without a secret there is none to guess"
    status, told = await api.ask(CLIENT_ASSERTED, asserted(client="cijfers"))
    assert (status, told["why"]) == (401, "signature"), "without a key there is none to sign with"
    for one in (asserted(client="beide"), {"client_id": "beide", "secret": GIVEN}):
        path = CLIENT_ASSERTED if "assertion" in one else CLIENT_AUTHENTICATE
        assert await api.ask(path, one) == (200, {"client_id": "beide", "scopes": ["chats:premies"]})


async def test_an_assertion_is_accepted_once_by_all_replicas_and_after_a_restart(
    database: Database, apart: Callable[[], contextlib.AbstractAsyncContextManager[ApiClient]]
) -> None:
    given = asserted()
    async with apart() as one, apart() as other:
        both = [api.ask(CLIENT_ASSERTED, {**given, "request": token_hex()}) for api in (one, other) for _ in range(5)]
        answers = await asyncio.gather(*both)
        assert sorted(status for status, _ in answers) == [200] + [401] * 9
        assert {told["why"] for status, told in answers if status == 401} == {"jti_used"}
        assert {told["client"] for status, told in answers if status == 401} == {"sleutel"}
    async with apart() as again:
        assert (await again.ask(CLIENT_ASSERTED, {**given, "request": token_hex()}))[0] == 401
        assert (await again.ask(CLIENT_ASSERTED, asserted()))[0] == 200, "with another number"
    assert await database["client_assertions"].count_documents({}) == 2


async def test_a_question_that_the_gateway_repeats_is_the_same_use(
    apart: Callable[[], contextlib.AbstractAsyncContextManager[ApiClient]],
) -> None:
    """Its connection broke before it had the answer. It sends the question again, perhaps to another replica."""
    given = asserted()
    async with apart() as one, apart() as other:
        for api in (one, other, one):
            assert (await api.ask(CLIENT_ASSERTED, given))[0] == 200
        status, told = await other.ask(CLIENT_ASSERTED, {**given, "request": token_hex()})
        assert (status, told["why"]) == (401, "jti_used")


async def test_what_is_refused_uses_nothing_up(api: ApiClient, database: Database) -> None:
    given = asserted()
    assert (await api.ask(CLIENT_ASSERTED, {**given, "audiences": ["https://other.example"]}))[0] == 401
    assert await database["client_assertions"].count_documents({}) == 0
    assert (await api.ask(CLIENT_ASSERTED, given))[0] == 200


async def test_the_number_of_an_assertion_is_forgotten_when_it_is_too_old(api: ApiClient, database: Database) -> None:
    before = utcnow()
    assert (await api.ask(CLIENT_ASSERTED, asserted()))[0] == 200
    indexes = await database["client_assertions"].index_information()
    assert [one["key"] for one in indexes.values() if one.get("expireAfterSeconds") == 0] == [[("expires_at", 1)]]
    (kept,) = await database["client_assertions"].find({}).to_list(None)
    assert set(kept) == {"_id", "request", "expires_at"}
    assert "sleutel" not in str(kept)
    life = kept["expires_at"] - before
    assert timedelta(seconds=110) < life < timedelta(seconds=130), "a minute, and one for the clocks"


async def test_refusals_are_counted_and_nothing_of_the_assertion_is_logged(
    api: ApiClient, capfd: pytest.CaptureFixture[str]
) -> None:
    counted = ("eloket_transcripts_client_authentications_total", {"outcome": "refused"})
    before = sample(*counted) or 0.0
    given = asserted(client="nobody")
    status, told = await api.ask(CLIENT_ASSERTED, given)
    assert (status, told["why"], told["client"]) == (401, "client", None)
    assert sample(*counted) == before + 1
    said = "".join(capfd.readouterr()) + str(told)
    assert given["assertion"] not in said
    assert "nobody" not in said


async def test_departments_count_as_they_are_now(
    database: Database, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """They change while the service runs; where presence stores them, none is known at the start."""
    file = tmp_path / "integrations.toml"
    file.write_text(FILE.replace("chats:algemeen", "chats:nieuw"))
    departments = load_departments(make_settings().departments_file)
    access = ReadAccess(database, load_integrations(file, None), departments)
    client = access.client("cijfers", GIVEN)
    assert client is not None
    actor = Actor(party="client", id="cijfers", departments=["*"])
    assert access.granted(actor) == actor.model_copy(update={"departments": ["algemeen"]})
    assert (access.may("cijfers", "chats", "nieuw"), access.may("cijfers", "questions", "premies")) == (False, True)
    assert access.scopes(client, "statistics:nieuw") is None
    new = departments.departments[0].model_copy(update={"id": "nieuw"})
    departments.take_over(departments.model_copy(update={"departments": (new,)}))
    assert (access.may("cijfers", "chats", "nieuw"), access.may("cijfers", "questions", "premies")) == (True, False)
    assert access.scopes(client, "statistics:nieuw") == ["statistics:nieuw"]
    assert access.granted(actor) == actor.model_copy(update={"departments": []})


# ── statistics ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_rows_are_paged_in_order_without_persons_and_each_page_is_logged(
    api: ApiClient, database: Database, player: Player
) -> None:
    statistics, ratings = Statistics(database, agents=True), Ratings(database, Statistics(database))
    chats = [await player.ended(("citizen", "Dag"), ("an", "Ja?"), at=OPENED_AT) for _ in range(3)]
    other = await player.ended(("citizen", "Dag"), department="premies", at=OPENED_AT)
    for chat in (*chats, other):
        await statistics.count_chat(chat)
    await ratings.rate(Rating(chat_id=chats[0], helped="yes", score=4), "algemeen", OPENED_AT)
    rows: list[dict[str, Any]] = []
    after = None
    for _ in range(3):
        status, page = await api.ask(STATISTIC_ROWS, {**ALGEMEEN, "limit": 1, "after": after})
        assert (status, len(page["rows"])) == (200, 1)
        rows, after = rows + page["rows"], page["next"]
    assert after is None
    assert len({row["id"] for row in rows}) == 3
    assert {row["department"] for row in rows} == {"algemeen"}
    assert sorted((row["helped"] or "", row["score"] or 0) for row in rows) == [("", 0), ("", 0), ("yes", 4)]
    assert rows[0]["opened_at"] == "2026-11-22T14:51:00.123Z"
    assert rows[0].keys() == {
        *("id", "opened_at", "department", "served", "reason", "transfers", "wait", "first_answer", "duration"),
        *("wrap_up", "helped", "score"),
    }
    assert not any(word in str(rows) for word in (*chats, "'an'", "Peeters"))
    whole = (await api.ask(STATISTIC_ROWS, ALGEMEEN))[1]
    assert ([row["id"] for row in whole["rows"]], whole["next"]) == ([row["id"] for row in rows], None)
    entry = {"act": "report_read", "who": "cijfers", "role": "service", "department": "algemeen", "source": "192.0.2.9"}
    assert await logged(database) == [entry] * 4


async def test_days_bound_the_rows(api: ApiClient, database: Database, player: Player) -> None:
    await Statistics(database).count_chat(await player.ended(("citizen", "Dag"), at=OPENED_AT))
    for since, number in (("2026-11-21", 0), ("2026-11-22", 1), ("2026-11-23", 0)):
        page = (await api.ask(STATISTIC_ROWS, {**ALGEMEEN, "since": since, "until": since}))[1]
        assert len(page["rows"]) == number
    for wrong in ({"since": "2026-11-23"}, {"since": "2024-01-01"}):
        status, told = await api.ask(STATISTIC_ROWS, {**ALGEMEEN, **wrong})
        assert (status, told["code"]) == (422, "period_too_long")


async def test_left_questions_are_counted_by_row(api: ApiClient, database: Database) -> None:
    question = AskedQuestion.model_validate(
        {"chat_id": new_id(), "department": "algemeen", "contact": "02 1", "text": "V", "at": OPENED_AT, "request": "x"}
    )
    await Questions(database).leave(question, OPENED_AT)
    found = await database["questions"].find_one({"_id": question.chat_id})
    assert found
    await Statistics(database).count_question(found)
    page = (await api.ask(STATISTIC_ROWS, {**ALGEMEEN, "of": "questions"}))[1]
    (row,) = page["rows"]
    assert (row["at"], row["source"]) == ("2026-11-22T15:00:00.123Z", "chat")
    assert question.chat_id not in str(row)


# ── chats and transcripts ────────────────────────────────────────────────────────────────────────────────────────────


async def test_closed_chats_are_listed_without_persons(api: ApiClient, database: Database, player: Player) -> None:
    first = await player.ended(("citizen", "kwetterbes"), ("an", "Ja?"), at=OPENED_AT)
    later = await player.ended(("citizen", "Dag"), at=OPENED_AT + timedelta(hours=1))
    await player.ended(("citizen", "Dag"), department="premies", at=OPENED_AT)
    query = {"reader": READER, "department": "algemeen", "limit": 1}
    status, page = await api.ask(CLOSED_CHATS, query)
    assert (status, [chat["chat_id"] for chat in page["chats"]]) == (200, [later])
    page = (await api.ask(CLOSED_CHATS, {**query, "before": page["next"]}))[1]
    (chat,) = page["chats"]
    assert (chat["chat_id"], chat["departments"], chat["ended_by"], chat["agents"]) == (first, ["algemeen"], "agent", 1)
    assert page["next"] is None
    assert not any(word in str(page) for word in ("Peeters", "'an'", "kwetterbes"))
    assert {entry["act"] for entry in await logged(database)} == {"chats_listed"}
    for day, number in (("2026-11-21", 0), ("2026-11-22", 2), ("2026-11-23", 0)):
        page = (await api.ask(CLOSED_CHATS, {**ALGEMEEN, "since": day, "until": day}))[1]
        assert len(page["chats"]) == number, day
    for days, number in (({"since": "2026-11-23"}, 0), ({"until": "2026-11-21"}, 0), ({"since": "2026-11-22"}, 2)):
        page = (await api.ask(CLOSED_CHATS, {"reader": READER, "department": "algemeen", **days}))[1]
        assert len(page["chats"]) == number, days


async def test_a_transcript_is_read_after_the_end_and_the_client_is_the_reader(
    api: ApiClient, database: Database, store: Store
) -> None:
    path, actor = (
        f"/chats/{CHAT}/transcript?format=json",
        Actor(party="client", id="cijfers", departments=["algemeen", "premies"], source="192.0.2.9"),
    )
    before = transcripts_read()
    assert (await api.get(path, actor))[0] == 409
    await seal(store, datetime.now(UTC))
    assert (await api.get(path, actor))[0] == 200
    (entry,) = await logged(database)
    assert {k: entry[k] for k in ("act", "role", "chat_id", "item", "department", "source")} == {
        "act": "transcript_read",
        "role": "service",
        "chat_id": CHAT,
        "item": "json",
        "department": "algemeen",
        "source": "192.0.2.9",
    }
    for wrong in ({"departments": ["premies"]}, {"departments": None}, {"id": "ander"}):
        assert (await api.get(path, actor.model_copy(update=wrong)))[0] == 404, wrong
    assert (await api.get(path, actor.model_copy(update={"departments": ["*"]})))[0] == 200
    assert (await api.get(f"/chats/{CHAT}/notes", actor))[0] == 403
    assert (await api.upload(b"x", actor=actor))[0] == 403
    wanted = {
        ("cijfers", "read"): 2,
        ("cijfers", "not_ended"): 1,
        ("cijfers", "not_found"): 2,
        ("unknown", "not_found"): 1,
    }
    assert {key: count - before[key] for key, count in transcripts_read().items() if count > before[key]} == wanted


def transcripts_read() -> dict[tuple[str, str], float]:
    """How many transcripts were asked for in this process, by client and outcome."""
    return {
        (client, outcome): sample("eloket_transcripts_client_transcripts_total", {"client": client, "outcome": outcome})
        or 0.0
        for client in ("cijfers", "ander", "unknown")
        for outcome in ("read", "not_found", "not_ended", "rate_limited", "failed")
    }


async def test_a_citizen_and_an_agent_are_no_clients(api: ApiClient, store: Store) -> None:
    before = transcripts_read()
    assert (await api.get(f"/chats/{CHAT}/transcript?format=json", Actor(party="citizen", id=CHAT)))[0] == 200
    assert (await api.get(f"/chats/{CHAT}/transcript?format=json", Actor(party="agent", id="nobody")))[0] == 403
    assert transcripts_read() == before


# ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_left_questions_are_read_with_what_was_asked(api: ApiClient, database: Database) -> None:
    questions = Questions(database)
    for n in range(3):
        fields = {"chat_id": new_id(), "department": "premies", "contact": "02 1", "text": f"Vraag {n}", "request": "x"}
        at = OPENED_AT + timedelta(minutes=n)
        await questions.leave(AskedQuestion.model_validate({**fields, "at": at, "source": "button"}), at)
    await database["questions"].update_one({"text": "Vraag 2"}, {"$set": {"erasing": {"at": OPENED_AT}}})
    first = (await api.ask(QUESTION_ROWS, {**PREMIES, "limit": 1}))[1]
    second = (await api.ask(QUESTION_ROWS, {**PREMIES, "limit": 1, "after": first["next"]}))[1]
    assert [row["text"] for row in first["rows"] + second["rows"]] == ["Vraag 0", "Vraag 1"]
    assert second["next"] is None, "one that is being erased is not shown"
    (row,) = first["rows"]
    assert (row["contact"], row["done_at"], row["source"], len(row["number"])) == ("02 1", None, "button", 8)
    assert {entry["act"] for entry in await logged(database)} == {"questions_read"}


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "department"), [(CLOSED_CHATS, "premies"), (QUESTION_ROWS, "algemeen"), (STATISTIC_ROWS, "nergens")]
)
async def test_what_the_file_does_not_grant_is_refused_whatever_the_token_says(
    api: ApiClient, database: Database, path: str, department: str
) -> None:
    status, told = await api.ask(path, {**ALGEMEEN, "department": department})
    assert (status, told["code"]) == (403, "insufficient_scope")
    gone = await api.ask(STATISTIC_ROWS, {**ALGEMEEN, "reader": {"client_id": "ander"}})
    assert (gone[0], gone[1]["code"]) == (403, "insufficient_scope")
    assert await logged(database) == []


@pytest.mark.parametrize(
    "wrong", [{"limit": 201}, {"limit": 0}, {"after": "$gt"}, {"after": "9" * 15 + "-a"}, {"of": "agents"}]
)
async def test_wrong_questions_are_refused(api: ApiClient, wrong: dict[str, Any]) -> None:
    status, told = await api.ask(STATISTIC_ROWS, {**ALGEMEEN, **wrong})
    assert (status, told["code"]) == (422, "invalid")
