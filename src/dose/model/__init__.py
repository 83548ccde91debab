"""The DOSE language model: transformer, loss, cached decoding, checkpoints."""
