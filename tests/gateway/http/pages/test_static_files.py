"""`services/gateway/http/pages/static_files.py`: files as they are served, and how long they stay in caches."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest
from pygments.lexers import JavascriptLexer
from pygments.token import Comment, String
from rjsmin import jsmin

from services.common.config.departments import LOCALES
from services.gateway.http.pages.static_files import (
    CATALOGUES,
    ENTRIES,
    FORMER,
    TYPES,
    WEB,
    as_module,
    digest_of,
    minified,
    served,
    static_files,
)

BRIEF = "public, max-age=60"
FOREVER = "public, max-age=31536000, immutable"
DIGEST = static_files().digest
FORMER_DIGEST = "01234567"


def embed_script() -> bytes:
    """The embed script as it is served."""
    module = minified((WEB / "widget/widget.js").read_bytes())
    return module.replace(b'let digest="";', f'let digest="/{DIGEST}";'.encode(), 1)


async def kept(client: aiohttp.ClientSession, path: str) -> str:
    """How long caches may keep this file, which is the same for its bytes and for the answer that it is unchanged."""
    async with client.get(path) as answer:
        assert answer.status == 200, path
        found = answer.headers["Cache-Control"]
        etag = answer.headers["ETag"]
    async with client.get(path, headers={"If-None-Match": etag}) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (304, found)
    return found


async def test_a_file_stays_in_caches_for_ever_only_where_it_is_asked_for_by_the_digest_of_this_release(
    client: aiohttp.ClientSession,
) -> None:
    for name in [*served(), *FORMER]:
        if not name.endswith(".html"):
            assert await kept(client, f"/static/{DIGEST}/{name}") == FOREVER
            assert await kept(client, f"/static/{FORMER_DIGEST}/{name}") == BRIEF
            assert await kept(client, f"/static/{name}") == BRIEF
    style = "/static/agent/theme.css"
    assert await kept(client, f"{style}?{DIGEST}") == FOREVER
    assert await kept(client, f"{style}?{FORMER_DIGEST}") == BRIEF
    assert await kept(client, "/widget.js") == await kept(client, f"/widget.js?{DIGEST}") == BRIEF
    assert await kept(client, f"/static/{DIGEST}/agent/index.html") == "no-cache"


async def test_a_page_of_another_release_gets_the_same_files_below_its_own_digest(
    client: aiohttp.ClientSession,
) -> None:
    """Its modules import each other by relative paths, so each of them comes from one place alone."""
    for name, file in static_files().files.items():
        async with client.get(f"/static/{FORMER_DIGEST}/{name}") as answer:
            assert await answer.read() == file.body


IMPORT = re.compile(rb'(?:\bfrom|\bimport) ?\(?"(\.[^"]+)"')


def with_imports(paths: Iterable[str]) -> set[str]:
    """These paths, and those of all that is imported from them by a name that stands in a module."""
    found: set[str] = set()
    rest = list(paths)
    while rest:
        path = rest.pop()
        if path not in found:
            found.add(path)
            file = static_files().files[path.removeprefix(f"/static/{DIGEST}/")]
            rest += [urljoin(path, name.decode()) for name in IMPORT.findall(file.body)]
    return found


def test_what_is_imported_below_the_digest_stays_below_it() -> None:
    roots = ["loket-chat/launcher-actions.js", "loket-chat/panel.js", "loket-chat/chat-tools.js", *ENTRIES]
    paths = with_imports(f"/static/{DIGEST}/{name}" for name in roots)
    assert f"/static/{DIGEST}/shared/connection.js" in paths
    assert f"/static/{DIGEST}/loket-chat/queue-info.js" in paths
    assert all(path.startswith(f"/static/{DIGEST}/") for path in paths)


@pytest.mark.parametrize("page", ["/", "/agent", "/infofiche/algemeen", "/toegankelijkheid"])
async def test_a_page_names_the_digest_of_its_files_or_an_entry_that_does(
    client: aiohttp.ClientSession, page: str
) -> None:
    async with client.get(page) as answer:
        paths = set(re.findall(r'"(/static/[^"]+)"', await answer.text()))
    assert len(paths) >= 2
    for path in paths:
        assert await kept(client, path) == (BRIEF if path.removeprefix("/static/") in ENTRIES else FOREVER)


async def test_a_style_sheet_names_the_digest_of_its_pictures(client: aiohttp.ClientSession) -> None:
    async with client.get("/static/agent/console.css") as answer:
        assert re.findall(r'url\("(.+?)"\)', await answer.text()) == [f"/static/agent/icon.svg?{DIGEST}"]


@pytest.mark.parametrize("name", ENTRIES)
async def test_an_entry_loads_the_module_of_this_release_and_otherwise_the_one_without_a_digest(
    client: aiohttp.ClientSession, name: str
) -> None:
    async with client.get(f"/static/{name}") as answer:
        module, other = re.findall(r'import\("(.+?)"\)', await answer.text())
    for path, lasts in ((module, FOREVER), (other, BRIEF)):
        address = urljoin(f"/static/{name}", path)
        assert await kept(client, address) == lasts
        async with client.get(address) as answer:
            assert await answer.read() == static_files().files[name].body


def test_the_digest_changes_with_every_name_and_every_byte_and_with_nothing_else() -> None:
    files = {"a.js": b"1", "b.js": b"2"}
    assert digest_of(files) == digest_of(dict(reversed(files.items())))
    assert re.fullmatch("[0-9a-f]{8}", digest_of(files))
    others = [{**files, "a.js": b"3"}, {"a.js": b"1"}, {"c.js": b"1", "b.js": b"2"}, {"a.js": b"2", "b.js": b"1"}]
    assert len({digest_of(one) for one in [files, *others]}) == 5


async def test_the_widget_is_a_module_that_is_fetched_again_only_when_it_changed(client: aiohttp.ClientSession) -> None:
    async with client.get("/widget.js") as answer:
        assert answer.content_type == "text/javascript"
        etag, text = answer.headers["ETag"], await answer.read()
    assert text == embed_script()
    async with client.get("/widget.js", headers={"If-None-Match": f'"other", {etag}'}) as answer:
        assert (answer.status, await answer.read(), answer.headers["ETag"]) == (304, b"", etag)
    async with client.get("/widget.js", headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


async def test_files_are_compressed_for_who_can_read_that(client: aiohttp.ClientSession) -> None:
    plain = embed_script()
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
    module = rb"""// one
