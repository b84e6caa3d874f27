"""Bad input gets its documented answer and disturbs nobody else."""

import json
from typing import Any

import pytest

from tests.support.clients import Citizen, Socket, agent, begin, citizen, http_client, new_id, pair, say
from tests.support.servers import System


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{not json", 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b'{"name": 7}', 422, "invalid"),
        (b'{"question": "\\ud800"}', 422, "invalid"),
        (b'{"name": "a\\u0000b"}', 422, "invalid"),
        (b'{"form": {"url": "javascript:alert(1)"}}', 422, "invalid"),
        (b'{"department": "bestaat-niet"}', 404, "unknown_department"),
        (json.dumps({"question": "x" * 4_001}).encode(), 422, "invalid"),
        (json.dumps({"question": "x" * 70_000}).encode(), 413, "too_large"),
    ],
)
async def test_a_bad_start(system: System, body: bytes, status: int, code: str) -> None:
    async with http_client() as session:
        headers = {"Content-Type": "application/json"}
        answer = await session.post(f"{system.base_url}/api/chats", data=body, headers=headers)
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["code"] == code


async def test_an_unknown_department_has_no_button_and_no_info_sheet(system: System) -> None:
    async with http_client() as session:
        for path in ("/api/button?department=x", "/api/button/events?department=x", "/infofiche/x"):
            answer = await session.get(system.base_url + path)
            assert answer.status == 404
            assert (await answer.json(content_type=None))["code"] == "unknown_department"


async def test_a_locale_that_we_do_not_have_is_taken_as_dutch(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        await pair(visitor, an, locale="pt")
        assert (await (await visitor.transcript()).json())["locale"] == "nl"


async def _closes_with(visitor: Citizen, first: str | bytes, code: int, **headers: str) -> None:
    socket = await visitor.connect(**headers)
    if isinstance(first, bytes):
        await socket.ws.send_bytes(first)
    elif first:
        await socket.ws.send_str(first)
    assert await socket.closed() == code


async def test_a_bad_hello(system: System) -> None:
    async with citizen(system.base_url) as visitor:
        await _closes_with(visitor, "not json", 4400)
        await _closes_with(visitor, b"\x00", 4400)
        await _closes_with(visitor, '{"type":"unknown"}', 4400)
        await _closes_with(visitor, '{"type":"hello"}', 4401)
        await _closes_with(visitor, '{"type":"hello","token":"eyJhbGciOiJub25lIn0.e30.","after":0}', 4401)
        await _closes_with(visitor, '{"type":"typing","active":true}', 4401)
        await _closes_with(visitor, "", 4403, Origin="https://elsewhere.example")


async def test_an_agent_needs_a_cookie_and_our_origin(system: System) -> None:
    async with http_client() as session:
        for headers, code in (
            ({}, 4403),
            ({"Origin": "https://elsewhere.example"}, 4403),
            ({"Origin": system.base_url}, 4401),
        ):
            socket = Socket(await session.ws_connect(f"{system.base_url}/ws/agent", headers=headers))
            assert await socket.closed() == code


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "message", "id": "not-a-uuid", "text": "x"}, "invalid"),
    ({"type": "message", "text": "x"}, "invalid"),
    ({"type": "message", "id": new_id(), "text": ""}, "invalid"),
    ({"type": "message", "id": new_id(), "text": 7}, "invalid"),
    ({"type": "message", "id": new_id(), "text": "a\0b"}, "invalid"),
    ({"type": "message", "id": new_id(), "text": "x" * 4_001}, "too_long"),
    ({"type": "message", "id": new_id(), "attachment": new_id()}, "unknown_attachment"),
    ({"type": "message", "id": new_id(), "text": "x", "attachment": new_id()}, "invalid"),
    ({"type": "read", "seq": 999}, "invalid"),
    ({"type": "read", "seq": -1}, "invalid"),
    ({"type": "typing", "active": "yes"}, "invalid"),
]


async def test_a_refused_frame_leaves_the_connection_and_the_others_alone(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, ours = await pair(visitor, an)
        for frame, code in REFUSED:
            await theirs.send(**frame)
            error = await theirs.expect("error")
            assert error["code"] == code, frame
            assert error.get("id") == (frame.get("id")), frame
        assert (await say(theirs, "alles is nog goed"))["seq"] == 3
        await ours.expect("message", text="alles is nog goed")


TEXTS = [
    "<script>alert('x')</script> & <b>vet</b>",
    "\u202eomgekeerd\u202c en \u200bnul\u200dbreed",
    "x" * 4_000,
    "👩‍👩‍👧 日本語 العربية",
    "  spaties \n en regels\r\n\t ",
]


@pytest.mark.parametrize("text", TEXTS, ids=["html", "bidi", "longest", "scripts", "blanks"])
async def test_texts_are_kept_unchanged(system: System, text: str) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, ours = await pair(visitor, an, name=text[:200].strip())
        receipt = await say(theirs, text)
        assert receipt["text"] == text
        assert (await ours.expect("message", id=receipt["id"]))["text"] == text
        kept = (await (await visitor.transcript()).json())["messages"]
        assert kept[receipt["seq"] - 1]["text"] == text
        page = await (await visitor.transcript("html")).text()
        assert "<script>" not in page
        assert (await visitor.transcript("pdf")).status == 200


async def test_a_frame_over_64_kib_closes_with_1009_and_not_json_later_with_4400(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, _ = await pair(visitor, an)
        await theirs.ws.send_str('{"type":"message","text":"' + "x" * 66_000 + '"}')
        assert await theirs.closed() == 1009
        again = await visitor.join()
        await again.ws.send_str("{")
        assert await again.closed() == 4400
        once_more = await visitor.join()
        await once_more.send(type="unknown")
        assert await once_more.closed() == 4400
        await (await visitor.join()).send(type="close")


async def test_an_agent_speaks_only_in_their_own_chats(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        await pair(visitor, an)
        async with agent(base, "bert") as bert:
            await bert.socket.send(type="message", chat_id=visitor.chat_id, id=new_id(), text="hallo")
            assert (await bert.socket.expect("error"))["code"] == "not_yours"
            answer = await bert.http.get(f"{base}/api/chats/{visitor.chat_id}/transcript?format=json")
            assert answer.status == 403
        answer = await an.http.get(f"{base}/api/chats/{visitor.chat_id}/transcript?format=json")
        assert answer.status == 200


async def test_wrong_credentials(system: System) -> None:
    async with http_client() as session:
        for body, status, code in (
            ({"username": "an", "password": "wrong"}, 401, "bad_credentials"),
            ({"username": "nobody", "password": "demo"}, 401, "bad_credentials"),
            ({"username": "an"}, 422, "invalid"),
        ):
            answer = await session.post(f"{system.base_url}/api/agent/session", json=body)
            assert answer.status == status
            assert (await answer.json(content_type=None))["code"] == code
        assert (await session.get(f"{system.base_url}/api/agent/me")).status == 401
        foreign = {"Origin": "https://elsewhere.example"}
        login = {"username": "an", "password": "demo"}
        answer = await session.post(f"{system.base_url}/api/agent/session", json=login, headers=foreign)
        assert answer.status == 403


async def test_no_bad_input_disturbs_another_chat(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, agent(base, "bert") as bert, citizen(base) as one, citizen(base) as two:
        await begin(one)
        first = await one.join()
        await first.expect("status", dot="green")
        await begin(two)
        second = await two.join()
        await second.expect("status", dot="green")
        await first.ws.send_str("not json")
        assert await first.closed() == 4400
        assert (await say(second, "ongestoord"))["seq"]
        assert an.id != bert.id
