"""Checks that the manifests match the code: `make manifests` builds every overlay and component and checks it."""
