"""What a service's process does without; each `__main__` imports it before anything else.

Where the packages of the tests are installed too, structlog takes Rich and Twisted along, for colours and for an
adapter that no service uses: 6 MB in each process. Where they are not installed this changes nothing.

Nor does the garbage collector look at what is being loaded, all of which stays (`process_metrics.py` lets it begin):
that took a fifth of the time until a service is ready.
"""

import gc
import sys

UNUSED = ("rich", "twisted")

for package in UNUSED:
    sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # how the interpreter spells "not to be had"

gc.disable()
