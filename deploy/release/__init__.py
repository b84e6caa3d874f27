"""`make release`: the files of one version that operators install from."""
