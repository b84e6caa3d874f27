"""`python -m services.presence` runs the presence service."""

from services.chassis import run
from services.presence.app import create_app
from services.presence.settings import PresenceSettings

if __name__ == "__main__":
    run("presence", PresenceSettings, create_app)
