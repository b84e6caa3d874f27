"""Modules that a service does not load."""

import subprocess
import sys

import pytest

from services.common.runtime.gc_tuning import UNUSED

SERVICES = ("gateway", "presence", "routing", "transcripts")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_at_rest_has_not_loaded_what_it_does_not_use(service: str) -> None:
    code = f"import sys, services.{service}.__main__; print(*(name for name, loaded in sys.modules.items() if loaded))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in shown.stdout.split()}
    assert "structlog" in loaded
    assert not loaded & {*UNUSED, "typst", "fontTools"}
    assert service == "gateway" or "aiohttp" not in loaded
    assert service != "gateway" or "pymongo" not in loaded
    assert service == "presence" or "cryptography" not in loaded


def test_only_the_processes_that_judge_files_load_the_readers_of_their_types() -> None:
    code = "import sys, services.transcripts.__main__; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    package = "services.transcripts.attachments"
    assert {f"{package}.checker", f"{package}.jobs"} <= set(shown)
    assert not {f"{package}.{name}" for name in ("judging", "pdfs", "documents", "office", "images")} & set(shown)
