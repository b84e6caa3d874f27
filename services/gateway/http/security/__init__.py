"""Hosts, origins, cookies and security headers."""
