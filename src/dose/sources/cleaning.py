"""Brings every clip to one form: mono, 44.1 kHz, no silence in front, peak near full scale, one-shots of 1 s.

The fade is computed in float64: float32 cosines differ between processors in the last bit, which would
give the same sound another id on another machine.
"""

import dataclasses
from pathlib import Path

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.drums import SHOT_SECONDS
from dose.errors import AudioError

ONE_SHOT = int(SHOT_SECONDS * RATE)  # samples
PEAK = 10 ** (-0.1 / 20)  # -0.1 dBFS, so that rounding to 16 bit cannot exceed full scale
PRE_ROLL = 22  # samples (0.5 ms) left before the onset, so that the attack is not cut
FADE = 441  # samples (10 ms), where a clip is cut or ends abruptly
# The limits below are defaults set by hand, not tuned.
SILENT_DB = -60.0  # dBFS
MIN_SECONDS = {"oneshot": 0.01, "loop": 0.5}
READ_SECONDS = {"oneshot": 10.0, "loop": 60.0}  # decoded at most, however long the file
CLIPPED_SHARE = 0.2  # of a clip's loud samples that lie flat at its peak

REASONS = ("unreadable", "empty", "silent", "clipped", "non-finite", "too short", "duplicate")


class Reject(AudioError):
    """A sound that cannot be used; `reason` is one of REASONS."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A clean sound, and how much silence and level were removed."""

    sound: np.ndarray  # float64 [N]
    lead_in_ms: float  # silence cut from the front
    peak_db: float  # before normalising, dBFS


def read(path: Path, kind: str) -> np.ndarray:
    """The front of a file, mono, 44.1 kHz, float32 [N]; raises Reject with the reason."""
    try:
        return audio.read(path, max_seconds=READ_SECONDS[kind])
    except AudioError as e:
        raise Reject(_reason(str(e)), str(e)) from e


def _reason(message: str) -> str:
    if "not finite" in message:
        return "non-finite"
    return "empty" if "is empty" in message or "no samples" in message else "unreadable"


def clean(
    sound: np.ndarray, kind: str, name: str, loop_seconds: float = 16.0, *, synthetic: bool = False
) -> Cleaned:
    """Trims, fades and normalises `sound`, mono [N] at 44.1 kHz.

    Raises Reject with the reason. `synthetic` sounds may have flat tops.
    """
    sound = np.asarray(sound, np.float64)
    if not len(sound):
        raise Reject("empty", f"{name} holds no samples.")
    if not np.isfinite(sound).all():
        raise Reject("non-finite", f"{name} holds samples that are not finite numbers.")
    # 1. Refuse what is silent or damaged.
    peak = audio.peak(sound)
    if peak < 10 ** (SILENT_DB / 20):
        raise Reject("silent", f"{name} stays below {SILENT_DB:.0f} dBFS in what was read of it.")
    if not synthetic and flat_share(sound) > CLIPPED_SHARE:
        raise Reject("clipped", f"{name} lies flat at full scale for much of its loud part.")
    # 2. Cut the silence in front, the length and the inaudible tail.
    onset = audio.lead_in(sound)
    pre_roll = min(PRE_ROLL, onset)
    cut = onset - pre_roll
    longest = ONE_SHOT if kind == "oneshot" else int(loop_seconds * RATE)
    sound = _trim_tail(sound[cut : cut + longest])
    if len(sound) < MIN_SECONDS[kind] * RATE:
        raise Reject("too short", f"{name} lasts {len(sound) / RATE * 1000:.0f} ms after trimming.")
    # 3. Fade both ends and bring the peak to PEAK.
    return Cleaned(
        sound=_fade_in(_fade_out(sound), pre_roll) * (PEAK / audio.peak(sound)),
        lead_in_ms=round(cut / RATE * 1000, 3),
        peak_db=round(float(audio.db(peak)), 3),
    )


def flat_share(sound: np.ndarray) -> float:
    """Share of the samples within 20 dB of the peak that lie flat at full scale, 3 or more in a row."""
    peak = audio.peak(sound)
    # -20 dB of the peak.
    loud = np.abs(sound) > peak / 10
    if peak < 0.97 or not loud.any():
        return 0.0
    top = np.abs(sound) >= peak * 0.999
    run = top[:-2] & top[1:-1] & top[2:]  # [N - 2]: first samples of three flat ones in a row
    flat = np.zeros_like(top)
    for shift in range(3):
        flat[shift : shift + len(run)] |= run
    return float(flat.sum() / loud.sum())


def _trim_tail(sound: np.ndarray) -> np.ndarray:
    """Drops what follows the last sample above -70 dB of the peak."""
    loud = np.flatnonzero(np.abs(sound) >= audio.peak(sound) * 10 ** (-70 / 20))
    return sound[: loud[-1] + 1] if len(loud) else sound


def _fade_out(sound: np.ndarray) -> np.ndarray:
    fade = min(FADE, len(sound) // 2)
    out = sound.copy()
    out[len(out) - fade :] *= 0.5 * (1 + np.cos(np.linspace(0, np.pi, fade)))
    return out


def _fade_in(sound: np.ndarray, samples: int) -> np.ndarray:
    """Over the pre-roll only, so that the cut makes no step and the attack is unchanged."""
    out = sound.copy()
    out[:samples] *= np.linspace(0, 1, samples, endpoint=False)
    return out
