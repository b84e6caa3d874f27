"""`app.py`: what the whole service does when its parts are not there yet."""

from pathlib import Path

import pytest

from services.common.config import watch
from services.routing.app import create_app
from services.routing.settings import RoutingSettings
from tests.routing.scene import SECRET
from tests.support.browsers.systems import DEPARTMENTS
from tests.support.conditions import until
from tests.support.http_server import served
from tests.support.metrics import sample


def applied() -> float:
    return sample("eloket_configuration_changes_total", {"outcome": "applied"}) or 0.0


async def test_other_departments_apply_while_the_database_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where presence stores them, a service that starts has others than its file, and begins with these."""
    monkeypatch.setattr(watch, "EVERY", 0.05)
    file = tmp_path / "departments.toml"
    file.write_text(DEPARTMENTS.read_text())
    settings = RoutingSettings(
        token_secret=SECRET,
        rabbitmq_url="amqp://127.0.0.1:1/",
        mongodb_url="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100",
        departments_file=file,
    )
    before = applied()
    async with served(create_app(settings)):
        text = file.read_text()
        assert text.count("[[departments]]") > 1
        file.write_text(text.replace("[[departments]]", "[[departments]]\nqueue = {patience = 60}", 1))
        await until(lambda: applied() > before, "the change")