a(); // two
  /** three
   **/
/** @type {X} */ (b).c = 1;

/* d */ e(); /* f */
  h(/** @type {Y} */ (i), "https://j // k"); // l "m"
  n.replace(/\/\* ["] \*\//, `  ${ o }  `);
"""
    assert minified(module) == rb"""a();(b).c=1;e();h((i),"https://j // k");n.replace(/\/\* ["] \*\//,`  ${ o }  `);"""


def modules() -> list[Path]:
    """The modules that are served, as they are written."""
    return [path for paths in served().values() for path in paths if path.suffix == ".js"]


def test_a_module_may_have_the_texts_of_several_catalogues() -> None:
    assert as_module(b'{"a": "1"}', b'{"b": {"one": "2", "other": "3"}}') == (
        b'export default {"a":"1","b.one":"2","b.other":"3"};\n'
    )


def test_the_style_sheets_in_a_module_are_minified_too() -> None:
    sheet = b"/* 1 */ .a  b, :is(.c, .d) > .e { width: calc(1px - 2 * var(--x)); color: red; }"
    module = b"const a = `x : y`;\nconst looks = `\n" + sheet + b"\n`;\nb(`${looks}\n.f :hover { top: 0; }\n`);\n"
    sheet = b".a b,:is(.c,.d)>.e{width:calc(1px - 2 * var(--x));color:red}"
    assert minified(module) == b"const a=`x : y`;const looks=`" + sheet + b"`;b(`${looks}.f :hover{top:0}`);"


@pytest.fixture
def nodejs() -> str:
    """The program `node`, which `make test` installs."""
    found = shutil.which("node")
    assert found, "node 18 or later is missing"
    return found


def test_every_module_can_be_read_as_it_is_served(tmp_path: Path, nodejs: str) -> None:
    for name, file in static_files().files.items():
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


def tokens(module: bytes) -> list[str]:
    """The tokens of a module as Pygments reads them, without those of its style sheets."""
    said = [(kind, text) for kind, text in JavascriptLexer().get_tokens(module.decode()) if kind not in Comment]
    return [
        text
        for kind, text in said
        if (text.strip() or kind in String) and not (kind in String.Backtick and re.search("[{;]", text))
    ]


def test_a_module_says_the_same_as_it_is_served() -> None:
    """By another reading of it than that which minifies it."""
    assert tokens(b"a = 'b  c'; // d\n/* e */ `  ${ f }`") == ["a", "=", "'b  c'", ";", "`", "  ", "${", "f", "}", "`"]
    for path in modules():
        module = path.read_bytes()
        assert tokens(minified(module)) == tokens(module), path


def other_texts(module: bytes) -> list[bytes]:
    """The texts of several lines in a module that are no style sheet: they would be minified as one."""
    texts = jsmin(module).split(b"`")[1::2]
    return [text for text in texts if b"\n" in text and not re.search(rb"[\w\])}] *\{[^{}]*\}", text)]


def test_the_only_texts_of_several_lines_in_a_module_are_style_sheets() -> None:
    assert other_texts(b"// `\na = `\n  b { c: d }\n`;\n") == []
    assert other_texts(b"a = `\n  b\n`;\n") == [b"\n  b\n"]
    assert len(modules()) > 20
    assert {path.name: found for path in modules() if (found := other_texts(path.read_bytes()))} == {}


def test_relative_imports_of_a_module_that_was_renamed_start_from_the_same_depth() -> None:
    assert not set(FORMER) & set(served())
    assert all(former.count("/") == present.count("/") for former, present in FORMER.items())


@pytest.mark.parametrize(
    ("former", "exported"),
    [
        ("loket-chat/composer.js", "composer"),
        ("loket-chat/form-context.js", "formOf placeOf"),
        ("loket-chat/nameless.js", "nameless"),
        ("loket-chat/preload.js", "preloader"),
        ("shared/http-way.js", "httpWay"),
        ("shared/new-message.js", "charactersLeft COUNT_FROM isSubmitKey newId"),
    ],
)
def test_a_module_that_became_a_part_of_another_has_what_open_pages_import_from_it(former: str, exported: str) -> None:
    body = static_files().files[former].body.decode()
    assert set(exported.split()) <= set(re.findall(r"\bexport (?:const|(?:async )?function) (\w+)", body))
