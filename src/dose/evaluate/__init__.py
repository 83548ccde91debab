"""Evaluates drum one-shot extraction: systems on data sets, the paper's table, plots and a listening page.

The protocol, in terms that other groups can follow, is docs/benchmark.md.
"""
