"""The drum's own sound out of the mix: where it is hit, averaged over its hits, blended with the sample."""
