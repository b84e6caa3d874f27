"""No key, token or password of a real service is in the files or in their history, as far as its shape shows it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import ROOT

SHAPES = {
    "private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=]{40}",
    "AWS key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})\b",
    "GitLab token": rb"\bgl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_-]{20,}\b",
    "Slack token": rb"\bxox[abeoprs]-[A-Za-z0-9-]{20,}\b",
    "Google key": rb"\bAIza[0-9A-Za-z_-]{35}\b",
    "npm token": rb"\bnpm_[A-Za-z0-9]{36}\b",
    "PyPI token": rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
    "Stripe key": rb"\b[sr]k_live_[0-9A-Za-z]{20,}\b",
    "Azure key": rb"AccountKey=[A-Za-z0-9+/]{86}==",
    "JSON web token": rb"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}",
    "password in an address": rb"\b(?:amqps?|mongodb(?:\+srv)?|https?|postgres(?:ql)?)://[\w.-]+:[^\s@/${}<>'\"`:]{12,}@(?!127\.|localhost)[\w-]+\.[\w.-]+",
}
ANY = re.compile(b"|".join(b"(?:%s)" % shape for shape in SHAPES.values()))
LARGEST = 2_000_000  # bytes of an object: fonts and pictures are larger, and hold no text
INSTALLED = {".git", ".venv", ".run", "node_modules", "__pycache__"}
INSTALLED |= {".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache"}
EXAMPLES = (b".example", b"example.", b"secret-word")


def found(content: bytes) -> list[str]:
    """The kinds of secrets in this text."""
    hits = (match[0] for match in ANY.finditer(content))
    real = [hit for hit in hits if not any(example in hit for example in EXAMPLES)]
    return [kind for kind, shape in SHAPES.items() if any(re.search(shape, hit) for hit in real)]


def objects() -> Iterator[tuple[str, bytes]]:
    """Every file in every version of the history, by the name of its object, and once."""
    listed = subprocess.run(
        ("git", "rev-list", "--objects", "--all", "--no-object-names"), cwd=ROOT, capture_output=True, check=True
    ).stdout.split()
    with subprocess.Popen(
        ("git", "cat-file", "--batch"), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for batch in (listed[at : at + 500] for at in range(0, len(listed), 500)):
            process.stdin.write(b"\n".join(batch) + b"\n")
            process.stdin.flush()
            for _ in batch:
                name, kind, size = process.stdout.readline().split()
                content = process.stdout.read(int(size))
                process.stdout.read(1)
                if kind in (b"blob", b"commit", b"tag") and int(size) <= LARGEST:
                    yield name.decode(), content
        process.stdin.close()


def files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a copy that has no history, without what was installed into it."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not INSTALLED & set(path.relative_to(root).parts) and path.stat().st_size <= LARGEST:
            yield str(path.relative_to(root)), path.read_bytes()


def made(*parts: str) -> bytes:
    """A secret of the test, in pieces, so that this file holds none."""
    return "".join(parts).encode()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (made("-----BEGIN RSA ", "PRIVATE KEY-----\n", "A" * 64), "private key"),
        (made("AK", "IAABCDEFGHIJKLMNOP"), "AWS key"),
        (made("ghp", "_", "a1B2" * 9), "GitHub token"),
        (made("xox", "b-1234567890-abcdefghij"), "Slack token"),
        (made("ey", "J" + "a" * 20, ".ey", "J" + "b" * 20, "." + "c" * 30), "JSON web token"),
        (made("amqps://eloket:", "kahv9Eidie3ohN", "@broker.gent.be/"), "password in an address"),
    ],
)
def test_a_secret_is_seen(content: bytes, kind: str) -> None:
    assert found(b"first line\n" + content + b"\nlast line") == [kind]


def test_no_secret_is_in_the_files_or_their_history() -> None:
    number, wrong = 0, []
    for name, content in objects() if (ROOT / ".git").exists() else files(ROOT):
        number += 1
        wrong += [f"{name}: {kind}" for kind in found(content)]
    assert number > 100
    assert not wrong, "replace the secret where it is valid; then see `git cat-file -p` of these objects"


def test_a_copy_without_history_is_searched_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "keys.txt").write_bytes(made("AK", "IAABCDEFGHIJKLMNOP"))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "sample.txt").write_bytes(made("AK", "IAABCDEFGHIJKLMNOP"))
    assert [(name, found(content)) for name, content in files(tmp_path)] == [("deploy/keys.txt", ["AWS key"])]
