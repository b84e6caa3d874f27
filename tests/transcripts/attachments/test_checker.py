"""Files are judged in processes that are bounded: checker.py and attachments/judging.py."""

import io
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from services.transcripts.attachments import checker as attachments_checker
from services.transcripts.attachments.checker import CannotCheck, Checker
from services.transcripts.attachments.formats import archives, documents
from services.transcripts.attachments.judging import judge
from services.transcripts.attachments.kinds import JPEG, PNG, STRICT, TEXT, Reason, Refused
from tests.transcripts import made


@pytest.fixture
async def checker() -> AsyncIterator[Checker]:
    one = Checker(STRICT)
    yield one
    await one.close()


async def test_a_file_is_judged_and_what_is_stored_comes_back(checker: Checker) -> None:
    assert (await checker.check(io.BytesIO(b"hallo\n"), "a.txt")).kind == TEXT
    verdict = await checker.check(io.BytesIO(made.PNG), "a.png")
    assert (verdict.kind, verdict.stored) == (PNG, None)
    commented = b"\xff\xd8\xff\xfe\x00\x08geheim\xff\xdb\x00\x04ab\xff\xd9"
    verdict = await checker.check(io.BytesIO(commented), "a.jpg")
    assert (verdict.kind, verdict.stored) == (JPEG, b"\xff\xd8\xff\xdb\x00\x04ab\xff\xd9")
    with pytest.raises(Refused) as refused:
        await checker.check(io.BytesIO(made.compound("EncryptedPackage")), "a.docx")
    assert refused.value.reason is Reason.PASSWORD


async def test_a_name_of_any_characters_is_judged(checker: Checker) -> None:
    assert (await checker.check(io.BytesIO(b"a;b\n"), "lijst\ud800\x00" * 500 + ".csv")).kind.endings == (".csv",)


@pytest.mark.parametrize("name", made.BOMBS)
def test_a_bomb_is_refused_by_what_it_says_of_itself(name: str) -> None:
    bomb = made.BOMBS[name]()
    before = psutil.Process().memory_info().rss
    began = time.process_time()
    with pytest.raises(Refused):
        judge(bomb, "brief.docx")
    assert time.process_time() - began < 10
    assert psutil.Process().memory_info().rss - before < 64 * 1024 * 1024


async def test_the_largest_text_fits_into_the_memory(checker: Checker) -> None:
    text = ("é😀" * 2_000_000).encode()[: 10 * 1024 * 1024 - 4]
    assert (await checker.check(io.BytesIO(text.decode(errors="ignore").encode()), "a.txt")).kind == TEXT
    wide = b"\xff\xfe" + "woord ".encode("utf-16-le") * 800_000
    assert (await checker.check(io.BytesIO(wide), "a.txt")).kind == TEXT


async def test_what_takes_too_much_memory_or_time_is_refused_and_the_next_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attachments_checker, "MEMORY", 48 * 1024 * 1024)
    checker = Checker(STRICT)
    with pytest.raises(Refused) as refused:
        await checker.check(io.BytesIO(b"\xff\xfe" + "woord ".encode("utf-16-le") * 3_000_000), "a.txt")
    assert refused.value.found in ("check: memory", "check: ended")
    assert (await checker.check(io.BytesIO(b"hallo\n"), "a.txt")).kind == TEXT
    await checker.close()
    monkeypatch.setattr(attachments_checker, "SECONDS", 0.05)
    slow = Checker(STRICT)
    long = made.office(more={"word/document.xml": "<w>" + "<instr/>" * 3_000_000 + "</w>"})
    with pytest.raises(Refused) as refused:
        await slow.check(io.BytesIO(long), "a.docx")
    assert refused.value.found == "check: time"
    await slow.close()


async def test_a_file_is_not_to_blame_when_no_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = Checker(STRICT)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/false")
        with pytest.raises(CannotCheck):
            await checker.check(io.BytesIO(b"hallo\n"), "a.txt")
    assert (await checker.check(io.BytesIO(b"hallo\n"), "a.txt")).kind == TEXT
    await checker.close()


def test_elements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "Budget", lambda: archives.Budget(elements=10_000))
    with pytest.raises(Refused) as refused:
        judge(made.office(more={"word/document.xml": "<w>" + "<instr/>" * 20_000 + "</w>"}), "a.docx")
    assert "too much to check: elements" in refused.value.found
