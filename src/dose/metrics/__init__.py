"""Metrics of one-shots: functions of arrays. Reading files, caching and tables belong to `dose.evaluate`.

Each module opens with definition, unit and source; docs/benchmark.md summarises them. Shapes: B one-shots,
N samples, n items of a test set, W embedding windows of an item, D dimensions, R bootstrap resamples.
"""
