"""Retention periods, erasure by chat number, and legal holds."""
