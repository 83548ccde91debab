"""Sounds that are synthesised here: drums, riffs, voices."""
