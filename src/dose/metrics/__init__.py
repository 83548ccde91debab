"""Metrics of one-shots: functions of arrays that know no data set, no system and no table.

Each module opens with its definition, units and source; docs/benchmark.md summarises them.
"""
