"""Scores drum one-shot extraction: metrics, baselines, statistics, the paper's table and a listening page.

The protocol, in words another lab can follow, is docs/benchmark.md.
"""
