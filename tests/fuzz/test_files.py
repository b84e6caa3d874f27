"""Bent archives, documents, PDFs and pictures through the processes that judge uploads, under their limits of memory.

Whatever a file is: it is accepted or refused, no process grows beyond its limit, and the next file is judged.
"""

import asyncio
import io
import random
from collections import Counter
from collections.abc import AsyncIterator

import psutil
import pytest

from services.transcripts.attachments import checker as attachments_checker
from services.transcripts.attachments.checker import MEMORY, Checker
from services.transcripts.attachments.kinds import STRICT, Refused
from tests.fuzz.amount import DERANDOMIZED, times
from tests.transcripts import made

FILES = 200
KEPT: tuple[int, ...] = ()
"""Numbers of files that once failed; they are tried first."""
TABLES = 64 * 1024 * 1024
"""Memory of a process that is not its own: the interpreter and its libraries, which processes share."""
JPEG = (
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + b"\xff\xfe\0\x08geheim\xff\xdb\0\x04ab\xff\xda\0\x02xyz\xff\xd9"
)
GIF = b"GIF89a\2\0\2\0\x80\0\0" + bytes(6) + b"!\xfe\3abc\0,\0\0\0\0\2\0\2\0\0\2\2\x44\1\0;"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"


def samples() -> list[bytes]:
    """Files of all accepted kinds, to be bent."""
    pages = made.pdf(
        b"<</Type/Catalog/Pages 2 0 R/Names 4 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R>>",
        made.stream(b"BT (Dag) Tj ET" * 50),
        made.object_stream(b"1 0 2 10 <</A 1>> <</B 2>>"),
    )
    documents = [made.office(), made.opendocument(), made.office(more={"word/embeddings/a.docx": made.office()})]
    ordinary = [made.PNG, JPEG, GIF, WEBP, pages, *documents, "Naam;Ééndje\r\n".encode() * 50]
    return ordinary * 10 + list(made.bombs().values())  # a bomb takes as long to check as a hundred other files


def bent(r: random.Random, content: bytes, other: bytes) -> bytes:
    """The same file with some changes: bits, lengths, pieces twice or missing, a piece of another file."""
    changed = bytearray(content)
    for _ in range(r.choice((1, 1, 2, 4, 16))):
        at, length = r.randrange(len(changed) + 1), r.choice((1, 2, 4, 8, 64, 1_000))
        how = r.randrange(6)
        if how == 0 and at < len(changed):
            changed[at] ^= 1 << r.randrange(8)
        elif how == 1:
            changed[at : at + 4] = r.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
        elif how == 2:
            del changed[at : at + length]
        elif how == 3:
            changed[at:at] = changed[at : at + length] * r.choice((1, 2, 50))
        elif how == 4:
            begin = r.randrange(len(other))
            changed[at:at] = other[begin : begin + length]
        else:
            changed[at:at] = r.randbytes(length)
    return bytes(changed)


class Watch:
    """The largest memory of the processes that this one has started, seen between two files and while one is judged."""

    def __init__(self) -> None:
        self.most = 0

    def look(self) -> None:
        for child in psutil.Process().children(recursive=True):
            try:
                if any("judging" in part for part in child.cmdline()):
                    self.most = max(self.most, child.memory_info().rss)
            except psutil.Error:
                continue

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.02)


@pytest.fixture
async def checker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Checker]:
    monkeypatch.setattr(attachments_checker, "SECONDS", 120.0)
    one = Checker(STRICT)
    yield one
    await one.close()


async def test_no_file_breaks_the_check_or_takes_more_memory_than_it_may(checker: Checker) -> None:
    originals = await asyncio.to_thread(samples)
    outcomes: Counter[str] = Counter()
    ended: list[int] = []
    begin = 0 if DERANDOMIZED else random.SystemRandom().randrange(2**40)
    watch = Watch()
    watching = asyncio.create_task(watch.watch())
    for number in (*KEPT, *range(begin, begin + times(FILES))):
        r = random.Random(number)
        content = bent(r, r.choice(originals), r.choice(originals))
        name = r.choice(("a.docx", "a.pdf", "a.png", "a", "b.odt", "c.zip", "d.jpg", "e.csv"))
        try:
            await checker.check(io.BytesIO(content), name)
            outcomes["accepted"] += 1
        except Refused as refused:
            outcomes[refused.reason.value] += 1
            if refused.found == "check: ended":
                ended.append(number)
        except Exception as error:
            raise AssertionError(f"file {number}: {error!r}") from error
    watching.cancel()
    assert ended == [], "files that ended their process"
    assert outcomes["accepted"] > 10, outcomes
    assert outcomes["not_allowed"] > 10, outcomes
    assert 0 < watch.most < MEMORY + TABLES, f"{watch.most / 2**20:.0f} MiB"
    assert (await checker.check(io.BytesIO(made.PNG), "a.png")).stored is None, "the next file is judged"
