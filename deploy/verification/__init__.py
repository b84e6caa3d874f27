"""The command that verifies a transcript without a network."""

PUBLIC_KEYS = "transcript_keys.json"
"""The public keys of `make run`, in its data directory."""
