"""The realistic distribution: human grooves on whole kits, in mixes that are balanced as music is."""
