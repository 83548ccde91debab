"""Time-frequency front ends, each defined once: two-resolution bands, mel bands, the STFT of masks, onset flux."""
