"""Checkpoints of the authors and of earlier formats, and the authors' own decoding restated."""
