"""Evaluates drum one-shot extraction: systems on data sets, the paper's table, plots and a listening page.

The protocol, in words another lab can follow, is docs/benchmark.md.
"""
