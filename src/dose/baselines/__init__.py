"""The separators that DOSE is compared with, and the common procedure from a separated stem to a one-shot."""
