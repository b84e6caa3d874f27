"""The four services of the chat, and what they share."""

VERSION = "2.0.0"  # as in pyproject.toml; an image has no other file that says it
