"""Time-frequency front ends, each defined once."""
