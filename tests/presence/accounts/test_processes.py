"""Two replicas of presence as processes: a change reaches both, and is whole or not there when one is killed."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pymongo

from services.common.internal_api import accounts as api
from services.common.internal_api import presence as presence_api
from services.presence.agents import totp
from tests.presence.accounts.test_changes import BEA, FILE
from tests.presence.conftest import HASH, eventually
from tests.presence.test_service import Presence, presence

OLD = {"name": "Oud", "role": "agent", "departments": ["algemeen"], "capacity": 1, "locales": ["nl"]}
NEW = {"name": "Nieuw", "role": "supervisor", "departments": ["algemeen"], "capacity": 7, "locales": ["nl", "fr"]}
MANY = [f"agent{n:02}" for n in range(30)]


def wish(username: str, base: int, act: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return api.ACCOUNTS_CHANGE, {"username": username, "base": base, "act": act, "by": BEA.model_dump(), **more}


def login(password: str, new: str = "") -> tuple[str, dict[str, Any]]:
    return presence_api.SESSION_OPEN, {"username": "an", "password": password, "new": new}


async def test_a_change_reaches_every_replica_as_a_changed_file_does(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(FILE)
    both = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database", "ACCOUNTS_FILE": str(file)}
    both |= {"RATE_LIMITS": "off"}
    async with presence(vhost_url, mongodb_url, **both) as one, presence(vhost_url, mongodb_url, **both) as other:
        status, session = await one.ask(*login("demo"))
        assert status == 200
        seen = {"token": session["token"], "roles": []}

        async def is_over() -> bool:
            return [(await each.ask(presence_api.SESSION_LOOKUP, seen))[0] for each in (one, other)] == [401, 401]

        status, made = await one.ask(*wish("an", 1, "make_password"))
        assert status == 200
        await eventually(is_over, "the end of the session")

        async def says(service: Presence, password: str, code: str) -> bool:
            return bool((await service.ask(*login(password)))[1].get("code") == code)

        await eventually(lambda: says(other, made["password"], "password_change_required"), "the new password")
        assert await says(other, "demo", "bad_credentials")
        assert (await other.ask(*login(made["password"], "vier groene fietsen")))[0] == 200
        assert (await one.ask(*login("vier groene fietsen")))[0] == 200
        assert (await other.ask(*wish("an", 2, "disable")))[0] == 200
        await eventually(lambda: says(one, "vier groene fietsen", "bad_credentials"), "the disabled account")
        assert (await one.ask(*wish("an", 3, "enable")))[0] == 200

        async def is_in() -> bool:
            return (await other.ask(*login("vier groene fietsen")))[0] == 200

        await eventually(is_in, "the enabled account, with the password that the person chose")


async def test_when_a_replica_is_killed_each_change_is_whole_or_not_there(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.toml"
    tables = (
        f'[[accounts]]\nusername = "{username}"\nname = "Oud"\npassword_hash = "{HASH}"\n'
        'departments = ["algemeen"]\nlocales = ["nl"]\n'
        for username in MANY
    )
    file.write_text(FILE + "\n".join(tables))
    both = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database", "ACCOUNTS_FILE": str(file)}
    async with presence(vhost_url, mongodb_url, **both) as one, presence(vhost_url, mongodb_url, **both) as other:
        answered = 0

        async def change(username: str) -> None:
            nonlocal answered
            try:
                status, _ = await one.ask(*wish(username, 1, "change", form=NEW))
            except (aiohttp.ClientError, TimeoutError):
                return  # it was killed
            if status == 200:
                answered += 1
                if answered == 3:
                    one.process.kill()

        await asyncio.gather(*(change(username) for username in MANY))
        await one.process.wait()
        done = 0
        listed: list[dict[str, Any]] = []
        while (page := (await other.ask(api.ACCOUNTS, {"after": listed[-1]["username"] if listed else ""}))[1])[
            "accounts"
        ]:
            listed += page["accounts"]
        for account in (found for found in listed if found["username"] in MANY):
            _, history = await other.ask(api.ACCOUNTS_HISTORY, {"username": account["username"]})
            acts = [entry["act"] for entry in history["entries"]]
            shown = {name: account[name] for name in OLD}
            assert (shown, account["revision"], acts) in ((OLD, 1, ["begun"]), (NEW, 2, ["changed", "begun"]))
            done += account["revision"] == 2
        assert 3 <= done < len(MANY), "some were done, and the others were cut off"
        rest = next(found for found in listed if found["username"] in MANY and found["revision"] == 1)

        async def goes_on() -> bool:
            """The dead replica's lease delays the next change, and ends by itself."""
            return (await other.ask(*wish(rest["username"], 1, "change", form=NEW)))[0] == 200

        await eventually(goes_on, "the next change")


async def test_the_key_of_second_factors_is_replaced_by_restarts_and_authenticators_stay_as_they_are(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.toml"
    secret, key, newer = totp.new_secret(), "0a" * 32, "0b" * 32
    file.write_text(FILE.replace('name = "An"', f'name = "An"\ntotp_secret = "{secret}"'))
    more = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database", "ACCOUNTS_FILE": str(file)}
    more["RATE_LIMITS"] = "off"
    kept = set[str]()
    # The last keys are those of another installation.
    for keys in ("", f"derived,{key}", f"{key},derived", key, f"{newer},{key}", newer, key):
        async with presence(vhost_url, mongodb_url, **more, SECOND_FACTOR_KEYS=keys) as service:
            lacks = keys == key and len(kept) == 3
            status, problem = await (service.ask_once if lacks else service.ask)(*login("demo"))
            assert (status, problem["code"]) == ((503, "unavailable") if lacks else (401, "totp_required")), keys
            client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongodb_url)
            with client:
                doc = client[f"{mongodb_prefix}presence"]["accounts"].find_one({"_id": "an"})
            assert doc is not None
            assert secret not in str(doc)
            kept.add(doc["account"]["totp_secret"])
    assert len(kept) == 3, "each key has sealed it once, and the one that cannot open it has left it as it is"
