"""Drum classes, instruments, splits and lengths that every package shares."""

DRUMS = ("kick", "snare", "hihat")
# Other sounds of a drum kit: no one-shots are made of them, but mixes have them and transcription needs them.
OTHER_DRUMS = ("clap", "tom", "cymbal", "percussion")
INSTRUMENTS = ("bass", "piano", "guitar", "vocal")
SPLITS = ("train", "val", "test")
MIX_SECONDS = 4.0  # length of a model's input mix
SHOT_SECONDS = 1.0  # length of a one-shot
