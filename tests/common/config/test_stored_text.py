"""`stored_text.py`: a process holds the newest version that it knows, and reads it as it reads a file."""

import pytest

from services.common.config.departments import load_departments
from services.common.config.stored_text import StoredText, candidate
from services.common.config.toml_file import MOST_STORED, ConfigurationError
from services.common.config.watch import Apply, ConfigurationWatch
from tests.common.config.test_departments import GOOD


def test_only_a_newer_version_is_held() -> None:
    held = StoredText()
    assert (held.version, held.arrived.is_set()) == (0, False)
    assert held.take(2, GOOD)
    assert not held.take(2, "x")
    assert not held.take(1, "x")
    assert (held.version, held.text, held.arrived.is_set()) == (2, GOOD, True)
    assert load_departments(held).ids == ["algemeen"]
    assert held.take(3, "é = [")
    with pytest.raises(ConfigurationError, match=r"^departments, version 3: is not TOML"):
        load_departments(held)


def test_a_text_that_is_too_long_is_no_candidate() -> None:
    assert candidate("é" * (MOST_STORED // 2)).version == 1
    with pytest.raises(ConfigurationError, match="at most 400000"):
        candidate("é" * (MOST_STORED // 2) + "x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("default = " + "1" * 5_000, "is not TOML: Exceeds the limit"),
        ("default = " + "[" * 50_000, "it is nested too deeply"),
        ("\n" + "a." * 20_000 + "a = 1", r"a key has more than 32 parts \(at line 2\)"),
        ("x = {" + "'a' . " * 20_000 + "a = 1}", "a key has more than 32 parts"),
        ("[" + r'"a \" b".' * 20_000 + "a]", "a key has more than 32 parts"),
    ],
)
def test_a_text_that_the_parser_does_not_bear_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^departments, version 1: .*{why}"):
        load_departments(candidate(text))


def test_sentences_and_addresses_are_no_long_keys() -> None:
    words = "a-b " * 50 + "www.example.be/" + "x" * 100_000
    assert load_departments(candidate(f"# {words}...\n{GOOD}")).ids == ["algemeen"]


async def test_a_held_text_is_watched_as_a_file_is_and_a_wrong_one_changes_nothing() -> None:
    held, applied = StoredText(), list[list[str]]()
    watch = ConfigurationWatch({"DEPARTMENTS_FILE": held})

    def load() -> Apply:
        found = load_departments(held)

        async def apply() -> None:
            applied.append(found.ids)

        return apply

    held.take(1, GOOD)
    await watch.begin(load)
    assert not await watch.look(load)
    assert applied == [["algemeen"]]
    held.take(2, "default = 1")
    assert [await watch.look(load) for _ in range(3)] == [False, False, False]
    held.take(3, GOOD.replace("algemeen", "wonen"))
    assert [await watch.look(load) for _ in range(3)] == [False, True, False]
    assert applied == [["algemeen"], ["wonen"]]
    held.take(4, "default = 1")
    with pytest.raises(ConfigurationError):
        await watch.begin(load)
