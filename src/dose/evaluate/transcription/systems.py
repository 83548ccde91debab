"""Systems that transcribe: the project's network and an untrained baseline."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.drums import DRUMS
from dose.errors import MissingInputError
from dose.transcription.hits import DRUM_OF, HIT_CLASSES, Hit, Transcription
from dose.transcription.rhythm import find_rhythm

# Hits of systems that do not tell open from closed hi-hats, as a class of HIT_CLASSES.
CLASS_OF = {"kick": "kick", "snare": "snare", "hihat": "closed_hihat"}

# The baseline's bands in Hz, and the shares of the energy at an onset from which they count as hit; by hand.
BANDS = {"kick": (20, 120), "snare": (150, 3000), "hihat": (6000, 16000)}
SHARES = {"kick": 0.3, "snare": 0.35, "hihat": 0.12}
SILENCE = 1e-4  # peak, -80 dBFS
ONSET_HOP = 256  # samples: 5.8 ms
ENERGY_SAMPLES = 2048  # after the onset, 46 ms: two periods of the lowest kick


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscriptionSystem:
    """A named way from audio to hits. Scores of classes outside `classes` are left out."""

    name: str
    classes: tuple[str, ...]  # of HIT_CLASSES and "hihat"
    transcribe: Callable[[np.ndarray], Transcription]  # of float32 [N], mono, 44.1 kHz


def network(folder: Path | None = None) -> TranscriptionSystem:
    """The project's network: the one in `folder`, or that of the package.

    Raises MissingInputError where there is none, IntegrityError for one of another version.
    """
    # Imported here: it needs torch, which the other systems may do without.
    from dose.transcription.network import BUNDLED, load
    from dose.transcription.transcribe import transcribe

    found = folder or BUNDLED
    if not found.is_dir():
        raise MissingInputError(f"no weights: {found} is missing; run `dvc repro transcription`.")
    net = load(found)
    return TranscriptionSystem(
        name="DOSE transcription",
        classes=(*HIT_CLASSES, "hihat"),
        transcribe=lambda mono: transcribe(mono, net),
    )


def bands() -> TranscriptionSystem:
    """Spectral-flux onsets (librosa), each named after the bands that hold its energy; no training."""
    return TranscriptionSystem(name="Onsets + bands (librosa)", classes=DRUMS, transcribe=_by_bands)


def _by_bands(mono: np.ndarray) -> Transcription:
    import librosa

    if audio.peak(mono) <= SILENCE:
        return _transcription([], mono)  # librosa scales the envelope, so that silence has onsets, too
    onsets = librosa.onset.onset_detect(y=mono, sr=RATE, hop_length=ONSET_HOP, units="samples")
    hz = np.fft.rfftfreq(ENERGY_SAMPLES, 1 / RATE)
    window = np.hanning(ENERGY_SAMPLES)
    padded = np.pad(mono, (0, ENERGY_SAMPLES))
    energies = []  # per onset, of each band
    for onset in onsets:
        power = np.abs(np.fft.rfft(padded[onset : onset + ENERGY_SAMPLES] * window)) ** 2
        energies.append([power[(hz >= low) & (hz < high)].sum() for low, high in BANDS.values()])
    table = np.array(energies).reshape(-1, len(BANDS))  # [onsets, bands]
    loudest = np.maximum(table.max(axis=0, initial=0), 1e-12)
    hits = []
    for onset, row in zip(onsets, table, strict=True):
        share = row / max(row.sum(), 1e-12)
        for i, drum in enumerate(BANDS):
            if share[i] >= SHARES[drum]:
                # Amplitude against the loudest hit of the band.
                velocity = int(np.clip(round(127 * float(np.sqrt(row[i] / loudest[i]))), 1, 127))
                hits.append(
                    Hit(seconds=onset / RATE, drum=CLASS_OF[drum], velocity=velocity, probability=1.0)
                )
    return _transcription(hits, mono)


def _transcription(hits: list[Hit], mono: np.ndarray) -> Transcription:
    hits = sorted(hits, key=lambda hit: (hit.seconds, hit.drum))
    seconds = len(mono) / RATE
    return Transcription(hits=tuple(hits), seconds=seconds, rhythm=find_rhythm(hits, seconds))


def onsets_of(found: Transcription, cls: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds [M] and velocities [M] of a class, or of a drum of the kit: "hihat" is open and closed."""
    hits = [hit for hit in found.hits if cls in (hit.drum, DRUM_OF.get(hit.drum))]
    table = np.array([(hit.seconds, hit.velocity) for hit in hits], np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
