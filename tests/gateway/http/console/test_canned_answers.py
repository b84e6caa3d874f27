"""`canned_answers.py` behind a real server: who may read and change canned answers, and how."""

from typing import Any

from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import CannedAnswer, CannedAnswers, Editor, Reader
from tests.gateway.asking import Client
from tests.gateway.making import AN, BERT, CHAT, NOW
from tests.gateway.standing import World

PATH = "/api/agent/canned-answers"
ONE = CannedAnswer(
    id=CHAT,
    code="groet",
    title="Begroeting",
    departments=["algemeen"],
    texts={"nl": "Goeiedag {{citizen}}"},
    revision=3,
    changed_at=NOW,
    changed_by=Editor(id=BERT, name="Bert"),
)
SHOWN = {**ONE.model_dump(mode="json"), "changed_at": "2026-11-23T08:00:00.123Z"}
GIVEN: dict[str, Any] = {
    "code": "groet",
    "title": " Begroeting ",
    "departments": ["premies", "algemeen", "algemeen"],
    "texts": {"nl": "Goeiedag {{citizen}},\n", "fr": "Bonjour {{ citizen }}"},
}


def asked(world: World, path: str) -> list[str]:
    return [body for asked_path, body in world.others.asked if asked_path == path]


async def test_an_agent_reads_those_of_their_departments_once(world: World, client: Client) -> None:
    cookie = f"eloket-agent={world.others.log_in(BERT)}"
    world.others.fixed[transcripts_api.CANNED_ANSWERS] = CannedAnswers(tag="t1", answers=[ONE])
    status, listed, headers = await client.ask("GET", PATH, Cookie=cookie)
    assert (status, listed) == (200, {"answers": [SHOWN]})
    assert (headers["ETag"], headers["Cache-Control"]) == ('"t1"', "no-store")
    world.others.fixed[transcripts_api.CANNED_ANSWERS] = CannedAnswers(tag="t1", answers=None)
    for tag in ('"t1"', 'W/"t1"'):
        status, nothing, headers = await client.ask("GET", PATH, Cookie=cookie, If_None_Match=tag)
        assert (status, nothing, headers["ETag"]) == (304, None, '"t1"')
    queries = [
        transcripts_api.CannedAnswersQuery.model_validate_json(b) for b in asked(world, transcripts_api.CANNED_ANSWERS)
    ]
    assert [(q.departments, q.known) for q in queries] == [(["algemeen"], known) for known in (None, "t1", "t1")]


async def test_a_supervisor_adds_changes_and_removes(world: World, client: Client, supervisor: str) -> None:
    for path in (transcripts_api.CANNED_ANSWER_ADD, transcripts_api.CANNED_ANSWER_CHANGE):
        world.others.fixed[path] = ONE
    assert (await client.ask("POST", PATH, GIVEN, Cookie=supervisor))[:2] == (201, SHOWN)
    changed = await client.ask("PUT", f"{PATH}/{CHAT}", {**GIVEN, "revision": 2}, Cookie=supervisor)
    assert changed[:2] == (200, SHOWN)
    assert (await client.ask("DELETE", f"{PATH}/{CHAT}?revision=3", Cookie=supervisor))[0] == 204
    new = transcripts_api.NewCannedAnswer.model_validate_json(asked(world, transcripts_api.CANNED_ANSWER_ADD)[0])
    assert (new.code, new.title, new.departments) == ("groet", "Begroeting", ["algemeen", "premies"])
    assert new.texts == {"nl": "Goeiedag {{citizen}},", "fr": "Bonjour {{ citizen }}"}
    by = Reader(agent_id=AN, supervisor=True, source="127.0.0.1")
    assert (new.by, new.name) == (by, "An")
    change = transcripts_api.CannedAnswerChange.model_validate_json(
        asked(world, transcripts_api.CANNED_ANSWER_CHANGE)[0]
    )
    assert (change.id, change.revision, change.own, change.by) == (CHAT, 2, ["algemeen", "premies"], by)
    removal = transcripts_api.CannedAnswerRemoval.model_validate_json(
        asked(world, transcripts_api.CANNED_ANSWER_REMOVE)[0]
    )
    assert (removal.id, removal.revision, removal.own, removal.by) == (CHAT, 3, ["algemeen", "premies"], by)


