"""The page on which anybody verifies a transcript: as a file, as pasted JSON, or by its code."""
