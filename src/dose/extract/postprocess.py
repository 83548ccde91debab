"""From a raw one-shot to a finished sample: trimmed at the attack, free of DC, faded out, levelled."""

import dataclasses

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.errors import AudioError

# Chosen by hand, without a study. Levels are relative to the peak.
ATTACK_DB = -20.0  # from this level on, sound certainly belongs to the hit
FLOOR_DB = -60.0  # what is quieter counts as silence before the attack and after the tail
MAX_RISE = 0.003  # seconds before ATTACK_DB is reached that may belong to the attack
QUIET_RUN = 0.0005  # seconds of silence that end the attack, seen backwards
FADE_IN = 0.0005  # seconds
TAIL_MARGIN = 0.01  # seconds kept after the tail's end
SHORTEST_FADE = 0.005  # seconds
FADE_SHARE, TAIL_FADE_SHARE = 0.15, 0.5  # of the length: fade out, by default and where `tail` cuts the sound
SILENT_PEAK = 1e-5  # absolute, -100 dBFS: a quieter one-shot counts as silent
LUFS_BLOCK = 0.4  # seconds: BS.1770's gating block


@dataclasses.dataclass(frozen=True, kw_only=True)
class PostprocessConfig:
    """How a one-shot is finished. `lufs`, when given, sets the level instead of `peak_db`."""

    peak_db: float = -1.0  # dBFS
    lufs: float | None = None  # LUFS, integrated; never above -0.1 dBFS
    tail: float | None = None  # seconds kept after the attack; None: until FLOOR_DB
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
    """A raw one-shot [N] or [C, N] at 44.1 kHz to float32 [M] or [C, M] at `options.rate`.

    The result starts at the attack, has no DC offset, and ends in a fade. Raises AudioError for silence.
    """
    if audio.peak(shot) < SILENT_PEAK:
        raise AudioError("The model made no sound for this drum; try another seed.")
    shot = shot.astype(np.float64)
    # 1. Trim. An offset hides attack and tail, so both are searched again once it is gone.
    shot = shot[..., attack_start(shot) :]
    shot = shot[..., : _tail_end(shot, None)]
    shot = shot - shot.mean(axis=-1, keepdims=True)
    shot = shot[..., attack_start(shot) :]
    shot = shot[..., : _tail_end(shot, options.tail)]
    # 2. Resample.
    shot = audio.resample(shot.astype(np.float32), RATE, options.rate).astype(np.float64)
    # 3. Fade. What DC is left is subtracted in the shape of the fades, so that both ends stay at zero.
    edges = _fades(shot.shape[-1], options)
    shot = shot * edges
    shot = shot - edges * (shot.sum(axis=-1, keepdims=True) / edges.sum())
    # 4. Level.
    return _level(shot, options).astype(np.float32)


def attack_start(shot: np.ndarray) -> int:
    """The sample at which the attack of a one-shot [N] or [C, N] begins.

    Goes back from the first sample within ATTACK_DB of the peak while the level stays above FLOOR_DB, at most
    MAX_RISE seconds: a noisy lead-in of any length is cut, the attack itself is kept.
    """
    loud = np.abs(shot) if shot.ndim == 1 else np.abs(shot).max(axis=0)
    top = loud.max(initial=0.0)
    certain = int(np.argmax(loud >= top * audio.from_db(ATTACK_DB)))
    earliest = max(0, certain - int(MAX_RISE * RATE))
    quiet = loud[earliest:certain] < top * audio.from_db(FLOOR_DB)
    # A low tone also crosses zero within the attack, so only a quiet run of some length ends the search.
    run = int(QUIET_RUN * RATE)
    quiet_runs = np.convolve(quiet, np.ones(run), "valid") >= run if len(quiet) >= run else np.zeros(0, bool)
    return earliest + int(np.flatnonzero(quiet_runs)[-1]) + run if quiet_runs.any() else earliest


def _tail_end(shot: np.ndarray, tail: float | None) -> int:
    """Samples to keep: `tail` seconds, or until the level stays below FLOOR_DB."""
    if tail is not None:
        return min(int(shot.shape[-1]), int(tail * RATE))
    loud = np.abs(shot) if shot.ndim == 1 else np.abs(shot).max(axis=0)
    audible = np.flatnonzero(loud >= loud.max() * audio.from_db(FLOOR_DB))
    return min(int(shot.shape[-1]), int(audible[-1]) + int(TAIL_MARGIN * RATE))


def _fades(samples: int, options: PostprocessConfig) -> np.ndarray:
    """Gains [M]: half-cosine fades at both ends, the one at the end longer where `tail` cuts the sound."""
    window = np.ones(samples)
    rise = min(samples, int(FADE_IN * options.rate))
    window[:rise] = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, rise))
    share = TAIL_FADE_SHARE if options.tail is not None else FADE_SHARE
    fall = min(samples, max(int(SHORTEST_FADE * options.rate), int(share * samples)))
    window[-fall:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fall))
    return window


def _level(shot: np.ndarray, options: PostprocessConfig) -> np.ndarray:
    if options.lufs is None:
        scale = audio.from_db(options.peak_db) / np.abs(shot).max()
    else:
        gain = audio.from_db(options.lufs - loudness(shot, options.rate))
        # -0.1 dBFS leaves room for rounding when the samples are stored as integers.
        scale = min(float(gain), float(audio.from_db(-0.1)) / np.abs(shot).max())
    scaled: np.ndarray = shot * scale
    return scaled


def loudness(shot: np.ndarray, rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770) of [N] or [C, N], padded to LUFS_BLOCK."""
    import pyloudnorm  # imported late: it brings scipy.signal, a second of start-up

    padded = audio.fit_length(shot, max(shot.shape[-1], int(LUFS_BLOCK * rate) + 1))
    return float(pyloudnorm.Meter(rate, block_size=LUFS_BLOCK).integrated_loudness(padded.T))


def place(shot: np.ndarray, pan: tuple[float, float]) -> np.ndarray:
    """A mono one-shot [N] as stereo [2, N] with the gains `pan` for left and right."""
    return np.stack([shot * pan[0], shot * pan[1]]).astype(np.float32)
