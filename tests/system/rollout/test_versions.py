"""The events of the former version and of this one, each decoded by the other's own code."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.common.events.codec import decode, encode
from tests.support.event_samples import EVENT_TYPES
from tests.system.rollout import versions
from tests.system.rollout.versions import PRESENT, NoHistory, Version, former


def with_more(value: Any) -> Any:
    """The same, with members that no version knows yet, at every depth."""
    if isinstance(value, dict):
        return {**{k: with_more(v) for k, v in value.items()}, "added_later": {"by": ["a newer version", 2**70]}}
    return [with_more(v) for v in value] if isinstance(value, list) else value


def test_no_event_was_taken_away(former_version: Version) -> None:
    assert former_version.golden().keys() <= EVENT_TYPES.keys()


def test_what_the_former_version_publishes_is_understood(former_version: Version) -> None:
    samples = former_version.golden()
    reported = former_version.retell(samples)
    for name, sample in samples.items():
        event = decode(sample.encode())
        assert type(event) is EVENT_TYPES[name]
        again = reported[name]
        assert again is not None
        assert decode(again.encode()) == event, f"{name}: as the former version writes it"


def test_what_this_version_publishes_is_understood_by_the_former_one(former_version: Version) -> None:
    samples = PRESENT.golden()
    ours = {name: encode(decode(sample.encode())).decode() for name, sample in samples.items()}
    bare, full = former_version.retell(ours), former_version.retell({n: grown(s) for n, s in ours.items()})
    for name in former_version.golden():
        kept = bare[name]
        assert kept is not None, f"{name} is refused by {former_version.name}"
        assert full[name] == kept, f"{name}: members that it does not know change what it reads"
        known = json.loads(former_version.golden()[name])
        there, here = json.loads(kept), json.loads(ours[name])
        assert known_of(known, there) == known_of(known, here)


def known_of(known: object, value: object) -> object:
    """Of a value those members that the former version's sample has, all the way down."""
    if isinstance(known, dict) and isinstance(value, dict):
        return {name: known_of(known[name], value[name]) for name in known}
    if isinstance(known, list) and isinstance(value, list):
        return [known_of(one, other) for one, other in zip(known, value, strict=True)]
    return value


def grown(sample: str) -> str:
    return json.dumps(with_more(json.loads(sample)))


@pytest.mark.parametrize(
    "body",
    [
        '{"type": "chat.renamed", "chat_id": "x"}',
        '{"type": "state.requested", "agent_id": "an", "state": "on holiday"}',
        "not json",
        "\x00",
    ],
)
def test_an_unknown_type_or_value_is_refused_by_both_and_harms_neither(former_version: Version, body: str) -> None:
    """So it becomes a dead letter: a new type or value is published one version after every service understands it."""
    fine = PRESENT.golden()["chat.opened"]
    for version in (former_version, PRESENT):
        answers = version.retell({"bad": body, "fine": fine})
        assert answers["bad"] is None
        assert answers["fine"] is not None


def test_without_the_history_that_is_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "copy")], check=True)
    monkeypatch.setattr(versions, "ROOT", tmp_path / "copy")
    with pytest.raises(NoHistory, match="git does not know v"):
        former(tmp_path / "code")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoHistory, match="git is not installed"):
        former(tmp_path / "code")
