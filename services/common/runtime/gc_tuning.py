"""Import-time tuning. Must be imported first, by each `__main__`.

The garbage collector is off while modules are loaded, all of which stay: that saves a fifth of the time until a service
is ready (`process_metrics.py` switches it on). Rich and Twisted, which structlog imports where the tests' packages are
installed, are left out: they take 6 MB in each process.
"""

import gc
import sys

UNUSED = ("rich", "twisted")

for package in UNUSED:
    sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # how the interpreter spells "not to be had"

gc.disable()
