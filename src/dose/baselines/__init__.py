"""The separators that DOSE is compared with, and the one procedure from a separated stem to a one-shot."""
