"""Import-time tuning. Must be imported first, by each `__main__`.

The garbage collector is off while modules are loaded, because all of them stay: that saves a fifth of the time until a
service is ready (`process_metrics.py` enables it again). Rich and Twisted, which structlog imports where the tests'
packages are installed, are not loaded: they take 6 MB in each process.
"""

import gc
import sys

UNUSED = ("rich", "twisted")

for package in UNUSED:
    sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # makes the import fail

gc.disable()
