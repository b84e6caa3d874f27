"""`watch.py`: a changed file is applied once it is no longer being written; a wrong one changes nothing."""

import os
from pathlib import Path

import pytest

from services.common.config import watch
from services.common.config.toml_file import ConfigurationError
from services.common.config.watch import Apply, ConfigurationWatch
from tests.support.metrics import sample


class Reader:
    """Reads a file of one word. `applied` has the words that were applied."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.applied: list[str] = []
        self.outage: Exception | None = None
        self.read = 0

    def load(self) -> Apply:
        self.read += 1
        try:
            word = self.path.read_text()
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be read ({error.strerror}).") from None
        if "wrong" in word:
            raise ConfigurationError(f"{self.path}: is wrong.")

        async def apply() -> None:
            if self.outage:
                raise self.outage
            self.applied.append(word)

        return apply


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "words.toml"
    path.write_text("one")
    return path


def refused() -> float | None:
    return sample("eloket_configuration_refused")


async def test_a_change_is_applied_once_when_two_looks_have_found_the_same(file: Path) -> None:
    reader, watched = Reader(file), ConfigurationWatch({"WORDS": file, "OTHERS": None})
    assert not await watched.look(reader.load)
    file.write_text("tw")
    assert not await watched.look(reader.load)
    file.write_text("two")  # it was being written
    assert not await watched.look(reader.load)
    assert reader.read == 0
    assert await watched.look(reader.load)
    assert not await watched.look(reader.load)
    assert reader.applied == ["two"]


async def test_a_touched_file_is_no_change(file: Path) -> None:
    reader, watched = Reader(file), ConfigurationWatch({"WORDS": file})
    os.utime(file, (1, 1))
    assert [await watched.look(reader.load) for _ in range(3)] == [False] * 3
    assert reader.read == 0


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    for folder, word in (("..1", "one"), ("..2", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.toml").write_text(word)
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "words.toml"
    path.symlink_to(Path("..data") / "words.toml")
    reader, watched = Reader(path), ConfigurationWatch({"WORDS": path})
    (tmp_path / "..data_tmp").symlink_to("..2")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")  # as the kubelet replaces a ConfigMap
    assert [await watched.look(reader.load) for _ in range(2)] == [False, True]
    assert reader.applied == ["two"]


async def test_a_wrong_file_changes_nothing_and_is_told_once_until_there_is_another(file: Path) -> None:
    reader, watched = Reader(file), ConfigurationWatch({"WORDS": file})
    file.write_text("wrong")
    assert [await watched.look(reader.load) for _ in range(4)] == [False] * 4
    assert (reader.read, refused()) == (1, 1.0)
    file.unlink()
    assert [await watched.look(reader.load) for _ in range(3)] == [False] * 3
    assert (reader.read, refused()) == (2, 1.0)
    file.write_text("one")
    assert not await watched.look(reader.load)
    assert (reader.read, refused()) == (2, 0.0), "it is again the one that is used"
    file.write_text("wrong")
    assert [await watched.look(reader.load) for _ in range(2)] == [False] * 2
    assert (reader.read, refused()) == (3, 1.0)
    file.write_text("three")
    assert [await watched.look(reader.load) for _ in range(2)] == [False, True]
    assert (reader.applied, refused()) == (["three"], 0.0)


async def test_what_could_not_be_applied_is_tried_again(file: Path) -> None:
    reader, watched = Reader(file), ConfigurationWatch({"WORDS": file})
    file.write_text("two")
    reader.outage = TimeoutError()
    assert not await watched.look(reader.load)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await watched.look(reader.load)
    reader.outage = None
    assert await watched.look(reader.load)
    assert reader.applied == ["two"]


async def test_what_changes_while_it_is_read_is_not_applied(file: Path) -> None:
    reader, watched = Reader(file), ConfigurationWatch({"WORDS": file})

    def late() -> Apply:
        made = reader.load()
        file.write_text("three")
        return made

    file.write_text("two")
    assert [await watched.look(late) for _ in range(2)] == [False, False]
    assert [await watched.look(reader.load) for _ in range(2)] == [False, True]
    assert reader.applied == ["three"]


async def test_a_file_that_is_too_large_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_BYTES", 5)
    reader, watched = Reader(file), ConfigurationWatch({"WORDS": file})
    file.write_text("seven characters")
    assert [await watched.look(reader.load) for _ in range(3)] == [False] * 3
    assert (reader.read, refused()) == (0, 1.0)
