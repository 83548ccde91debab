"""Sampler kits: one set of drum sounds, exported to the formats of common samplers."""
