"""Static files: what is served below `/static/`, in memory and compressed once, with the digest of them all.

The digest is a segment of the path, `/static/<digest>/loket-chat/panel.js`. The relative imports of a module carry it
to all that it loads. A browser keeps these files (RFC 8246) and asks for none of them before a release changes one.
What pages name keeps its address, is asked for again, and names the digest: `/widget.js`, pages, the entries of pages.
See decision 63.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
from rcssmin import cssmin
from rjsmin import jsmin

from services.common.config.departments import LOCALES

WEB = Path(__file__).parents[2] / "web"
FOLDERS = {
    "agent": "console",
    "demo": "demo",
    "former": "former",
    "identify": "identify",
    "infofiche": "info_sheet",
    "loket-chat": "widget",
    "shared": "shared",
}
"""What is served below `/static/`: the folder of the URL, and that in `web`. URLs keep their names of version 1.

Beside these folders are the tools that check them. They are not served.
"""
CATALOGUES = {
    "agent/texts": ("console/translations",),
    "demo/texts": ("demo/translations",),
    "loket-chat/text": ("widget/translations/panel", "widget/translations/conversation"),
    "loket-chat/text/blue": ("widget/translations/blue",),
    "loket-chat/text/button": ("widget/translations/button",),
    "loket-chat/text/reason": ("widget/translations/reason",),
    "loket-chat/text/after": ("widget/translations/after",),
    "loket-chat/text/files": ("widget/translations/files",),
    "loket-chat/text/form": ("widget/translations/form",),
    "loket-chat/text/given": ("widget/translations/given",),
    "loket-chat/text/identify": ("widget/translations/identify",),
    "loket-chat/text/inactive": ("widget/translations/inactive",),
    "loket-chat/text/launcher": ("widget/translations/button", "widget/translations/launcher"),
    "loket-chat/text/numbers": ("widget/translations/numbers",),
    "loket-chat/text/panel": ("widget/translations/panel",),
    "loket-chat/text/previews": ("widget/translations/previews",),
    "loket-chat/text/privacy": ("widget/translations/privacy",),
    "loket-chat/text/name": ("widget/translations/name",),
    "loket-chat/text/masked": ("widget/translations/masked",),
    "loket-chat/text/settings": ("widget/translations/settings",),
    "loket-chat/text/waiting": ("widget/translations/waiting",),
}
"""The catalogues below `/static/`: the folder of the URL, and those in `web` whose `nl.json` make module `nl.js`.

