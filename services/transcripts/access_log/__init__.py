"""Access log: who has read what, and every administrative act, in one chain of hashes."""
