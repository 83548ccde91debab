"""Runs systems on data sets, sounds without drums and single drums; writes tables, JSON and per-mix CSV."""

import csv
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dose import files
from dose.drums import DRUMS
from dose.evaluate.transcription import presence, scoring, table
from dose.evaluate.transcription.datasets import Dataset
from dose.evaluate.transcription.negatives import DrumFree, SingleDrum
from dose.evaluate.transcription.presence import PresenceItem, PresenceSystem
from dose.evaluate.transcription.scoring import Scores
from dose.evaluate.transcription.systems import TranscriptionSystem
from dose.metrics.transcription import WINDOWS

DRUM_FREE, SINGLE_DRUM, PRESENCE = "drum_free", "single_drum", "presence"
Progress = Callable[[str], None]  # called once per mix or sound, with the data set's name


@dataclasses.dataclass(frozen=True, kw_only=True)
class TestSets:
    """What the systems are run on; either kind of sounds may be left out."""

    __test__ = False  # pytest collects classes of this name otherwise

    mixes: Sequence[Dataset] = ()
    drum_free: Callable[[], Iterator[DrumFree]] | None = None
    single_drums: Callable[[], Iterator[SingleDrum]] | None = None
    presence: Callable[[], Iterator[PresenceItem]] | None = None


@dataclasses.dataclass(kw_only=True)
class TranscriptionResults:
    """All figures: data set -> system -> class or group -> metric."""

    scores: dict[str, dict[str, Scores]]
    titles: dict[str, str]
    sizes: dict[str, int]
    items: list[dict[str, Any]]  # rows of the CSV: one per mix, system, class and window
    notes: list[str]

    def text(self) -> str:
        """All tables, as Markdown."""
        parts = ["# Transcription", "", table.NOTES, ""]
        for name, systems in self.scores.items():
            size = self.sizes[name]
            if name == DRUM_FREE:
                parts.append(table.of_drum_free(size, systems))
            elif name == SINGLE_DRUM:
                parts.append(table.of_single_drums(size, systems))
            elif name == PRESENCE:
                parts.append(table.of_presence(size, systems))
            else:
                parts.append(table.of_mixes(self.titles[name], size, systems))
        parts += [f"- {note}" for note in self.notes]
        return "\n".join(parts).rstrip() + "\n"

    def to_json(self) -> dict[str, Any]:
        """{"data_sets": {name: {title, items, systems: {system: {class: {metric: {...}}}}}}, notes}."""
        return {
            "data_sets": {
                name: {
                    "title": self.titles[name],
                    "items": self.sizes[name],
                    "systems": {
                        system: {
                            group: {metric: e.to_json() for metric, e in figures.items()}
                            for group, figures in scores.items()
                        }
                        for system, scores in systems.items()
                    },
                }
                for name, systems in self.scores.items()
            },
            "notes": self.notes,
        }


