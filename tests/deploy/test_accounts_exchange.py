"""`make accounts-export` and `make accounts-import`, with presence and transcripts as processes on a real database."""

import os
import stat
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from pymongo import MongoClient

from deploy.accounts import exchange
from deploy.accounts.exchange import main
from deploy.erasures.services import Services
from services.common.config.toml_file import load_toml
from services.common.events.types import Record
from services.common.internal_api import accounts as api
from services.common.internal_api import presence as presence_api
from services.common.internal_api.transcripts import ChangeOfAccount
from services.presence.agents import totp
from services.presence.agents.accounts import Account, AccountsFile
from tests.deploy.operator_system import MakeOperatorSystem, OperatorSystem
from tests.presence.accounts.test_changes import BEA, FILE
from tests.presence.conftest import HASH, eventually
from tests.presence.test_service import presence
from tests.support.servers import ROOT

CHOSEN = "vier groene fietsen"
SECRET = totp.new_secret()
CAS = f"""
[[accounts]]
username = "cas"
name = "Cas"
password_hash = "{HASH}"
departments = ["algemeen"]
totp_secret = "{SECRET}"
"""
LOGGED = get_args(ChangeOfAccount)


def account_of(file: Path, username: str) -> Account:
    (found,) = [one for one in load_toml("x", file, AccountsFile).accounts if one.username == username]
    return found


@pytest.fixture
async def system(operated: MakeOperatorSystem, tmp_path: Path) -> AsyncIterator[OperatorSystem]:
    """The services with the accounts `an`, `bea` and `beheer`, of whom the last two are administrators."""
    seed = tmp_path / "seed.toml"
    seed.write_text(FILE)
    async with operated(ACCOUNTS_FILE=str(seed), RATE_LIMITS="off") as one:
        yield one


async def revisions(system: OperatorSystem) -> dict[str, int]:
    _, found = await system.presence.ask(api.ACCOUNTS, {})
    return {one["username"]: one["revision"] for one in found["accounts"]}


async def test_what_goes_out_comes_in_again_with_the_passwords_that_count(
    system: OperatorSystem, tmp_path: Path
) -> None:
    run, out = partial(system.run, main), tmp_path / "out.toml"
    change = {"username": "an", "base": 1, "act": "make_password", "by": BEA.model_dump()}
    made: dict[str, Any] = {}

    async def is_made() -> bool:
        status, answer = await system.presence.ask(api.ACCOUNTS_CHANGE, change)
        made.update(answer)
        return bool(status == 200)

    await eventually(is_made, "a password for one login")  # 503 is for now
    login = {"username": "an", "password": made["password"], "new": CHOSEN}

    async def is_in() -> bool:
        return (await system.presence.ask(presence_api.SESSION_OPEN, login))[0] == 200

    await eventually(is_in, "the made password")
    former = os.umask(0)
    try:
        status, words, _ = await run("export", str(out), "--by=griffie")
    finally:
        os.umask(former)
    assert (status, f"accounts in {out}: 3" in words) == (0, True)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600, "only its owner can read it"
    assert HASH not in words
    an = account_of(out, "an")
    assert (an.must_change_password, an.password_hash != HASH) == (False, True), "what the person chose counts"
    assert account_of(out, "bea").password_hash == HASH
    assert await system.logged(*LOGGED) == [("accounts_exported", "griffie", "operator", None)]
    status, _, refusal = await run("export", str(out))
    assert (status, "File exists" in refusal) == (1, True)

    assert (await run("import", str(out)))[:2] == (
        0,
        "nothing to change: the accounts of the file are as they are there\n",
    )
    assert (await run("import", str(out), "--apply", "--remove-others"))[0] == 0
    assert await revisions(system) == {"an": 2, "bea": 1, "beheer": 1}
    login = {"username": "an", "password": CHOSEN}
    assert await is_in()


async def test_an_import_is_shown_first_then_logged_then_made(system: OperatorSystem, tmp_path: Path) -> None:
    run, given, out = partial(system.run, main), tmp_path / "given.toml", tmp_path / "out.toml"
    oidc = '[oidc]\nroles_claim = "roles"\n[[oidc.roles]]\nvalue = "x"\ndepartments = ["algemeen"]\n'
    given.write_text(FILE.replace('"An"', '"Anna"').replace("capacity = 2", "capacity = 3") + CAS + oidc)
    status, shown, _ = await run("import", str(given))
    assert status == 0
    assert shown.splitlines() == [
        "the section [oidc] is not imported: it stays in ACCOUNTS_FILE of presence",
        "~ an                       name An → Anna, capacity 2 → 3",
        "+ cas                      "
        "name Cas, role agent, departments algemeen, capacity 1, locales nl+fr+de+en, totp yes",
        "accounts to change: 2. Nothing was changed: repeat it with ARGS=--apply",
    ]
    assert await revisions(system) == {"an": 1, "bea": 1, "beheer": 1}
    assert await system.logged(*LOGGED) == []

    status, shown, _ = await run("import", str(given), "--apply", "--by=griffie")
    assert (status, shown.splitlines()[-1]) == (0, "accounts changed: 2 of 2; presence uses them within some seconds")
    item = "an: name, capacity; cas: name, role, departments, capacity, locales, break_glass, disabled, totp"
    assert await system.logged(*LOGGED) == [("accounts_imported", "griffie", "operator", item)]
    assert await revisions(system) == {"an": 2, "bea": 1, "beheer": 1, "cas": 1}
    _, history = await system.presence.ask(api.ACCOUNTS_HISTORY, {"username": "an"})
    assert [(e["act"], e["by"]["role"], e["by"]["name"]) for e in history["entries"]] == [
        ("imported", "operator", "griffie"),
        ("begun", "operator", "ACCOUNTS_FILE"),
    ]
    assert (await run("export", str(out)))[0] == 0
    assert account_of(out, "cas").totp_secret == SECRET

    given.write_text(FILE)
    status, shown, _ = await run("import", str(given))
    assert "not in the file, and left as they are: 1 (--remove-others removes them)" in shown
    assert (await run("import", str(given), "--apply", "--remove-others"))[0] == 0
    assert "cas" not in await revisions(system)


