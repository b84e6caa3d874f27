"""Programs of the operator that read the configuration as presence does: `make calendar`, `make departments-check`."""
