"""Checks of a build of the manifests, one module for each subject."""
