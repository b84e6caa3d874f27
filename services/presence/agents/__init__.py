"""Agents: accounts, logins, sessions, and whether they are online."""