async def test_a_file_that_is_refused_changes_nothing(system: OperatorSystem, tmp_path: Path) -> None:
    given = tmp_path / "given.toml"
    for text, arguments, why in (
        (FILE.replace('"administrator"', '"auditor"'), (), "nobody could administer"),
        (CAS, ("--remove-others",), "nobody could administer"),
        (FILE.replace('"algemeen"', '"weg"'), (), "'an' serves 'weg', which is no department"),
        (FILE + FILE, (), "'an' is there twice"),
        (FILE + "colour = 1\n", (), "accounts.2.colour"),
        (FILE.replace(HASH, "demo"), (), "not an argon2 hash"),
        ("", (), "has neither"),
        ("x" * 5_000_000, (), "is not TOML"),
        ("#" * (8 * 1024 * 1024 + 1), (), "has more than 8388608 bytes"),
    ):
        given.write_text(text)
        status, _, refusal = await system.run(main, "import", str(given), "--apply", *arguments)
        assert (status, why in refusal) == (1, True), refusal
        assert HASH not in refusal
    assert await revisions(system) == {"an": 1, "bea": 1, "beheer": 1}
    assert await system.logged(*LOGGED) == []


async def test_without_the_access_log_nothing_goes_out_or_in(
    system: OperatorSystem, tmp_path: Path, mongodb_url: str, mongodb_prefix: str
) -> None:
    """The log cannot be written: its end is damaged in the database."""
    given, out = tmp_path / "given.toml", tmp_path / "out.toml"
    given.write_text(FILE.replace('"An"', '"Anna"'))
    with MongoClient[dict[str, Any]](mongodb_url) as client:
        log = client[f"{mongodb_prefix}transcripts"]["access_log"]
        log.insert_one({"_id": 1, "act": "damaged"})
        assert (await system.run(main, "export", str(out)))[0] == 1
        assert not out.exists(), "no part of a file stays"
        status, _, refusal = await system.run(main, "import", str(given), "--apply")
        assert (status, "accounts changed: 0 of 1" in refusal) == (1, True), refusal
        assert await revisions(system) == {"an": 1, "bea": 1, "beheer": 1}
        log.delete_one({"_id": 1})
    assert (await system.run(main, "import", str(given), "--apply"))[0] == 0
    assert (await revisions(system))["an"] == 2


async def test_an_import_that_is_broken_off_says_what_is_done_and_is_finished_by_the_next(
    system: OperatorSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vhost_url: str,
    mongodb_url: str,
    mongodb_prefix: str,
) -> None:
    monkeypatch.setattr(exchange, "IMPORTED", 1)
    given = tmp_path / "given.toml"
    given.write_text(FILE.replace('name = "B', 'name = "Nieuwe B') + CAS)
    ask, asked = Services.ask, list[str]()

    def cut(self: Services, service: str, path: str, body: Record) -> Any:
        """Presence is killed when it has done the first request."""
        asked.append(path)
        if asked.count(api.ACCOUNTS_IMPORT) == 2:
            system.presence.process.kill()
        return ask(self, service, path, body)

    with monkeypatch.context() as patched:
        patched.setattr(Services, "ask", cut)
        status, _, refusal = await system.run(main, "import", str(given), "--apply")
    assert (status, "accounts changed: 1 of 3" in refusal) == (1, True), refusal
    both = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database"}
    async with presence(vhost_url, mongodb_url, **both) as again:
        system.presence = again
        monkeypatch.setenv("PRESENCE_URL", again.url)
        before = await revisions(system)
        assert sorted(before.values()) == [1, 1, 2], "one is done, and each of the others is whole or not there"
        status, shown, _ = await system.run(main, "import", str(given), "--apply")
        assert (status, "accounts changed: 2 of 2" in shown) == (0, True)
        assert await revisions(system) == {"an": 1, "bea": 2, "beheer": 2, "cas": 1}


async def test_where_the_accounts_are_in_a_file_both_are_refused(operated: MakeOperatorSystem, tmp_path: Path) -> None:
    given = tmp_path / "given.toml"
    given.write_text(FILE)
    async with operated(CONFIG_SOURCE="file") as system:
        for arguments in (("import", str(given)), ("export", str(tmp_path / "out.toml"))):
            status, _, refusal = await system.run(main, *arguments)
            assert (status, "CONFIG_SOURCE=file" in refusal) == (1, True)
        assert not (tmp_path / "out.toml").exists()


@pytest.mark.parametrize(("target", "words"), [("import", "--remove-others"), ("export", "does not exist yet")])
def test_make_passes_the_file_and_further_arguments_on(target: str, words: str) -> None:
    environment = {**os.environ, "FILE": "accounts.toml", "ARGS": "--help"}
    made = subprocess.run(
        ["make", f"accounts-{target}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert words in made.stdout
    assert not (ROOT / "accounts.toml").exists()
