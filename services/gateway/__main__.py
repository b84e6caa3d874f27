"""`python -m services.gateway`"""

from services import lean  # noqa: F401  (first: it keeps out what the others would load)
from services.chassis import run
from services.gateway.app import create_app
from services.gateway.protocol import HeardProtocol
from services.gateway.settings import Settings

if __name__ == "__main__":
    run("gateway", Settings, create_app, ws=HeardProtocol)
