"""Entry point of `python -m services.gateway`."""

from services.common.runtime import gc_tuning, without_cryptography  # noqa: F401  (first: they prevent imports)
from services.common.runtime.service import run
from services.gateway.app import create_app
from services.gateway.settings import Settings
from services.gateway.websocket.transport import ReceivingProtocol

if __name__ == "__main__":
    run("gateway", Settings, create_app, ws=ReceivingProtocol)
