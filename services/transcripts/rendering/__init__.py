"""Downloads of a conversation: JSON, plain text, HTML and PDF."""
