"""Playable kits: one set of drum sounds, written for the samplers people have."""
