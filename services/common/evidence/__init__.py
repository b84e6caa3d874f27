"""Transcripts as evidence: the chain of hashes, its signature, and what verifies both. The standard library alone."""
