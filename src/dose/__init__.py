"""DOSE: drum one-shot extraction from finished mixes (ICASSP 2025, arXiv 2504.18157)."""
