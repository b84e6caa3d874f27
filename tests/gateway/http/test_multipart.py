"""`services/gateway/http/multipart.py`: the file comes out as it went in, however the form is cut into chunks."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.http.multipart import MOST_BEFORE, MOST_HEADER, NotMultipart, file_part

TYPE = "multipart/form-data; boundary=grens"


def form(*parts: tuple[str, bytes], boundary: str = "grens", end: bool = True) -> bytes:
    """A form of these parts: the disposition's options, and the content."""
    body = b""
    for options, content in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; {options}\r\nContent-Type: x/y\r\n\r\n".encode()
        body += content + b"\r\n"
    return body + (f"--{boundary}--\r\n".encode() if end else b"")


async def chunks_of(body: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    edges = [0, *sorted(c % (len(body) + 1) for c in cuts), len(body)]
    for a, b in pairwise(edges):
        yield body[a:b]


async def read(body: bytes, cuts: list[int] | None = None, content_type: str = TYPE) -> tuple[str, bytes]:
    part = await file_part(content_type, chunks_of(body, cuts or []))
    return part.name, b"".join([chunk async for chunk in part.chunks])


AWKWARD = st.sampled_from([b"\r\n--grens", b"--grens--\r", b"\r", b"\n", b"--", b"\r\n--gren", b"\0", b"PK\x03\x04"])
CONTENT = st.lists(st.binary(max_size=20) | AWKWARD, max_size=8).map(b"".join)


@given(CONTENT, st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
async def test_any_cutting_of_a_form_gives_the_same_bytes(content: bytes, cuts: list[int], around: bool) -> None:
    if b"\r\n--grens" in b"\r\n" + content + b"\r\n":
        content = content.replace(b"--grens", b"--Grens")
    parts = [('name="file"; filename="brief één.pdf"', content)]
    if around:
        parts = [('name="other"', b"before"), *parts, ('name="file"; filename="second"', b"after")]
    assert await read(form(*parts), cuts) == ("brief één.pdf", content)


async def test_byte_by_byte() -> None:
    body = form(('name="file"; filename="a.txt"', b"een\r\n--grens-\r\ntwee"))
    assert await read(body, list(range(len(body)))) == ("a.txt", b"een\r\n--grens-\r\ntwee")


async def test_a_name_is_passed_on_as_it_is_and_may_be_missing() -> None:
    assert (await read(form(('name="file"; filename="../../etc/passwd"', b"x"))))[0] == "../../etc/passwd"
    assert (await read(form(('name="file"', b"x"))))[0] == ""
    assert (await read(form(('name="file"; filename=""', b"")))) == ("", b"")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "x" * 500,
        "text/plain; boundary=grens",
        "multipart/mixed; boundary=grens",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 5_000}",
    ],
)
async def test_without_a_form_or_its_boundary(content_type: str) -> None:
    with pytest.raises(NotMultipart):
        await read(form(('name="file"', b"x")), content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"geen formulier",
        form(),
        form(('name="other"', b"x")),
        form(('name="File"', b"x")),
        form(('name="file"', b"x"), boundary="other"),
        form(('name="file"', b"x" * 100), end=False),
        form(('name="file"', b"x"))[:60],
        b"--grens\r\nContent-Disposition form-data\r\n\r\nx\r\n--grens--\r\n",
    ],
)
async def test_without_the_field_or_its_end(body: bytes) -> None:
    with pytest.raises(NotMultipart):
        await read(body)


async def test_headers_without_end_are_not_kept() -> None:
    with pytest.raises(NotMultipart):
        await read(b"--grens\r\nContent-Disposition: " + b"x" * (MOST_HEADER + 1))


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Offerte %22tuinhuis%22.pdf", 'Offerte "tuinhuis".pdf'),
        ("a%0D%0Ab.txt", "a\r\nb.txt"),
        ("100%25 zeker %20 %2F %00 %22.pdf", '100%25 zeker %20 %2F %00 ".pdf'),
        ("%0a %0d %2522.txt", "%0a %0d %2522.txt"),
        ("50%.txt", "50%.txt"),
    ],
)
async def test_what_browsers_escape_in_a_name_is_undone_and_nothing_else(sent: str, name: str) -> None:
    assert (await read(form((f'name="file"; filename="{sent}"', b"x"))))[0] == name


@pytest.mark.parametrize(
    "endless",
    [
        b"x" * 1_000,  # a preamble
        b"\r\n",
        b'--grens\r\nContent-Disposition: form-data; name="other"\r\n\r\n' + b"x" * 1_000 + b"\r\n",
        b"--grens\r\nX-A: b\r\n\r\n\r\n",
    ],
)
async def test_a_form_without_a_file_is_not_read_on_for_ever(endless: bytes) -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += len(endless)
            yield endless

    with pytest.raises(NotMultipart):
        await file_part(TYPE, body())
    assert taken <= MOST_BEFORE + len(endless)
