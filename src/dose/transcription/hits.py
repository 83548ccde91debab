"""What a transcription holds: the drum hits of a recording, and the rhythm that they stand in."""

import dataclasses

# Classes that the network tells apart. No one-shots are made of claps, toms and cymbals, but without classes
# of their own a clap would be taken for a snare and a cymbal for an open hi-hat.
HIT_CLASSES = ("kick", "snare", "closed_hihat", "open_hihat", "clap", "tom", "cymbal")
# The drum of the kit (`dose.drums.DRUMS`) that a class belongs to; the others belong to none.
DRUM_OF = {"kick": "kick", "snare": "snare", "closed_hihat": "hihat", "open_hihat": "hihat"}
CLASSES_OF = {
    drum: tuple(c for c, d in DRUM_OF.items() if d == drum) for drum in dict.fromkeys(DRUM_OF.values())
}
# General MIDI percussion key map (level 1): Bass Drum 1, Acoustic Snare, Closed Hi-hat, Open Hi-hat, Hand
# Clap, Low-Mid Tom, Crash Cymbal 1.
GM_NOTES = {
    "kick": 36, "snare": 38, "closed_hihat": 42, "open_hihat": 46, "clap": 39, "tom": 47, "cymbal": 49,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hit:
    """One detected hit."""

    seconds: float  # from the start of the recording
    drum: str  # one of HIT_CLASSES
    velocity: int  # 1..127, as in MIDI
    probability: float  # 0..1, calibrated: a hit is reported from .5 on


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rhythm:
    """Tempo, beats, metre and swing of a recording."""

    tempo: float  # beats per minute: the median over the recording
    beats: tuple[float, ...]  # seconds, rising; they follow changes of tempo
    beats_per_bar: int  # 4 (4/4) or 3 (3/4)
    first_downbeat: int  # index of the first downbeat among `beats`: 0 .. beats_per_bar - 1
    # How late every second subdivision (eighth or sixteenth, whichever swings) is played, as a fraction of
    # the subdivision: 0 is straight, 1/3 is a triplet feel (2:1).
    swing: float
    swing_subdivision: int  # subdivisions per beat that swing applies to: 2 (eighths) or 4 (sixteenths)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transcription:
    """All hits of a recording, by time, and its rhythm; None where too few hits define one."""

    hits: tuple[Hit, ...]
    seconds: float  # length of the recording
    rhythm: Rhythm | None
