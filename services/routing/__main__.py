"""`python -m services.routing`: runs the routing service."""

from services.common.runtime import gc_tuning  # noqa: F401  (first: it keeps out what the others would load)
from services.common.runtime.service import run
from services.routing.app import create_app
from services.routing.settings import RoutingSettings

if __name__ == "__main__":
    run("routing", RoutingSettings, create_app)
