"""`services/common/runtime/configuration.py`: the departments with which a service begins."""

import asyncio
from pathlib import Path

from pymongo.errors import ServerSelectionTimeoutError

from services.common.config.settings import Settings
from services.common.config.stored_text import StoredText
from services.common.config.watch import Apply, ConfigurationWatch
from services.common.messaging.publisher import Publisher
from services.common.runtime.configuration import departments_source, follow_departments
from services.common.runtime.service import Service
from tests.support.http_server import served
from tests.support.servers import PATIENCE
from tests.support.service_process import SECRET


def test_the_departments_are_in_the_file_or_will_arrive() -> None:
    file = Settings(token_secret=SECRET, departments_file=Path("departments.toml"))
    assert departments_source(file) == Path("departments.toml")
    assert isinstance(departments_source(Settings(token_secret=SECRET, config_source="database")), StoredText)


async def test_a_service_that_starts_without_a_database_waits_for_it() -> None:
    settings = Settings(token_secret=SECRET, config_source="database", rabbitmq_url="amqp://127.0.0.1:1/")
    service, publisher = Service("routing", settings), Publisher(settings.rabbitmq_url, "routing")
    source = departments_source(settings)
    assert isinstance(source, StoredText)
    watch = ConfigurationWatch({"DEPARTMENTS_FILE": source})
    applied = 0

    def load() -> Apply:
        async def apply() -> None:
            nonlocal applied
            applied += 1
            if applied < 3:
                raise ServerSelectionTimeoutError

        return apply

    follow_departments(service, publisher, source, watch, load)
    async with served(service.app) as client:
        assert (await client.get("/readyz")).status == 503
        source.take(1, "[[departments]]")
        async with asyncio.timeout(PATIENCE):
            while (await client.get("/readyz")).status != 200:
                assert not service.failed.is_set()
                await asyncio.sleep(0.01)
    assert applied == 3
