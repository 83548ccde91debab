"""Other people's checkpoints and the authors' own decoding."""
