"""Hand-made grooves: transcriptions whose bars are known, short sounds to play them with, and their loops."""

from collections.abc import Sequence

import numpy as np

from dose import audio
from dose.transcription.grid import apply_swing
from dose.transcription.hits import DRUM_OF, Hit, Rhythm, Transcription

# (class, step of the bar, velocity)
FOUR = (
    *(("kick", 0, 120), ("kick", 7, 80), ("kick", 10, 100), ("snare", 4, 110), ("snare", 12, 116)),
    *(("closed_hihat", step, 60 + 30 * (step % 4 == 0)) for step in (0, 2, 3, 4, 8, 10, 12)),
    *(("open_hihat", 6, 85), ("open_hihat", 14, 95), ("clap", 12, 100)),
)
THREE = (
    *(("kick", 0, 115), ("snare", 4, 90), ("snare", 8, 100)),
    *(("closed_hihat", step, 70) for step in (0, 2, 6, 10)),
)
HERTZ = {"kick": 300.0, "snare": 1500.0, "hihat": 6000.0}  # far apart, so that filters can separate them


def transcription(
    bar: Sequence[tuple[str, int, int]] = FOUR,
    *,
    beats_per_bar: int = 4,
    tempo: float = 92.0,
    swing: float = 1 / 3,
    swing_subdivision: int = 2,
    pickup: float = 0.3,
    bars: int = 3,
) -> Transcription:
    """`bars` bars alike; the first downbeat lies `pickup` seconds after the beginning."""
    beat = 60 / tempo
    late = apply_swing(np.arange(4 * beats_per_bar) / 4, swing, swing_subdivision).tolist()  # [steps], beats
    hits = [
        Hit(
            seconds=pickup + beat * (beats_per_bar * number + late[step]),
            drum=drum,
            velocity=velocity,
            probability=0.95,
        )
        for number in range(bars)
        for drum, step, velocity in bar
    ]
    rhythm = Rhythm(
        tempo=tempo,
        beats=tuple(pickup + beat * i for i in range(beats_per_bar * bars)),
        beats_per_bar=beats_per_bar,
        first_downbeat=0,
        swing=swing,
        swing_subdivision=swing_subdivision,
    )
    seconds = pickup + beat * beats_per_bar * bars + 0.2
    return Transcription(
        hits=tuple(sorted(hits, key=lambda hit: hit.seconds)), seconds=seconds, rhythm=rhythm
    )


def sounds() -> dict[str, np.ndarray]:
    """Drum -> float32 [44100]: a sine that decays by 60 dB within 70 ms."""
    time = np.arange(audio.RATE) / audio.RATE
    return {
        drum: (0.8 * np.cos(2 * np.pi * hz * time) * np.exp(-100 * time)).astype(np.float32)
        for drum, hz in HERTZ.items()
    }


def loop(of: Transcription) -> np.ndarray:
    """Float32 [N] at 44.1 kHz: the hits of the kit's drums, all equally loud, played with `sounds`."""
    out, of_drum = np.zeros(round(of.seconds * audio.RATE) + audio.RATE, np.float32), sounds()
    for hit in of.hits:
        if hit.drum in DRUM_OF:
            at = round(hit.seconds * audio.RATE)
            out[at : at + audio.RATE] += 0.5 * of_drum[DRUM_OF[hit.drum]]
    return out[: round(of.seconds * audio.RATE)]
