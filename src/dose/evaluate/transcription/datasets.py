"""Annotated mixes: audio, the hits of each class, and the tempo where it is known.

- rmod: RMOD's written test items; kick, snare and hi-hat at random times, no velocities, no tempo.
- realistic: grooves on whole kits of the test split, in balanced mixes; all classes, velocities, tempo.
- groove: recordings of the Groove MIDI Dataset, where `rmod.groove.folder` holds them with their audio; else
  the written stand-in, which is named so.
"""

import csv
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dose import audio
from dose.errors import DoseError, MissingInputError
from dose.transcription.hits import HIT_CLASSES

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

# Grooves of the realistic set: long enough for a tempo, which 4 s of a ballad are not.
REALISTIC_SECONDS = 12.0
GROOVE_SECONDS = 60.0  # of each recording: performances differ more than their minutes do
STAND_IN = "groove-like, not GMD"
# Roland's percussion map of the Groove MIDI Dataset (Gillick et al., 2019), which extends General MIDI.
GMD_NOTES = {
    "kick": (35, 36),
    "snare": (37, 38, 40),
    "closed_hihat": (22, 42, 44),
    "open_hihat": (26, 46),
    "clap": (39,),
    "tom": (41, 43, 45, 47, 48, 50, 58),
    "cymbal": (49, 51, 52, 53, 55, 57, 59),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReferenceHits:
    """All hits of one class in one mix."""

    seconds: np.ndarray  # [N], rising
    velocities: np.ndarray | None  # [N], 1..127; None where they are unknown


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotatedMix:
    """One mix of a data set. A class that `hits` lacks is not annotated; one without hits is empty."""

    name: str
    read: Callable[[], np.ndarray]  # float32 [N], mono, 44.1 kHz
    hits: Mapping[str, ReferenceHits]  # by class of HIT_CLASSES, or by "hihat" where open and closed are one
    tempo: float | None  # beats per minute


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A test set; `mixes` gives them one by one, as often as it is called."""

    name: str
    title: str
    size: int
    mixes: Callable[[], Iterator[AnnotatedMix]]


def written(root: Path, dataset: str, count: int) -> Dataset:
    """RMOD's written items of "rmod", "rmod_drums" or "groove". Raises MissingInputError as `rmod.items`."""
    from dose.rmod import items

    found = items(root, dataset)[:count]
    if not found:
        raise MissingInputError(f"{root} holds no items of '{dataset}'; run `dvc repro rmod`.")

    def mixes() -> Iterator[AnnotatedMix]:
        for item in found:
            yield AnnotatedMix(
                name=f"{item.index:06d}",
                read=lambda path=item.mix_path: audio.read(path),  # type: ignore[misc]
                hits={
                    drum: ReferenceHits(seconds=np.sort(np.array(onsets, float)), velocities=None)
                    for drum, onsets in item.hits.items()
                },
                tempo=None,
            )

    title = STAND_IN if dataset == "groove" else dataset
    return Dataset(name=dataset, title=title, size=len(found), mixes=mixes)


def realistic(
    library: "SampleLibrary", count: int, split: str = "test", *, drums_only: bool = False
) -> Dataset:
    """Grooves on kits of a split, with instruments or without. Items follow from library and number alone."""
    from dose.rmod.realistic.config import RealisticConfig
    from dose.rmod.realistic.mix import stream

    # Mixes without drums and with one drum have a test of their own.
    config = RealisticConfig(
        seconds=REALISTIC_SECONDS, bare=float(drums_only), drum_free=0.0, single_drum=0.0
    )
    name = "realistic_drums" if drums_only else "realistic"

    def mixes() -> Iterator[AnnotatedMix]:
        for index, mix in enumerate(stream(config, library, split, 0, count)):
            yield AnnotatedMix(
                name=f"{index:06d}",
                read=lambda sound=mix.audio: sound,  # type: ignore[misc]
                hits={cls: _reference([(s, v) for s, v in mix.hits.get(cls, ())]) for cls in HIT_CLASSES},
                tempo=mix.groove.tempo if mix.groove else None,
            )

    title = f"realistic, {'drums alone' if drums_only else 'with instruments'}, kits of {split}"
    return Dataset(name=name, title=title, size=count, mixes=mixes)


def groove(folder: Path | None, rmod: Path, count: int) -> Dataset:
    """Recordings of the Groove MIDI Dataset in `folder`, or the stand-in in `rmod`, titled as such."""
    pairs = recordings(folder) if folder is not None else []
    if not pairs:
        return written(rmod, "groove", count)
    chosen = pairs[:count]

    def mixes() -> Iterator[AnnotatedMix]:
        for midi, sound in chosen:
            yield recording(midi, sound)

    return Dataset(name="groove", title="Groove MIDI Dataset, audio", size=len(chosen), mixes=mixes)


def recordings(folder: Path) -> list[tuple[Path, Path]]:
    """MIDI files of the test split that have their audio beside them; of all files without info.csv."""
    if (folder / "info.csv").is_file():
        with open(folder / "info.csv", newline="") as f:
            rows = [row for row in csv.DictReader(f) if row.get("split") == "test"]
        midis = sorted(folder / row["midi_filename"] for row in rows if row.get("midi_filename"))
    else:
        midis = sorted((*folder.rglob("*.mid"), *folder.rglob("*.midi")))
    return [(m, m.with_suffix(".wav")) for m in midis if m.is_file() and m.with_suffix(".wav").is_file()]


def recording(midi_path: Path, sound: Path) -> AnnotatedMix:
    """The first GROOVE_SECONDS of a performance. Raises DoseError when the MIDI file cannot be read."""
    import miditoolkit

    try:
        midi = miditoolkit.MidiFile(str(midi_path))
        seconds = midi.get_tick_to_time_mapping()
        notes = [(float(seconds[n.start]), n.pitch, n.velocity) for t in midi.instruments for n in t.notes]
        tempi = [change.tempo for change in midi.tempo_changes]
    except (OSError, ValueError, KeyError, EOFError, IndexError) as e:
        raise DoseError(f"{midi_path} is not a MIDI file that can be read ({e}); remove it.") from e
    return AnnotatedMix(
        name=midi_path.stem,
        read=lambda: audio.read(sound, max_seconds=GROOVE_SECONDS),
        hits={
            cls: _reference([(t, v) for t, pitch, v in notes if pitch in pitches and t < GROOVE_SECONDS])
            for cls, pitches in GMD_NOTES.items()
        },
        # Performances were recorded to a metronome: one tempo, or none that can be compared.
        tempo=float(tempi[0]) if len(tempi) == 1 else None,
    )


def _reference(hits: Sequence[tuple[float, int]]) -> ReferenceHits:
    table = np.array(sorted(hits), np.float64).reshape(-1, 2)
    return ReferenceHits(seconds=table[:, 0], velocities=table[:, 1])
