"""From what the model says to a sample that can be sold: trimmed, clean, faded, at the right level."""

import dataclasses

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.errors import AudioError

ATTACK_DB = -20.0  # relative to the peak: what is certainly part of the hit
FLOOR_DB = -60.0  # relative to the peak: what may be heard before the attack, and where the tail ends
RISE = 0.003  # seconds before the certain part that may still belong to the rise
FADE_IN = 0.0005  # seconds
SILENT_PEAK = 1e-5  # -100 dBFS: below this there is nothing to finish


@dataclasses.dataclass(frozen=True, kw_only=True)
class PostprocessConfig:
    """How a hit is finished. `lufs`, when given, sets the level instead of `peak_db`."""

    peak_db: float = -1.0  # dBFS
    lufs: float | None = None  # LUFS, integrated; never above -0.1 dBFS
    tail: float | None = None  # seconds kept after the attack; None: until it has died away
    rate: int = RATE  # Hz

    def __post_init__(self) -> None:
        if not -60 <= self.peak_db <= 0:
            raise ValueError("peak must lie between -60 and 0 dBFS")
        if self.lufs is not None and not -60 <= self.lufs <= 0:
            raise ValueError("lufs must lie between -60 and 0")
        if self.tail is not None and not 0.02 <= self.tail <= 10:
            raise ValueError("tail must lie between 0.02 and 10 seconds")
        if not audio.MIN_RATE * 8 <= self.rate <= 192_000:
            raise ValueError("rate must lie between 8000 and 192000 Hz")


def postprocess(shot: np.ndarray, options: PostprocessConfig) -> np.ndarray:
    """A raw one-shot, [N] or [C, N] at 44.1 kHz, as float32 [M] or [C, M] at `options.rate`.

    Starts on its attack, holds no DC, ends in a fade. Raises AudioError for silence.
    """
    if audio.peak(shot) < SILENT_PEAK:
        raise AudioError("The model made no sound for this drum; try another seed.")
    shot = shot.astype(np.float64)
    shot = shot[..., attack_start(shot) :]
    # An offset hides where the attack is and where the tail ends, so the attack is looked for once more.
    shot = shot[..., : _tail_end(shot, None)]
    shot = shot - shot.mean(axis=-1, keepdims=True)
    shot = shot[..., attack_start(shot) :]
    shot = shot[..., : _tail_end(shot, options.tail)]
    shot = audio.resample(shot.astype(np.float32), RATE, options.rate).astype(np.float64)
    edges = _edges(shot.shape[-1], options)
    shot = shot * edges
    # The DC is taken off in the shape of the edges, so that start and end stay at zero.
    shot = shot - edges * (shot.sum(axis=-1, keepdims=True) / edges.sum())
    return _level(shot, options).astype(np.float32)


def attack_start(shot: np.ndarray) -> int:
    """The sample at which the hit's rise begins, [N] or [C, N].

    From the first sample within ATTACK_DB of the peak it walks back while the level stays above FLOOR_DB, at
    most RISE seconds: a noisy lead-in of any length is cut, the rise itself is kept.
    """
    loud = np.abs(shot) if shot.ndim == 1 else np.abs(shot).max(axis=0)
    top = loud.max(initial=0.0)
    certain = int(np.argmax(loud >= top * audio.from_db(ATTACK_DB)))
    earliest = max(0, certain - int(RISE * RATE))
    quiet = loud[earliest:certain] < top * audio.from_db(FLOOR_DB)
    # Within one half-wave of a low tone the level dips too, so only a quiet stretch of 0.5 ms ends the walk.
    run = int(0.0005 * RATE)
    quiet_runs = np.convolve(quiet, np.ones(run), "valid") >= run if len(quiet) >= run else np.zeros(0, bool)
    return earliest + int(np.flatnonzero(quiet_runs)[-1]) + run if quiet_runs.any() else earliest


def _tail_end(shot: np.ndarray, tail: float | None) -> int:
    """Samples to keep: `tail` seconds, else until the level has fallen below FLOOR_DB for good."""
    if tail is not None:
        return min(shot.shape[-1], int(tail * RATE))
    loud = np.abs(shot) if shot.ndim == 1 else np.abs(shot).max(axis=0)
    audible = np.flatnonzero(loud >= loud.max() * audio.from_db(FLOOR_DB))
    return min(shot.shape[-1], int(audible[-1]) + int(0.01 * RATE))


def _edges(samples: int, options: PostprocessConfig) -> np.ndarray:
    """A window [M]: a very short fade in, and a fade out that is long where a tail was cut on purpose."""
    window = np.ones(samples)
    rise = min(samples, int(FADE_IN * options.rate))
    window[:rise] = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, rise))
    share = 0.5 if options.tail is not None else 0.15
    fall = min(samples, max(int(0.005 * options.rate), int(share * samples)))
    window[-fall:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fall))
    return window


def _level(shot: np.ndarray, options: PostprocessConfig) -> np.ndarray:
    if options.lufs is None:
        return shot * (audio.from_db(options.peak_db) / np.abs(shot).max())
    gain = audio.from_db(options.lufs - loudness(shot, options.rate))
    return shot * min(float(gain), float(audio.from_db(-0.1)) / np.abs(shot).max())


def loudness(shot: np.ndarray, rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770) of [N] or [C, N]; short sounds are measured in 0.4 s."""
    import pyloudnorm  # imported late: it brings scipy.signal, a second of start-up

    padded = audio.fit_length(shot, max(shot.shape[-1], int(0.4 * rate) + 1))
    return float(pyloudnorm.Meter(rate, block_size=0.4).integrated_loudness(padded.T))


def place(shot: np.ndarray, pan: tuple[float, float]) -> np.ndarray:
    """A mono one-shot [N] as stereo [2, N] with the gains `pan` for left and right."""
    return np.stack([shot * pan[0], shot * pan[1]]).astype(np.float32)
