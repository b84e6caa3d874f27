"""Plain text, and other formats that are written as text: web pages, scripts, other types of documents.

The beginning of a file decides, as in https://mimesniff.spec.whatwg.org/ (section 7.1): a text that mentions HTML, an
e-mail, or a list with angle brackets is still a text.
"""

from __future__ import annotations

import codecs
import re

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_CONTROL_WIDE = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufffe\uffff]")
_MARKS = (  # the longer ones first: the mark of UTF-32 starts with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEGINNING = 64 * 1024  # characters of the beginning that are examined
_DELIMITED = r"(?=[\s/>])"
_PAGE = re.compile(  # beginnings that only a page has
    r"<(!doctype\s+(html|svg)|html|head|body|frameset|script|iframe|style|title|meta|link|base|object|embed|applet|svg"
    rf"|form|\w+:(?:html|svg|script)|hta:application|%|\?(?:php|=)){_DELIMITED}|<[%?](?:=|@|php\b)",
    re.IGNORECASE,
)
_PIECE = re.compile(  # beginnings of a page, or of a text with a few tags
    r"<(h[1-6]|div|p|table|font|center|span|ul|ol|main|section|article|nav|header|input|video|audio|button|marquee|"
    rf"details|math|select|textarea|img|a|b|i|u|br|hr|em|strong|pre|blockquote){_DELIMITED}",
    re.IGNORECASE,
)
_INLINE = ("img", "a", "b", "i", "u", "br", "hr", "em", "strong", "pre", "blockquote", "span", "font")
_TAG = re.compile(r"<[a-z!/?][^<>]*>", re.IGNORECASE)
_COMMENT = re.compile(r"\s*<!--.*?(-->|\Z)", re.DOTALL)
_XML = re.compile(r"\s*<\?xml\s.*?\?>", re.DOTALL | re.IGNORECASE)
_INSTRUCTION = re.compile(r"\s*<\?(?!php)\w.*?\?>", re.DOTALL | re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype\s(?!\s*(?:html|svg)\b)[^\[>]*(\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE)
_ROOT = re.compile(r"\s*<(?:[\w.-]+:)?(html|svg)[\s/>]", re.IGNORECASE)
_OFFICE = re.compile(  # Word and Excel 2003, Word's single file and OpenDocument's: documents in one XML file
    r"<\?mso-application\b|urn:schemas-microsoft-com:office:spreadsheet|schemas\.microsoft\.com/office/word/2003/wordml"
    r"|schemas\.microsoft\.com/office/2006/xmlPackage|urn:oasis:names:tc:opendocument:xmlns:office:1\.0",
    re.IGNORECASE,
)
_RUNS = re.compile(r"<\s*(?:[\w.-]+:)?script[\s/>]|\bon(?:load|error|click|mouseover|begin)\s*=", re.IGNORECASE)
_RENDERED = re.compile(r"www\.w3\.org/(1999/xhtml|2000/svg|1999/XSL/Transform)", re.IGNORECASE)
_SCRIPT = re.compile(
    r"#!\s*/|@?echo\s+(?:off|on)\s*$|@echo\b|\[(?:internetshortcut|desktop entry|autorun)\]"
    r"|windows registry editor version|regedit4\s*$|<\?php|<\?=|#requires\s+-|import-module\s|on error resume next\s*$"
    r"|%!ps|\{\\rt",
    re.IGNORECASE | re.MULTILINE,
)
_RUN_BY_HOST = re.compile(r"<(?:[\w.-]+:)?(job|package|component|scriptlet)[\s>]", re.IGNORECASE)  # .wsf, .wsc, .sct
_HEADER = re.compile(r"[!-9;-~]+:")  # the beginning of a mail or an archive of a page (RFC 5322, 2.2)
_ARCHIVE = re.compile(r"^content-type:\s*multipart/related\b", re.IGNORECASE | re.MULTILINE)  # RFC 2557
_MAIL = re.compile(r"^(message-id|received|to|return-path|delivered-to):", re.IGNORECASE | re.MULTILINE)
_MOST_HEADERS = 32 * 1024  # characters
# A sheet in the format SYLK, which Excel opens under any name: its first record, and one of those that may follow.
_SYLK, _SYLK_RECORD = re.compile(r"ID;P"), re.compile(r"^(?:O;|NN;|C;[XYKER]\S|B;[XY]\d|F;\S*;)", re.MULTILINE)
_DDE_CELL = re.compile(r"""(?:^|[;,\t"])\s?[=+@-][^;,\t\r\n|"]{0,100}[\w.]'?\|[^|\r\n!]{0,500}!['\w]""", re.MULTILINE)
# Functions of spreadsheets that ask another server or program, also by their German and French names.
_FETCH = re.compile(r"\b(?:WEBSERVICE|WEBDIENST|SERVICEWEB|IMPORT(?:XML|HTML|DATA|FEED|RANGE)|DDE)\s*\(", re.IGNORECASE)
_FORMULA = re.compile(r"""(?:^|[;,\t"])\s?[=+@-]""")  # the beginning of a formula in a line
_LINE_END = re.compile(r"[\r\n]|\Z")
_HOST = re.compile(r"wscript\.(shell|createobject)|createobject\(\s*[\"']|new\s+activexobject", re.IGNORECASE)
_STATEMENT = re.compile(r"[;{}()=]\s*$|^\s*(set|dim|var|let|const|function|sub|if|end)\b", re.IGNORECASE)
_PAGE_ENDINGS = (".html", ".htm", ".xhtml", ".xht", ".shtml", ".mht", ".mhtml", ".svg", ".hta")
_SCRIPT_ENDINGS = (
    ".bat .cmd .ps1 .psm1 .psd1 .vbs .vbe .js .jse .mjs .cjs .wsf .wsh .wsc .sct .sh .bash .zsh .csh .ksh .py .pyw .pl"
    " .rb .php .phtml .asp .aspx .jsp .reg .url .desktop .scf .inf .jnlp .command .applescript .lua .tcl .iqy"
)
_MARKED_UP = (".md", ".markdown", ".xml", ".eml", ".rst", ".log")  # in these, tags at the beginning prove nothing


def decoded(content: bytes) -> str | None:
    """Return the text in these bytes; None when they are no text.

    The encoding is UTF-8, UTF-16 or UTF-32 with its mark, or a single-byte one. Control characters are not allowed,
    except tab, line ends, form feed and vertical tab, and the end-of-file character of old systems at the end.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                wide = content.decode(encoding)
            except UnicodeDecodeError:
                return None
            return None if _CONTROL_WIDE.search(wide) else wide
    if _CONTROL.search(content[:-1] if content.endswith(b"\x1a") else content):
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content[: 2 * _BEGINNING].decode("latin-1")  # every byte may be a printable character


def recognised(text: str, name: str) -> str | None:
    """Return what this text is beyond a text (`page`, `script`, `office`), or None.

    Args:
        text: The text.
        name: The name that the uploader gave the file.
    """
    name = name.lower()
    beginning = text[:_BEGINNING].lstrip("\ufeff")
    first = beginning.lstrip()
    if _SCRIPT.match(first) or name.endswith(tuple(_SCRIPT_ENDINGS.split())):
        return "script"
    if name.endswith(_PAGE_ENDINGS) and _TAG.search(text):
        return "page"
    if first.startswith("<"):
        return _recognised_markup(text, first, name)
    if not name.endswith(".eml") and _is_archived_page(first):
        return "page"
    if _SYLK.match(first) and _SYLK_RECORD.search(beginning):
        return "office"
    if _HOST.search(beginning) and not _prose(beginning):
        return "script"
    return None


def asks_another_program(text: str, content: bytes) -> bool:
    """Return whether a cell of this table is a formula that starts another program (DDE): `=cmd|'/c x'!A1`.

    Args:
        text: The text, or its beginning.
        content: The whole file.
    """
    return bool(_DDE_CELL.search(_whole(text, content)))


def asks_another_server(text: str, content: bytes) -> bool:
    """Return whether a cell of this table is a formula that sends what the table has: `=WEBSERVICE("https://x/"&A1)`.

    Args:
        text: The text, or its beginning.
        content: The whole file.
    """
    table, at = _whole(text, content), 0
    while fetch := _FETCH.search(table, at):  # each line is looked at once
        start = max(table.rfind("\n", at, fetch.start()), table.rfind("\r", at, fetch.start()), at - 1) + 1
        at = _LINE_END.search(table, fetch.end()).start()  # type: ignore[union-attr] # \Z is always found
        formula = _FORMULA.search(line := table[start:at])
        if formula and _FETCH.search(line, formula.end()):
            return True
    return False


def _whole(text: str, content: bytes) -> str:
    wide = any(content.startswith(mark) for mark, _ in _MARKS)
    return text if wide else content.decode("latin-1")


def _recognised_markup(text: str, first: str, name: str) -> str | None:
    if _OFFICE.search(first):
        return "office"
    if _RUNS.search(text) and _RUN_BY_HOST.search(first[:_MOST_HEADERS]) and not name.endswith(_MARKED_UP):
        return "script"
    is_xml = bool(_XML.match(first)) or name.endswith(".xml")
    if is_xml:
        rest = _without(first, _XML, _COMMENT, _INSTRUCTION, _DOCTYPE)
        if _ROOT.match(rest) or re.match(r"\s*<!doctype\s+(html|svg)\b", rest, re.IGNORECASE):
            return "page"
        return "page" if _RENDERED.search(text) and _RUNS.search(text) else None
    rest = _without(first, _COMMENT).lstrip()
    if _PAGE.match(rest):
        return None if name.endswith(_MARKED_UP) and not _RUNS.search(text) and not _ROOT.match(rest) else "page"
    if (piece := _PIECE.match(rest)) and not name.endswith(_MARKED_UP):
        written = piece[1].lower() not in _INLINE and re.search(r"</\w+\s*>", text)
        return "page" if written or _RUNS.search(text) else None
    return None


def _is_archived_page(first: str) -> bool:
    """Return whether this is a web page with its resources, as browsers and Word save it (MHTML).

    It has headers like an e-mail, but no recipient.
    """
    if not _HEADER.match(first):
        return False
    head = re.split(r"\r?\n\s*\r?\n|\r\s*\r", first[:_MOST_HEADERS], maxsplit=1)[0]
    return bool(_ARCHIVE.search(head)) and not _MAIL.search(head)


def _without(text: str, *beginnings: re.Pattern[str]) -> str:
    while found := next((m for b in beginnings if (m := b.match(text)) and m.end()), None):
        text = text[found.end() :]
    return text


def _prose(text: str) -> bool:
    """Return whether this reads as sentences rather than statements."""
    lines = [line for line in text.splitlines() if line.strip()]
    statements = sum(bool(_STATEMENT.search(line)) for line in lines)
    return statements * 2 < len(lines)
