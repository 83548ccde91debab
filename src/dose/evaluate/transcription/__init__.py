"""Evaluates transcription: systems on annotated mixes, on sounds without drums and on single drums.

The protocol is the section "Transcription" of docs/benchmark.md.
"""
