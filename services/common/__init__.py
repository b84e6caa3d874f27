"""Code that two or more services use: events, internal APIs, messaging, database, HTTP, settings, runtime."""
