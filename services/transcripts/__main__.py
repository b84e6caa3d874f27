"""Runs the transcript service: `python -m services.transcripts`."""

from services import lean  # noqa: F401  (first: it keeps out what the others would load)
from services.chassis import run
from services.transcripts.app import create_app
from services.transcripts.settings import Settings

if __name__ == "__main__":
    run("transcripts", Settings, create_app)
