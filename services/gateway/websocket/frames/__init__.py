"""Frames of the public protocol: their types, their parser, and their serialisation."""
