"""RULES of judging a file: its type, whether it is accepted, and what of it is stored. No I/O.

Worker processes judge files. Only they load this module and those of the file types; the service itself has `jobs`.
"""

from __future__ import annotations

from collections.abc import Callable

from services.transcripts.attachments import jobs
from services.transcripts.attachments.formats import compound, documents, images, pdfs, texts
from services.transcripts.attachments.kinds import (
    CSV,
    GIF,
    JPEG,
    PNG,
    STRICT,
    TEXT,
    WEBP,
    Finding,
    Kind,
    Reason,
    Refused,
    Verdict,
    refuse,
)
from services.transcripts.attachments.kinds import PDF as PDF_KIND

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"heif")
_MOST_PIXELS = 600_000_000  # an A0 plan at 600 dots per inch; a viewer needs four bytes for each
_TABLES = (".csv", ".tsv", ".tab")
_AVIF = (b"avif", b"avis")


def judge(content: bytes, name: str, policy: frozenset[Finding] = STRICT) -> Verdict:
    """Return the type of this file.

    Args:
        content: The whole file.
        name: The name that the uploader gave it. It only distinguishes CSV and scripts from other plain text.
        policy: What documents may not contain.

    Raises:
        Refused: The file is not accepted.
    """
    if not content:
        raise Refused(Reason.EMPTY, "empty")
    if content.startswith(b"PK\3\4"):
        kind, findings = documents.inspect(content)
        refuse(findings, policy)
        return Verdict(kind)
    if content.startswith(compound.MAGIC):
        raise _compound(content)
    if content[4:8] == b"ftyp":
        raise _film(content)
    if picture := _picture(content):
        if texts.decoded(content) is not None:
            raise Refused(Reason.NOT_ALLOWED, "a text that begins as a picture")
        if images.pixels(content, picture) > _MOST_PIXELS:
            raise Refused(Reason.NOT_ALLOWED, "a picture of too many pixels")
        clean = images.without_metadata(content, picture)
        return Verdict(picture, None if clean is content else clean)
    at = pdfs.begins(content)
    if at == 0 or (at is not None and _may_precede(content[:at])):
        refuse(pdfs.inspect(content), policy)
        return Verdict(PDF_KIND)
    return Verdict(_text(content, name, policy))


def _compound(content: bytes) -> Refused:
    if compound.has_password(content):
        return Refused(Reason.PASSWORD, "compound file with an encrypted package")
    if compound.is_old_office(content):
        return Refused(Reason.OLD_OFFICE, "compound file")
    return Refused(Reason.NOT_ALLOWED, "another compound file")


def _film(content: bytes) -> Refused:
    """Return the refusal of a file in the ISO base media format: a picture of a phone, or a film.

    Source: ISO/IEC 14496-12, 4.3.
    """
    size = min(max(int.from_bytes(content[:4], "big"), 16), 256)
    brands = [content[8:12], *(content[at : at + 4] for at in range(16, size, 4))]
    if any(b in _HEIC for b in brands) and not any(b in _AVIF for b in brands):
        return Refused(Reason.HEIC, "heic")
    return Refused(Reason.NOT_ALLOWED, "film")


def _picture(content: bytes) -> Kind | None:
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        return PNG
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP" and content[12:15] == b"VP8":
        return WEBP
    return None


def _may_precede(junk: bytes) -> bool:
    """Return whether these bytes may come before the header of a PDF.

    Byte order marks, line ends and headers of mail or print may; another type of file may not.
    """
    return not junk.startswith((b"MZ", b"\x7fELF", b"PK", b"#!", b"<", b"Rar!", b"%!PS", b"{\\rtf", b"ID3", b"OggS"))


def _text(content: bytes, name: str, policy: frozenset[Finding]) -> Kind:
    text = texts.decoded(content)
    if text is None:
        raise Refused(Reason.NOT_ALLOWED, "binary")
    if what := texts.recognised(text, name):
        raise Refused(Reason.NOT_ALLOWED, what)
    if name.lower().endswith(_TABLES):
        if texts.asks_another_program(text, content):
            refuse({Finding.DDE}, policy)
        if texts.asks_another_server(text, content):
            refuse({Finding.EXTERNAL}, policy)
    return CSV if name.lower().endswith(".csv") else TEXT


def begin() -> Callable[[bytes], bytes]:
    """Return the function that a process applies to each job (`services.common.runtime.worker_process`)."""
    return answer


def answer(job: bytes) -> bytes:
    """Judge the file of a job. Return the answer to the job."""
    content, name, policy = jobs.read_job(job)
    del job
    try:
        return jobs.verdict_answer(judge(content, name, policy))
    except Refused as refused:
        return jobs.refusal_answer(refused)
