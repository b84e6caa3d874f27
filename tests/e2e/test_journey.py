"""The conversation of the manual, over the public protocol, through four services, a real broker and database."""

import asyncio

from tests.support.clients import agent, button, citizen, http_client, new_id, pair, say, until_blue, until_green
from tests.support.servers import PATIENCE, System


async def test_the_button_is_blue_without_agents_green_with_one_and_blue_when_all_are_busy(system: System) -> None:
    base = system.base_url
    await until_blue(base, "no_agents")
    async with citizen(base) as visitor:
        refused = await visitor.start()
        assert refused.status == 409
        problem = await refused.json()
        assert refused.content_type == "application/problem+json"
        assert problem["code"] == "button_blue"
        assert problem["infofiche_url"] == "/infofiche/algemeen"
        async with agent(base) as an:
            first = await button(base)
            await until_green(base)
            await pair(visitor, an)
            await until_blue(base, "busy")
            last = await button(base)
            assert last["revision"] > first["revision"]
            await an.socket.send(type="state", state="paused")
            await an.socket.expect("state", state="paused")
    await until_blue(base, "no_agents")


async def test_the_button_streams_its_changes(system: System) -> None:
    base = system.base_url
    await until_blue(base, "no_agents")
    async with http_client() as session:
        stream = await session.get(f"{base}/api/button/events", params={"department": "algemeen"})
        assert stream.content_type == "text/event-stream"

        async def event() -> dict[str, str]:
            lines: dict[str, str] = {}
            async for line in stream.content:
                name, colon, value = line.decode().strip().partition(": ")
                if name:  # a comment has none: it only holds the connection open
                    lines[name] = value
                elif lines and not colon:
                    break
            return lines

        now = await event()
        assert now["event"] == "button"
        assert '"no_agents"' in now["data"]
        async with agent(base), asyncio.timeout(PATIENCE):
            while '"green"' not in (changed := await event())["data"]:
                pass  # a pause of the machine may show as `unknown` in between
            assert int(changed["id"]) > int(now["id"])
        stream.close()


async def test_a_conversation_from_the_press_to_the_download(system: System) -> None:
    base = system.base_url
    form = {"id": "aanvraag-42", "title": "Aanvraag premie", "url": "https://e-loket.example.be/premie"}
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, name="An Peeters", question="Waar vind ik het formulier?", form=form)
        assigned = next(f for f in ours.frames if f["type"] == "assigned")["chat"]
        assert assigned["name"] == "An Peeters"
        assert assigned["question"] == "Waar vind ik het formulier?"
        assert assigned["form"] == form
        receipt = await say(theirs, "Goeiemorgen")
        assert (await ours.expect("message", id=receipt["id"]))["seq"] == receipt["seq"]
        answer = await say(ours, "Dag, waarmee kan ik helpen?", visitor.chat_id)
        assert (await theirs.expect("message", id=answer["id"]))["name"] == "An"
        await ours.send(type="typing", chat_id=visitor.chat_id, active=True)
        assert (await theirs.expect("typing"))["from"] == "agent"
        await theirs.send(type="read", seq=answer["seq"])
        assert (await ours.expect("read"))["seq"] == answer["seq"]
        await ours.send(type="note", chat_id=visitor.chat_id, id=new_id(), text="vraagt naar dossier 42")
        await ours.expect("note")
        await theirs.send(type="close")
        assert (await theirs.expect("closed"))["reason"] == "citizen"
        assert await theirs.closed() == 1000
        await ours.expect("closed", chat_id=visitor.chat_id)
        shown = theirs.messages()
        assert [m["seq"] for m in shown] == list(range(1, len(shown) + 1))
        assert [m.get("event") for m in shown if m["from"] == "system"] == ["opened", "assigned", "closed"]
        assert shown[0]["event"] == "opened"
        assert shown[1]["text"] == "Waar vind ik het formulier?"
        kept = await (await visitor.transcript()).json()
        assert kept["messages"] == shown
        assert "dossier" not in str(kept)
        assert ours.messages(visitor.chat_id) == shown
        for format, kind in (("txt", "text/plain"), ("html", "text/html"), ("pdf", "application/pdf")):
            download = await visitor.transcript(format)
            assert download.status == 200
            assert download.content_type == kind
            assert download.headers["Content-Disposition"].startswith("attachment")


async def test_a_hello_to_an_ended_chat_is_answered_with_all_of_it(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, _ = await pair(visitor, an)
        await theirs.send(type="close")
        await theirs.closed()
        again = await visitor.connect()
        await again.send(type="hello", token=visitor.token, after=0)
        assert await again.closed() == 1000
        kinds = [f["type"] for f in again.frames]
        assert kinds[0] == "welcome"
        assert again.frames[0]["dot"] == "red"
        assert kinds[-1] == "closed"
        assert [m["seq"] for m in again.messages()] == [1, 2, 3]


async def test_a_second_tab_and_a_reload_show_the_same_conversation(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        one, ours = await pair(visitor, an)
        first = await say(one, "eerste tab")
        two = await visitor.join()
        await two.expect("message", id=first["id"])
        second = await say(two, "tweede tab")
        assert (await one.expect("message", id=second["id"]))["seq"] == second["seq"]
        await one.close()
        answer = await say(ours, "gezien", visitor.chat_id)
        back = await visitor.join(after=second["seq"])
        assert (await back.expect("message"))["id"] == answer["id"]


async def test_the_sixth_connection_closes_the_oldest(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        first, _ = await pair(visitor, an)
        others = [await visitor.join() for _ in range(5)]
        assert await first.closed() == 4409
        assert (await say(others[-1], "nog steeds open"))["seq"]


async def test_one_press_repeated_is_one_chat_even_when_the_button_is_blue(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        key = new_id()
        await pair(visitor, an, key=key)
        await until_blue(system.base_url, "busy")
        again = await visitor.start(key=key)
        assert again.status == 201
        assert await again.json() == {"chat_id": visitor.chat_id, "token": visitor.token, "websocket": "/ws/citizen"}


async def test_a_repeated_id_is_stored_and_shown_once(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, ours = await pair(visitor, an)
        id_ = new_id()
        await theirs.send(type="message", id=id_, text="een keer")
        receipt = await theirs.expect("message", id=id_)
        await theirs.send(type="message", id=id_, text="andere tekst, zelfde id")
        again = await theirs.expect("message", id=id_)
        assert again == receipt
        last = await say(theirs, "klaar")
        assert last["seq"] == receipt["seq"] + 1
        await ours.expect("message", id=last["id"])
        assert [m["text"] for m in ours.messages(visitor.chat_id)].count("een keer") == 1


async def test_thirty_two_under_way_and_order_kept(system: System) -> None:
    async with agent(system.base_url) as an, citizen(system.base_url) as visitor:
        theirs, ours = await pair(visitor, an)
        texts = [f"bericht {i}" for i in range(32)]
        for text in texts:
            await theirs.send(type="message", id=new_id(), text=text)
        for text in texts:
            await ours.expect("message", text=text)
        assert [m["text"] for m in ours.messages(visitor.chat_id) if m["from"] == "citizen"] == texts
