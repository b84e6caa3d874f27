"""Entry point of `python -m services.presence`."""

from services.common.runtime import gc_tuning  # noqa: F401  (first: it prevents imports of the others)
from services.common.runtime.service import run
from services.presence.app import create_app
from services.presence.settings import PresenceSettings

if __name__ == "__main__":
    run("presence", PresenceSettings, create_app)