What the first moment needs has a module of its own; the module that comes after it has these texts too, as before.
"""
FORMER = {
    "agent/bar.js": "agent/toolbar.js",
    "agent/block.js": "agent/block-dialog.js",
    "agent/desk.js": "agent/desk-state.js",
    "agent/entry.js": "agent/chat-state.js",
    "agent/keeping.js": "agent/storage.js",
    "agent/log.js": "agent/message-list.js",
    "agent/news.js": "agent/new-chats.js",
    "agent/overview.js": "agent/side-page.js",
    "agent/questions.js": "agent/left-questions.js",
    "agent/signals.js": "agent/notifications.js",
    "agent/stage.js": "agent/app.js",
    "agent/texts.js": "former/console-texts.js",
    "agent/times.js": "agent/format.js",
    "agent/transfer.js": "agent/transfer-dialog.js",
    "agent/work.js": "agent/controller.js",
    "lib/close-codes.js": "former/close-codes.js",
    "lib/connection.js": "shared/connection.js",
    "lib/conversation.js": "shared/conversation.js",
    "loket-chat/aside.js": "loket-chat/lazy-panels.js",
    "loket-chat/button.js": "shared/button-status.js",
    "loket-chat/composer.js": "loket-chat/chat-view.js",
    "loket-chat/dom.js": "former/dom.js",
    "loket-chat/dressed.js": "former/dressed.js",
    "loket-chat/form-context.js": "loket-chat/start-chat.js",
    "loket-chat/inactive.js": "loket-chat/inactivity-warning.js",
    "loket-chat/log.js": "former/log.js",
    "loket-chat/nameless.js": "loket-chat/lazy-panels.js",
    "loket-chat/preload.js": "loket-chat/launcher-actions.js",
    "loket-chat/question.js": "loket-chat/leave-question.js",
    "loket-chat/session.js": "former/session.js",
    "loket-chat/start.js": "former/start.js",
    "loket-chat/waiting.js": "loket-chat/queue-info.js",
    "shared/close-codes.js": "former/close-codes.js",
    "shared/http-way.js": "shared/connection.js",
    "shared/new-message.js": "shared/conversation.js",
}
"""Former names of files, and their present ones. A page that is open during an update loads the rest of its modules by
the former names, so these keep their answers. A module and its former name are in folders of the same depth, because
its relative imports start from the URL. Where former pages import other names, a module of `former` has them.
"""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wav": "audio/wav",
}
ENTRIES = ("agent/console.js", "demo/demo.js", "infofiche/live.js")
"""The modules that pages name. Without a digest, these are loaders of the module of this release."""
LOADER = 'import("../{digest}/{name}").catch(() => import("./{own}?again"));\n'
"""An entry without a digest. While replicas are replaced, one of a version without digests may get the request for a
module: then the page takes all of its modules from the paths without a digest, which every version has. Another address
also avoids that a browser goes on from a failure that it keeps."""
WIDGET = "loket-chat/widget.js"
WIDGETS_DIGEST = b'let digest="";'
"""What gets the digest in the embed script, as it is served."""
NAMED = re.compile(rb'(?<=")/static/[a-z/-]+\.(?:css|svg)(?=")')
"""A style sheet or a picture in a page or in a style sheet. They load nothing, so a query has the digest: replicas of a
version without digests pass over it."""
VERSIONED = re.compile(r"([0-9a-f]{8})/(.+)")
"""A path below `/static/` with a digest."""
BRIEF = "public, max-age=60"
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class File:
    """A static file as it is served.

    Attributes:
        body: The bytes.
        packed: The gzip form, where that is smaller.
        etag: The entity tag.
        media_type: The value of `Content-Type`.
    """

    body: bytes
    packed: bytes | None
    etag: str
    media_type: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> File:
        """Return the file with these bytes, compressed."""
        packed = gzip.compress(body, 9, mtime=0)
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        return cls(body, packed if len(packed) < len(body) else None, etag, media_type)


@dataclass(frozen=True)
class StaticFiles:
    """What is served below `/static/`.

    Attributes:
        digest: The digest of all files: 8 hexadecimal digits, the same in every replica of a release.
        files: The files by their present and former names.
        entries: What is answered instead for a name without a digest.
    """

    digest: str
    files: Mapping[str, File]
    entries: Mapping[str, File]

    def find(self, name: str, query: str) -> tuple[File, str] | None:
        """Return the file at `/static/<name>?<query>`, and how long caches may keep it; None where there is none.

        Only a request with the digest of this release gets an answer that stays in caches. Pages of another release ask
        for its digest, and get the file of this one for a minute, as without a digest.
        """
        found = VERSIONED.fullmatch(name)
        digest, name = found.groups() if found else (query, name)
        file = (None if digest else self.entries.get(name)) or self.files.get(name)
        return (file, FOREVER if digest == self.digest else BRIEF) if file else None


def as_module(*catalogues: bytes) -> bytes:
    """Return the ES module that exports the texts of these catalogues (docs/texts.md) by their keys.

    The plural forms of a text have keys of their own, `key.one` and `key.other`, as pages of version 1.1 read them.
    """
    texts: dict[str, str] = {}
    for key, text in (item for catalogue in catalogues for item in orjson.loads(catalogue).items()):
        texts |= {f"{key}.{form}": words for form, words in text.items()} if isinstance(text, dict) else {key: text}
    return b"export default " + orjson.dumps(texts) + b";\n"


def minified(module: bytes) -> bytes:
    """Return a module without comments and white space that mean nothing, and with its style sheets as small.

    A text of several lines between backquotes is a style sheet. No text between backquotes has another one within:
    rjsmin does not know these. Tests and the linter hold both.
    """
    parts = jsmin(module).split(b"`")
    parts[1::2] = [cssmin(text) if b"\n" in text else text for text in parts[1::2]]
    return b"`".join(parts)


def has_demo() -> bool:
    """Return whether the demonstration page is here. No image has it, but those that are built with `DEMO=on`."""
    return (WEB / FOLDERS["demo"] / "index.html").is_file()


def served() -> dict[str, tuple[Path, ...]]:
    """Return the files of which each file below `/static/` is made, by its name in the URL."""
    files: dict[str, tuple[Path, ...]] = {}
    for folder, place in FOLDERS.items():
        for path in sorted((WEB / place).rglob("*")):
            if path.suffix in TYPES:
                files[f"{folder}/{path.relative_to(WEB / place)}"] = (path,)
    for folder, places in CATALOGUES.items():
        if folder.startswith("demo/") and not has_demo():
            continue
        for language in LOCALES:
            files[f"{folder}/{language}.js"] = tuple(WEB / place / f"{language}.json" for place in places)
    return files


def body_of(*paths: Path) -> bytes:
    """Return the bytes that are served for these files: catalogues as one module, modules and style sheets minified."""
    body, *_ = bodies = [path.read_bytes() for path in paths]
    match paths[0].suffix:
        case ".json":
            return as_module(*bodies)
        case ".js":
            return minified(body)
        case ".css":
            return bytes(cssmin(body))
        case _:
            return body


def digest_of(bodies: Mapping[str, bytes]) -> str:
    """Return the digest of these files, by their names: the first 32 bits of a SHA-256, as 8 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, body in sorted(bodies.items()):
        digest.update(f"{name} {len(body)}\n".encode() + body)
    return digest.hexdigest()[:8]


@cache
def static_files() -> StaticFiles:
    """Read what is served below `/static/`. A process reads it once."""
    bodies = {name: body_of(*paths) for name, paths in served().items()}
    digest = digest_of(bodies)
    files = {}
    for name, body in bodies.items():
        suffix = Path(name).suffix
        named = suffix in (".css", ".html")
        files[name] = File.of(NAMED.sub(rb"\g<0>?" + digest.encode(), body) if named else body, TYPES[suffix])
    entries = {
        name: File.of(LOADER.format(digest=digest, name=name, own=Path(name).name).encode(), TYPES[".js"])
        for name in ENTRIES
        if name in bodies
    }
    line = WIDGETS_DIGEST.replace(b'""', f'"/{digest}"'.encode())
    entries[WIDGET] = File.of(bodies[WIDGET].replace(WIDGETS_DIGEST, line), TYPES[".js"])
    return StaticFiles(digest, files | {name: files[present] for name, present in FORMER.items()}, entries)
