"""Entry point of `python -m services.routing`."""

from services.common.runtime import gc_tuning, without_cryptography  # noqa: F401  (first: they prevent imports)
from services.common.runtime.service import run
from services.routing.app import create_app
from services.routing.settings import RoutingSettings

if __name__ == "__main__":
    run("routing", RoutingSettings, create_app)
