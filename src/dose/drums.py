"""The words of this field that every room shares."""

DRUMS = ("kick", "snare", "hihat")
INSTRUMENTS = ("bass", "piano", "guitar", "vocal")
SPLITS = ("train", "val", "test")
MIX_SECONDS = 4.0
SHOT_SECONDS = 1.0
