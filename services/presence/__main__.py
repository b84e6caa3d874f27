"""`python -m services.presence` runs the presence service."""

from services.common.runtime import gc_tuning  # noqa: F401  (first: it keeps out what the others would load)
from services.common.runtime.service import run
from services.presence.app import create_app
from services.presence.settings import PresenceSettings

if __name__ == "__main__":
    run("presence", PresenceSettings, create_app)
