"""`services/gateway/http/pages/routes.py`: pages and files with their headers, and nothing but them."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from fastapi import FastAPI
from yarl import URL

from services.common.config.departments import LOCALES
from services.common.http import problems
from services.common.http.security_headers import SecurityHeaders
from services.gateway.button_state import Buttons
from services.gateway.http.pages import routes as pages
from services.gateway.http.pages.routes import (
    CATALOGUES,
    COMMENTS,
    FORMER,
    TYPES,
    WEB,
    as_module,
    compact,
    served,
    static_files,
)
from services.gateway.http.security.security_headers import headers_of
from services.gateway.settings import Settings
from tests.gateway.standing import listening
from tests.gateway.test_button_state import DEPARTMENTS


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Where the pages are."""
    app = FastAPI()
    problems.install(app)
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.refresh()
    settings = Settings(token_secret="a secret of the tests alone")
    pages.install(app, buttons, DEPARTMENTS, settings)
    app.add_middleware(SecurityHeaders, headers_of=headers_of(settings))
    async with listening(app, ws="none") as (_, address):
        yield f"http://{address}"


@pytest.fixture
async def client(origin: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(origin) as session:
        yield session


@pytest.mark.parametrize("path", ["/", "/agent", "/infofiche/algemeen"])
async def test_every_page_has_a_strict_policy(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy = dict(p.strip().split(" ", 1) for p in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert not any("unsafe" in p for p in policy.values())
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "Set-Cookie" not in answer.headers


async def test_the_widget_is_a_module_that_is_fetched_again_only_when_it_changed(client: aiohttp.ClientSession) -> None:
    async with client.get("/widget.js") as answer:
        assert answer.content_type == "text/javascript"
        etag, text = answer.headers["ETag"], await answer.read()
    assert text == compact((WEB / "widget/widget.js").read_bytes())
    async with client.get("/widget.js", headers={"If-None-Match": f'"other", {etag}'}) as answer:
        assert (answer.status, await answer.read(), answer.headers["ETag"]) == (304, b"", etag)
    async with client.get("/widget.js", headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


async def test_files_are_compressed_for_who_can_read_that(client: aiohttp.ClientSession) -> None:
    plain = compact((WEB / "widget/widget.js").read_bytes())
    async with client.get("/widget.js", headers={"Accept-Encoding": "br, gzip"}, auto_decompress=False) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(await answer.read()) == plain
    async with client.get("/widget.js", headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert await answer.read() == plain


async def test_every_file_of_the_pages_is_there_with_its_type(client: aiohttp.ClientSession) -> None:
    names = [*served(), *FORMER]
    assert len(names) > 20
    for name in names:
        async with client.get(f"/static/{name}") as answer:
            assert answer.status == 200, name
            assert answer.headers["Content-Type"] == TYPES["." + name.rsplit(".", 1)[1]]


async def test_a_page_of_the_last_version_finds_every_file_that_it_may_load(client: aiohttp.ClientSession) -> None:
    for name in (Path(__file__).parent / "static_of_version_1.txt").read_text().split():
        async with client.get(f"/static/{name}") as answer:
            assert answer.status == 200, name


def test_a_catalogue_becomes_a_module_with_a_key_for_each_plural_form() -> None:
    catalogue = '{"title": "Fil \\"d’eau\\"", "files": {"one": "{n} fichier", "other": "{n} fichiers"}}'.encode()
    texts = {"title": 'Fil "d’eau"', "files.one": "{n} fichier", "files.other": "{n} fichiers"}
    module = as_module(catalogue).decode()
    assert json.loads(module.removeprefix("export default ").removesuffix(";\n")) == texts


@pytest.mark.parametrize(("folder", "places"), CATALOGUES.items())
async def test_the_texts_of_each_catalogue_are_modules(
    client: aiohttp.ClientSession, folder: str, places: tuple[str, ...]
) -> None:
    for language in LOCALES:
        async with client.get(f"/static/{folder}/{language}.js") as answer:
            assert (answer.status, answer.content_type) == (200, "text/javascript")
            catalogues = [(WEB / place / f"{language}.json").read_bytes() for place in places]
            assert await answer.read() == as_module(*catalogues)
        async with client.get(f"/static/{folder}/{language}.json") as answer:
            assert answer.status == 404


def test_what_only_readers_need_is_left_out_of_a_module() -> None:
    module = b"// one\na(); // two\n\t/** three\n *\n **/ \n/** @type {X} */ (b).c = 1;\n  /* d */ e(); /* f */\n"
    module += b"//\n\n  g();\n"
    module += b'h(/** @type {Y} */ (i), "https://j"); // k "l"\n'
    assert compact(module) == b'a();\n(b).c = 1;\n/* d */ e(); /* f */\ng();\nh((i), "https://j");\n'


def modules() -> list[Path]:
    """The modules that are served, as they are written."""
    return [path for paths in served().values() for path in paths if path.suffix == ".js"]


def test_a_module_may_have_the_texts_of_several_catalogues() -> None:
    assert as_module(b'{"a": "1"}', b'{"b": {"one": "2", "other": "3"}}') == (
        b'export default {"a":"1","b.one":"2","b.other":"3"};\n'
    )


def test_a_style_sheet_loses_the_white_space_that_means_nothing() -> None:
    sheet = b"\n.a  b, :is(.c, .d) > .e { width: calc(1px - 2 * var(--x)); color: red; }\n"
    module = b"const a = `x : y`;\nconst looks = `" + sheet + b"`;\n"
    sheet = b".a  b,:is(.c,.d)>.e{width:calc(1px - 2 * var(--x));color:red;}"
    assert compact(module) == b"const a = `x : y`;\nconst looks = `\n" + sheet + b"`;\n"


@pytest.fixture
def nodejs() -> str:
    """The program `node`, which `make test` installs."""
    found = shutil.which("node")
    assert found, "node 18 or later is missing"
    return found


def test_every_module_can_be_read_as_it_is_served(tmp_path: Path, nodejs: str) -> None:
    for name, file in static_files().items():
        if file.media_type.startswith("text/javascript"):
            module = tmp_path / name.replace("/", "_").replace(".js", ".mjs")
            module.write_bytes(file.body)
    script = (
        "import { readdirSync, readFileSync } from 'node:fs'; import { SourceTextModule } from 'node:vm';"
        "for (const name of readdirSync('.')) new SourceTextModule(readFileSync(name, 'utf8'), { identifier: name });"
    )
    ran = subprocess.run(
        [nodejs, "--experimental-vm-modules", "--no-warnings", "--input-type=module", "-e", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


STRING = re.compile(rb"""\"(?:[^"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`""")


def test_no_text_in_a_module_looks_like_a_comment() -> None:
    assert STRING.findall(b'a("b // c"); // d "e"') == [b'"b // c"', b'"e"']
    for path in modules():
        code = re.sub(rb"(?m)^[ \t]*//.*$|/\*(?:[^*]|\*(?!/))*\*/|[ \t]// [^\"'`\n]*$", b"", path.read_bytes())
        assert [found for found in STRING.findall(code) if re.search(rb"\s// |/\*\* @", found)] == [], path


def other_texts(module: bytes) -> list[bytes]:
    """The texts of several lines in a module that are no style sheet: they would lose their indentation."""
    texts = re.findall(rb"`[^`]*`", COMMENTS.sub(b"", module))
    return [text for text in texts if b"\n" in text and not re.search(rb"[\w\])}] *\{[^{}]*\}", text)]


def test_the_only_texts_of_several_lines_in_a_module_are_style_sheets_without_comments() -> None:
    assert other_texts(b"// `\na = `\n  b { c: d }\n`;\n") == []
    assert other_texts(b"a = `\n  b\n`;\n") == [b"`\n  b\n`"]
    assert len(modules()) > 20
    assert {path.name: found for path in modules() if (found := other_texts(path.read_bytes()))} == {}


def test_relative_imports_of_a_module_that_was_renamed_start_from_the_same_depth() -> None:
    assert not set(FORMER) & set(served())
    assert all(former.count("/") == present.count("/") for former, present in FORMER.items())


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.js",
        "/static/package.json",
        "/static/eslint.config.js",
        "/static/node_modules/eslint/package.json",
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static/%2fetc/passwd",
        "/static//etc/passwd",
        "/static/loket-chat",
        "/static/loket-chat/widget.js%00",
        "/static/loket-chat/./widget.js",
        "/infofiche/elders",
        "/infofiche/..%2f..",
    ],
)
async def test_nothing_else_is_there(client: aiohttp.ClientSession, origin: str, path: str) -> None:
    url = URL(f"{origin}{path}", encoded=True)  # as it stands, dots and all
    async with client.get(url) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"


async def test_the_info_sheet_speaks_the_readers_language(client: aiohttp.ClientSession) -> None:
    async with client.get("/infofiche/premies", headers={"Accept-Language": "fr-BE"}) as answer:
        assert answer.headers["Content-Language"] == "fr"
        assert 'lang="fr"' in await answer.text()
    async with client.get("/infofiche/premies?lang=de", headers={"Accept-Language": "fr-BE"}) as answer:
        assert answer.headers["Content-Language"] == "de"
    async with client.get("/infofiche/premies?lang=<script>") as answer:
        assert answer.headers["Content-Language"] == "nl"
        assert "<script>" not in await answer.text()