def evaluate(
    sets: TestSets,
    systems: Sequence[TranscriptionSystem],
    detectors: Sequence[PresenceSystem] = (),
    *,
    seed: int = 0,
    notes: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> TranscriptionResults:
    """Every system on every set. Audio is made or read once and given to all systems in turn.

    `detectors` report which drums are there at all: they are scored on sounds without drums, single drums and
    presence.
    """
    results = TranscriptionResults(scores={}, titles={}, sizes={}, items=[], notes=list(notes))
    for dataset in sets.mixes:
        _run_mixes(dataset, systems, seed, results, progress)
    names = [system.name for system in systems] + [detector.name for detector in detectors]
    if sets.drum_free is not None:
        free: dict[str, list[scoring.DrumFreeScores]] = {name: [] for name in names}
        for sound in sets.drum_free():
            for system in systems:
                free[system.name].append(scoring.score_drum_free(sound, system.transcribe(sound.audio)))
            for detector in detectors:
                reported = detector.detect(sound.audio, DRUMS)
                free[detector.name].append(scoring.score_drum_free_presence(sound, reported))
            progress(DRUM_FREE)
        scores = {name: scoring.summarise_drum_free(s, seed) for name, s in free.items()}
        _put(results, DRUM_FREE, "sounds without drums", max(map(len, free.values()), default=0), scores)
    if sets.single_drums is not None:
        single: dict[str, list[scoring.SingleDrumScores]] = {name: [] for name in names}
        for drum in sets.single_drums():
            for system in systems:
                single[system.name].append(scoring.score_single_drum(drum, system.transcribe(drum.audio)))
            for detector in detectors:
                reported = detector.detect(drum.audio, DRUMS)
                single[detector.name].append(scoring.score_single_drum_presence(drum, reported))
            progress(SINGLE_DRUM)
        scores = {name: scoring.summarise_single_drums(s, seed) for name, s in single.items()}
        _put(results, SINGLE_DRUM, "single drums", max(map(len, single.values()), default=0), scores)
    if sets.presence is not None:
        given: dict[str, list[presence.PresenceAnswer]] = {detector.name: [] for detector in detectors}
        size = 0
        for item in sets.presence():
            size += len(item.present)
            for detector in detectors:
                given[detector.name] += presence.answers(detector, item)
            progress(PRESENCE)
        scores = {name: presence.summarise(a, seed) for name, a in given.items()}
        _put(results, PRESENCE, "drums in a mix and taken out of it", size, scores)
    return results


def _run_mixes(
    dataset: Dataset,
    systems: Sequence[TranscriptionSystem],
    seed: int,
    results: TranscriptionResults,
    progress: Progress,
) -> None:
    scored: dict[str, list[scoring.MixScores]] = {system.name: [] for system in systems}
    for mix in dataset.mixes():
        sound = mix.read()
        for system in systems:
            scores = scoring.score_mix(mix, system.transcribe(sound), system.classes)
            scored[system.name].append(scores)
            results.items += _rows(dataset.name, system.name, scores)
        progress(dataset.name)
    summaries = {s.name: scoring.summarise(scored[s.name], seed) for s in systems}
    _put(results, dataset.name, dataset.title, dataset.size, summaries)


def _put(results: TranscriptionResults, name: str, title: str, size: int, scores: dict[str, Scores]) -> None:
    results.scores[name], results.titles[name], results.sizes[name] = scores, title, size


def _rows(dataset: str, system: str, scores: scoring.MixScores) -> Iterator[dict[str, Any]]:
    for cls, counts in scores.counts.items():
        for window, one in zip(WINDOWS, counts, strict=True):
            ms = round(1000 * window)
            row = {"dataset": dataset, "system": system, "mix": scores.name, "class": cls, "window_ms": ms}
            yield row | dataclasses.asdict(one)


def write(results: TranscriptionResults, out: Path) -> None:
    """Fills the folder `out`: transcription.json, .csv (counts per mix) and .md."""
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "transcription.json", results.to_json())
    with files.atomic(out / "transcription.md") as beside:
        beside.write_text(results.text())
    columns = ["dataset", "system", "mix", "class", "window_ms", "matched", "false", "missed"]
    with files.atomic(out / "transcription.csv") as beside, beside.open("w", newline="") as f:
        writer = csv.DictWriter(f, columns)
        writer.writeheader()
        writer.writerows(results.items)


def last_line(results: TranscriptionResults) -> str:
    """The figures that matter most as one line of JSON, for scripts."""
    short: dict[str, Any] = {}
    headline = {
        DRUM_FREE: ("all", "false_drums"),
        SINGLE_DRUM: ("all", "named_right"),
        PRESENCE: ("all", "right"),
    }
    for name, systems in results.scores.items():
        group, metric = headline.get(name, (scoring.MICRO, "f_50ms"))
        short[name] = {
            system: round(scores[group][metric].value, 4)
            for system, scores in systems.items()
            if metric in scores.get(group, {})
        }
    return json.dumps(short)
