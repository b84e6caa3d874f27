"""Transcripts as evidence: salts, signatures, and the verification of what was handed out."""
