"""Onset detection per drum: a trained network, its weights, and how it is trained."""
