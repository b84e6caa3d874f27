"""Entry point of `python -m services.transcripts`."""

from services.common.runtime import gc_tuning, without_cryptography  # noqa: F401  (first: they prevent imports)
from services.common.runtime.service import run
from services.transcripts.app import create_app
from services.transcripts.settings import Settings

if __name__ == "__main__":
    run("transcripts", Settings, create_app)
