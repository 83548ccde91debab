"""Fitting of the second pass: annotated mixes to rows of candidates, and the networks of each class."""
