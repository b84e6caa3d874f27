"""Fixtures of the operator's commands."""

from functools import partial

import pytest

from tests.deploy.operator_system import MakeOperatorSystem, operator_system


@pytest.fixture
def operated(
    vhost_url: str,
    mongodb_url: str,
    mongodb_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> MakeOperatorSystem:
    """Runs presence and transcripts with these variables, while the context is open."""
    return partial(operator_system, (vhost_url, mongodb_url, mongodb_prefix), monkeypatch, capsys)
