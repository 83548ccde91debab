"""From a song to one-shots: the same `Extractor` that the lab scores and the service runs."""
