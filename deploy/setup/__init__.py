"""What make's targets need of the machine: Python, packages and tools. Only the standard library, for Python 3.8."""