async def test_agents_and_strangers_change_nothing_nor_supervisors_of_other_departments(
    world: World, client: Client, supervisor: str
) -> None:
    bert = f"eloket-agent={world.others.log_in(BERT)}"
    requests = (("POST", PATH), ("PUT", f"{PATH}/{CHAT}"), ("DELETE", f"{PATH}/{CHAT}?revision=3"))
    for method, path in requests:
        body = None if method == "DELETE" else {**GIVEN, "revision": 3}
        assert (await client.ask(method, path, body))[1]["code"] == "unauthenticated"
        assert (await client.ask(method, path, body, Cookie=bert))[1]["code"] == "forbidden"
        foreign = await client.ask(method, path, body, Cookie=supervisor, Origin="https://evil.be")
        assert foreign[1]["code"] == "forbidden"
        if body:
            other = await client.ask(method, path, {**body, "departments": ["algemeen", "wonen"]}, Cookie=supervisor)
            assert (other[0], other[1]["code"]) == (403, "forbidden")
    assert (await client.ask("GET", PATH))[1]["code"] == "unauthenticated"
    assert not [path for path, _ in world.others.asked if "canned" in path]


WRONG: tuple[dict[str, Any], ...] = (
    {"code": "Groet"},
    {"code": "-groet"},
    {"code": "een groet"},
    {"code": "x" * 31},
    {"code": 7},
    {"title": " "},
    {"title": "x" * 101},
    {"departments": []},
    {"departments": "algemeen"},
    {"texts": {}},
    {"texts": {"es": "Hola"}},
    {"texts": {"nl": "  "}},
    {"texts": {"nl": "x" * 4_001}},
    {"texts": {"nl": "a\0b"}},
    {"texts": {"nl": "Goeiedag {{naam}}"}},
    {"revision": 0},
    {"revision": "3"},
    {"revision": 2**53 + 1},
)


async def test_a_wrong_answer_is_invalid_and_says_where(world: World, client: Client, supervisor: str) -> None:
    right = {**GIVEN, "revision": 3}
    for wrong in WRONG:
        status, problem, _ = await client.ask("PUT", f"{PATH}/{CHAT}", {**right, **wrong}, Cookie=supervisor)
        assert (status, problem["code"]) == (422, "invalid"), wrong
        assert all(error["at"].startswith(next(iter(wrong))) for error in problem["errors"]), problem
    for query in ("", "?revision=0", "?revision=x"):
        assert (await client.ask("DELETE", f"{PATH}/{CHAT}{query}", Cookie=supervisor))[1]["code"] == "invalid"
    assert (await client.ask("PUT", f"{PATH}/x", right, Cookie=supervisor))[1]["code"] == "no_such_answer"
    assert not [path for path, _ in world.others.asked if "canned" in path]


async def test_a_conflict_has_what_is_stored_and_an_outage_is_503(
    world: World, client: Client, supervisor: str
) -> None:
    requests = (
        ("POST", PATH, transcripts_api.CANNED_ANSWER_ADD, "code_taken"),
        ("PUT", f"{PATH}/{CHAT}", transcripts_api.CANNED_ANSWER_CHANGE, "changed"),
        ("DELETE", f"{PATH}/{CHAT}?revision=2", transcripts_api.CANNED_ANSWER_REMOVE, "changed"),
    )
    for method, path, internal, code in requests:
        body = None if method == "DELETE" else {**GIVEN, "revision": 2}
        world.others.refused[internal] = Problem(409, code, "no", current=ONE.model_dump(mode="json"))
        status, problem, _ = await client.ask(method, path, body, Cookie=supervisor)
        assert (status, problem["code"], problem["current"]) == (409, code, SHOWN)
        world.others.away.add(internal)
        assert (await client.ask(method, path, body, Cookie=supervisor))[1]["code"] == "unavailable"
    world.others.away.add(transcripts_api.CANNED_ANSWERS)
    assert (await client.ask("GET", PATH, Cookie=supervisor))[1]["code"] == "unavailable"
