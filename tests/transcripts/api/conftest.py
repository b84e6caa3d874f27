"""Fixtures of the tests of the API of transcripts."""

from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from services.transcripts.app import create_app
from services.transcripts.log import reader
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import ApiClient, fill, opened


@pytest.fixture
async def api(make_settings: Callable[..., Settings], store: Store, vhost_url: str) -> AsyncIterator[ApiClient]:
    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, upload_idle=120.0))) as made:
        yield made


class LogPolls:
    """How often the service has looked whether a log has an entry that the gateway knows of."""

    number = 0


@pytest.fixture
def log_polls(monkeypatch: pytest.MonkeyPatch) -> LogPolls:
    """Counts them. The service looks for as long as a test is patient."""
    made, real = LogPolls(), Store.grown

    async def grown(self: Store, after: Mapping[str, int]) -> dict[str, int]:
        made.number += 1
        return await real(self, after)

    monkeypatch.setattr(Store, "grown", grown)
    monkeypatch.setattr(reader, "PATIENCE", PATIENCE)
    return made
