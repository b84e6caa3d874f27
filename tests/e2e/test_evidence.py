"""A transcript as evidence, with the four services: verified by the command and by the page, and altered."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import aiohttp

from tests.support.clients import agent, citizen, http_client, new_id, pair, say
from tests.support.servers import ROOT, System
from tests.transcripts.made import PNG

OFFLINE = """
import runpy, socket, sys
def refused(*_): raise OSError("no network")
socket.socket = refused
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("deploy.verification", run_name="__main__")
"""


def verify(file: Path, *arguments: str) -> tuple[int, str]:
    """What the command says, in an interpreter without any package and without the network."""
    command = [sys.executable, "-I", "-S", "-c", OFFLINE, str(ROOT), str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    return done.returncode, done.stdout + done.stderr


async def on_page(session: aiohttp.ClientSession, base: str, content: bytes, name: str) -> str:
    """What the page says of a file."""
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(content), filename=name)
    async with session.post(f"{base}/verify?lang=en", data=form) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_a_conversation_is_verified_by_the_command_and_by_the_page_and_no_longer_when_altered(
    system: System, tmp_path: Path
) -> None:
    base = system.base_url
    keys, chat = tmp_path / "keys.json", tmp_path / "chat.json"
    async with http_client() as session, agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, name="An Peeters", question="Waar is mijn premie?")
        await say(theirs, 'Dossier 2026-12 😀 "x"')
        await say(ours, "Die is onderweg.", visitor.chat_id)
        uploaded = await (await visitor.upload("foto.png", PNG)).json()
        await theirs.send(type="message", id=new_id(), attachment=uploaded["id"])
        await ours.expect("message", attachment=lambda a: a is not None)
        async with session.get(f"{base}/api/transcript-keys") as answer:
            keys.write_bytes(await answer.read())

        chat.write_bytes(await (await visitor.transcript("json")).read())
        status, said = verify(chat, f"--keys={keys}")
        assert (status, "INCOMPLETE: the end is not signed" in said) == (3, True)

        await visitor.end()
        content = await (await visitor.transcript("json")).read()
        chat.write_bytes(content)
        status, said = verify(chat, f"--keys={keys}")
        assert (status, said.startswith(f"intact: chat {visitor.chat_id}")) == (0, True), said
        assert "genuine and complete" in await on_page(session, base, content, "chat.json")
        data = json.loads(content)
        (file,) = [m["seq"] for m in data["messages"] if "attachment" in m]
        (link,) = [link for link in data["chain"]["entries"] if link["seq"] == file]
        assert len(link["sha256"]) == 64

        pdf = await (await visitor.transcript("pdf")).read()
        (tmp_path / "chat.pdf").write_bytes(pdf)
        assert verify(tmp_path / "chat.pdf", f"--keys={keys}")[0] == 0
        page = await on_page(session, base, pdf, "chat.pdf")
        assert ("genuine and complete" in page, "Die is onderweg." in page) == (True, True)

        text = await (await visitor.transcript("txt")).text()
        assert data["chain"]["code"] in text
        async with session.post(f"{base}/verify?lang=en", data={"code": data["chain"]["code"]}) as answer:
            assert "We know this code" in await answer.text()

        (mine,) = [m for m in data["messages"] if m.get("text") == "Die is onderweg."]
        mine["text"] = "Die krijgt u niet."
        altered = json.dumps(data).encode()
        chat.write_bytes(altered)
        status, said = verify(chat, f"--keys={keys}")
        assert (status, f"ALTERED: entry {mine['seq']} was altered" in said) == (1, True), said
        assert f"Message {mine['seq']} was changed." in await on_page(session, base, altered, "chat.json")
