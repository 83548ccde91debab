"""DOSE: pulls drum one-shots out of finished mixes (ICASSP 2025, arXiv 2504.18157)."""
