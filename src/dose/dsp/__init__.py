"""Time-frequency front ends, each defined once: two-resolution bands, mel bands, STFT, onset flux."""
