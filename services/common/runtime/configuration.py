"""Where a service finds its departments, and how it follows their changes (`CONFIG_SOURCE`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from services.common.config.settings import Settings
from services.common.config.stored_text import StoredText
from services.common.config.watch import Apply, ConfigurationWatch
from services.common.messaging.configuration_queue import ConfigurationFollower
from services.common.messaging.publisher import Publisher
from services.common.runtime.service import Service


def departments_source(settings: Settings) -> Path | StoredText:
    """Return the departments file, or the text that this process will hold."""
    return settings.departments_file if settings.config_source == "file" else StoredText()


def follow_departments(
    service: Service,
    publisher: Publisher,
    source: Path | StoredText,
    watch: ConfigurationWatch,
    load: Callable[[], Apply],
) -> None:
    """Keep the departments of gateway, routing or transcripts up to date, from the start of the service on.

    Where presence stores them, the other background tasks begin and requests are answered when the first version has
    been applied: what the service was composed of before is the departments file.

    Args:
        service: The service.
        publisher: Its publisher.
        source: What `departments_source` has returned.
        watch: The watch of this source.
        load: As for `ConfigurationWatch.run`.
    """
    service.background("configuration", partial(watch.run, load))
    if isinstance(source, Path):
        return
    follower = ConfigurationFollower(service.settings.rabbitmq_url, service.name, publisher, source)

    async def first() -> None:
        await source.arrived.wait()
        await watch.begin(load)

    service.background("configuration_queue", follower.run, early=True)
    service.begin_with("configuration", first)
