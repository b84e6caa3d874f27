"""Routes about one conversation: its log, files, download, evidence, and what its citizen does around it."""
