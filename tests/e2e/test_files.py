"""Attachments and downloads: bytes unchanged, types judged by content, limits given, only for those who may."""

import hashlib
import io
import os
import zipfile

from tests.support.clients import Citizen, Socket, agent, begin, citizen, new_id, pair
from tests.support.servers import System

MIB = 1024 * 1024
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001"
    "e221bc330000000049454e44ae426082"
)
EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + os.urandom(2000)


async def test_an_attachment_goes_to_the_other_side_byte_for_byte(system: System) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        answer = await visitor.upload("foto van mijn gevel.png", PNG)
        assert answer.status == 201
        file = await answer.json()
        assert file["content_type"] == "image/png"
        assert file["size"] == len(PNG)
        assert file["sha256"] == hashlib.sha256(PNG).hexdigest()
        await theirs.send(type="message", id=new_id(), attachment=file["id"])
        shown = (await ours.expect("message", attachment=lambda a: a is not None))["attachment"]
        assert shown == {k: file[k] for k in ("id", "name", "size", "content_type")}
        url = f"{base}/api/chats/{visitor.chat_id}/attachments/{file['id']}"
        for session, headers in ((visitor.http, visitor.bearer), (an.http, {})):
            download = await session.get(url, headers=headers)
            assert download.status == 200
            assert await download.read() == PNG
            assert download.headers["Content-Disposition"].startswith("attachment")
            assert download.headers["X-Content-Type-Options"] == "nosniff"
        assert (await visitor.http.get(url)).status == 401


async def test_what_is_not_allowed_is_refused_with_its_code(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        await pair(visitor, an)
        macro = io.BytesIO()
        with zipfile.ZipFile(macro, "w") as archive:
            archive.writestr("[Content_Types].xml", "<Types/>")
            archive.writestr("word/document.xml", "<w/>")
            archive.writestr("word/vbaProject.bin", "x")
        for name, body in (("foto.png", EXE), ("brief.docx", macro.getvalue())):
            answer = await visitor.upload(name, body)
            assert answer.status == 415, name
            assert (await answer.json(content_type=None))["code"] == "type_not_allowed"


async def test_ten_mebibytes_and_one_byte_more(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        await pair(visitor, an)
        largest = PNG + os.urandom(10 * MIB - len(PNG))
        answer = await visitor.upload("groot.png", largest)
        assert answer.status == 201, await answer.text()
        answer = await visitor.upload("groter.png", largest + b"x")
        assert answer.status == 413
        assert (await answer.json(content_type=None))["code"] == "too_large"


async def test_another_chats_attachment_and_token(system: System) -> None:
    base = system.base_url
    async with agent(base), agent(base, "bert"), citizen(base) as one, citizen(base) as two:
        theirs = await _begin(one)
        file = await (await one.upload("a.txt", b"hallo\n")).json()
        others = await _begin(two)
        await others.send(type="message", id=new_id(), attachment=file["id"])
        assert (await others.expect("error"))["code"] == "unknown_attachment"
        url = f"{base}/api/chats/{one.chat_id}/attachments/{file['id']}"
        answer = await two.http.get(url, headers=two.bearer)
        assert answer.status == 403
        answer = await two.http.get(f"{base}/api/chats/{two.chat_id}/attachments/{file['id']}", headers=two.bearer)
        assert answer.status == 404
        assert (await two.upload("b.txt", b"x\n", chat_id=one.chat_id)).status == 403
        await theirs.send(type="message", id=new_id(), attachment=file["id"])
        await theirs.expect("message", attachment=lambda a: a is not None)


async def _begin(visitor: Citizen) -> Socket:
    await begin(visitor)
    socket = await visitor.join()
    await socket.expect("status", dot="green")
    return socket


async def test_an_ended_chat_takes_no_files_but_is_downloaded_still(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, _ = await pair(visitor, an)
        await theirs.send(type="close")
        await theirs.closed()
        answer = await visitor.upload("laat.txt", b"te laat\n")
        assert answer.status == 409
        assert (await answer.json(content_type=None))["code"] == "chat_closed"
        assert (await visitor.transcript("pdf")).status == 200
        assert (await visitor.transcript("docx")).status == 422
