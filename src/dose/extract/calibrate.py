"""Fits a bundle's confidence on held-out mixes, with and without each drum, and says how good it is.

Every mix is used as it is and once more per drum with that drum taken out, so that the regressions see what
absence looks like; the latter count for less, because songs mostly have the drums that are asked for. What
counts as right: the drum is there, and the candidate resembles the true one-shot more than most of the other
mixes' one-shots of that drum do (distance: log spectra, gain removed).
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dose.audio import RATE
from dose.bundle import Bundle, recalibrate
from dose.drums import DRUMS
from dose.dsp.mel import HOP, bands
from dose.extract import confidence
from dose.extract.confidence import Calibration
from dose.extract.extractor import Extractor
from dose.extract.postprocess import attack_start

if TYPE_CHECKING:
    from dose.rmod.config import RmodConfig
    from dose.sources.library import SampleLibrary

NEARER_THAN = 0.5  # of the other one-shots
ABSENT = 0.2  # share of the cases in which the drum is not there, after weighting
FLOOR_DB = -40.0  # of a one-shot's picture, below its loudest
RIDGE = 1.0
FOLDS = 5
COMPARED = 0.5  # seconds of a one-shot
MORE = 8  # mixes for telling whether a drum is there, for each one with tries: they cost a fiftieth


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A held-out mix with its truth."""

    mix: np.ndarray  # float32 [C, N] at 44.1 kHz
    stems: dict[str, np.ndarray]  # what each drum is in the mix, [C, N]
    shots: dict[str, np.ndarray]  # the true one-shots [N]


@dataclasses.dataclass(kw_only=True)
class _Rows:
    """What was gathered for one drum: rows of features with their outcomes."""

    features: list[np.ndarray]
    present: list[float]
    right: list[float]
    mix: list[int]  # which example a row comes from: rows of one mix stay in one fold

    def table(self) -> "_Table":
        return _Table(
            x=np.stack(self.features),
            present=np.array(self.present),
            right=np.array(self.right),
            mix=np.array(self.mix),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Table:
    """Features [n, F] with outcomes [n] of 0 and 1, and the mix [n] that each row comes from."""

    x: np.ndarray
    present: np.ndarray
    right: np.ndarray
    mix: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """How often each row counts: together the rows count as two for each mix, with and without the drum.

        The tries for one mix are alike, so they are one case and not several.
        """
        share = 2 * np.where(self.present > 0, 1 - ABSENT, ABSENT)
        alike = [
            ((self.mix == m) & (self.present == p)).sum() for m, p in zip(self.mix, self.present, strict=True)
        ]
        return share / np.array(alike)

    def rows(self, keep: np.ndarray) -> "_Table":
        return _Table(x=self.x[keep], present=self.present[keep], right=self.right[keep], mix=self.mix[keep])


def calibrate(
    extractor: Extractor,
    examples: Sequence[Example],
    *,
    drums: Sequence[str] = DRUMS,
    more: Iterable[Example] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """What bundle.json keeps under `calibration`: drum -> the fitted regressions, and how they did.

    `more` are further mixes from which only presence is learnt. `report`: expected calibration errors and
    reliability curves of both probabilities from cross-validation over mixes (a mix is never judged by a
    regression that saw it), and the counts.
    """
    heard = _heard(extractor, itertools.chain(examples, more), drums)
    return {
        drum: {
            **confidence.to_json(_fit(table, heard[drum])),
            "report": _cross_validated(table, heard[drum]),
            "mixes": len(examples),
        }
        for drum, table in _gathered(extractor, examples, drums, progress).items()
    }


def examine(
    extractor: Extractor,
    examples: Sequence[Example],
    *,
    drums: Sequence[str] = DRUMS,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, dict[str, Any]]:
    """drum -> how the bundle's own confidence does on mixes that it was not fitted to.

    As `report` in `calibrate`, and under `said_present` the share of mixes with and without the drum in which
    it was reported as present.
    """
    told: dict[str, dict[str, Any]] = {}
    for drum, table in _gathered(extractor, examples, drums, progress).items():
        parts = extractor.calibration.get(drum, confidence.UNCALIBRATED)
        there = parts.present(table.x)
        told[drum] = {
            "present": _report(there, table.present, table.weight),
            "confidence": _report(parts.confidence(table.x), table.right, table.weight),
            "said_present": {
                name: _share_said(there, table, value, extractor.search.present)
                for name, value in (("with", 1.0), ("without", 0.0))
            },
        }
    return told


def _gathered(
    extractor: Extractor,
    examples: Sequence[Example],
    drums: Sequence[str],
    progress: Callable[[int], None],
) -> dict[str, "_Table"]:
    """Every try for each example as it is and without each drum; drums that never sounded are left out."""
    gathered = {drum: _Rows(features=[], present=[], right=[], mix=[]) for drum in drums}
    yardsticks = {drum: _yardstick([e.shots[drum] for e in examples]) for drum in drums}
    for i, example in enumerate(examples):
        for drum in drums:
            truth, limit = yardsticks[drum][i]
            for there in (True, False):
                mix = example.mix if there else example.mix - example.stems[drum]
                _gather(extractor, gathered[drum], mix, drum, there, truth, limit, i)
        progress(i + 1)
    return {drum: seen.table() for drum, seen in gathered.items() if seen.features}


def _share_said(there: np.ndarray, table: "_Table", present: float, limit: float) -> float:
    """Of the mixes with (1) or without (0) the drum, the share in which its best try reaches `limit`."""
    mine = table.present == present
    said = [there[mine & (table.mix == m)].max() >= limit for m in np.unique(table.mix[mine])]
    return round(float(np.mean(said)), 4) if said else float("nan")


def calibrate_bundle(
    folder: Path | str,
    config: "RmodConfig",
    library: "SampleLibrary",
    mixes: int,
    *,
    start: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Bundle:
    """Calibrates a bundle in place on `mixes` of RMOD's val split; its weights and version stay."""
    extractor = Extractor.load(folder)
    examples = list(rmod_examples(config, library, mixes, start))
    more = rmod_examples(config, library, (MORE - 1) * mixes, start + mixes)
    made = calibrate(extractor, examples, drums=extractor.drums, more=more, progress=progress)
    return recalibrate(folder, made)


def rmod_examples(
    config: "RmodConfig", library: "SampleLibrary", count: int, start: int = 0, split: str = "val"
) -> Iterable[Example]:
    """Mixes start..start+count of one of RMOD's splits."""
    from dose.rmod.dataset import stream

    for item in stream(config, library, split, start, start + count, stems=True):
        assert item.stems is not None
        stems = {drum: item.stems[drum] for drum in DRUMS}
        yield Example(mix=item.mix, stems=stems, shots=item.shots)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels, root mean square over time and bands, between two pictures of `log_picture`."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def _gather(
    extractor: Extractor,
    seen: _Rows,
    mix: np.ndarray,
    drum: str,
    there: bool,
    truth: np.ndarray,
    limit: float,
    index: int,
) -> None:
    for candidate in extractor.evidence(mix, drum):
        near = distance(log_spectrogram(candidate.shot), truth) <= limit
        seen.features.append(candidate.features)
        seen.present.append(float(there))
        seen.right.append(float(there and near))
        seen.mix.append(index)


def _heard(extractor: Extractor, examples: Iterable[Example], drums: Sequence[str]) -> dict[str, _Table]:
    """Each example as it is and without each drum, without a try."""
    seen = {drum: _Rows(features=[], present=[], right=[], mix=[]) for drum in drums}
    for i, example in enumerate(examples):
        whole = extractor.presence(example.mix, drums)
        for drum in drums:
            lacking = extractor.presence(example.mix - example.stems[drum], (drum,))
            for there, features in ((1.0, whole[drum]), (0.0, lacking[drum])):
                seen[drum].features.append(features)
                seen[drum].present.append(there)
                seen[drum].right.append(0.0)
                seen[drum].mix.append(i)
    return {drum: rows.table() for drum, rows in seen.items()}


def _fit(table: _Table, heard: _Table) -> Calibration:
    there = table.rows(table.present > 0)
    return Calibration(
        present=confidence.fit(heard.x * confidence.OF_THE_DRUM, heard.present, RIDGE, heard.weight),
        right=confidence.fit(there.x, there.right, RIDGE, there.weight),
    )


def _cross_validated(table: _Table, heard: _Table) -> dict[str, Any]:
    """Each row judged by regressions fitted on the mixes of the other folds."""
    told_present, told_right = np.zeros(len(heard.x)), np.zeros(len(table.x))
    for fold in range(FOLDS):
        out, away = table.mix % FOLDS == fold, heard.mix % FOLDS == fold
        if out.all() or not out.any():
            continue
        parts = _fit(table.rows(~out), heard.rows(~away))
        told_present[away], told_right[out] = parts.present(heard.x[away]), parts.confidence(table.x[out])
    return {
        "present": _report(told_present, heard.present, heard.weight),
        "confidence": _report(told_right, table.right, table.weight),
    }


def _report(told: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
    return {
        "ece": round(confidence.expected_calibration_error(told, truth, weight), 4),
        "base_rate": round(float(np.average(truth, weights=weight)), 4),
        "auc": round(_auc(told, truth), 4),
        "count": len(truth),
        "reliability": confidence.reliability(told, truth, weight),
    }


def _auc(p: np.ndarray, y: np.ndarray) -> float:
    """Probability that a true row is ranked above a false one; 0.5 when one kind is missing."""
    true, false = p[y > 0], p[y == 0]
    if not len(true) or not len(false):
        return 0.5
    return float((true[:, None] > false).mean() + 0.5 * (true[:, None] == false).mean())


def _yardstick(shots: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float]]:
    """For each one-shot its picture and the distance within which a tenth of the other one-shots lie."""
    pictures = [log_spectrogram(shot) for shot in shots]
    return [
        (
            mine,
            float(
                np.quantile(
                    [distance(mine, other) for j, other in enumerate(pictures) if j != i], 1 - NEARER_THAN
                )
            )
            if len(pictures) > 1
            else 0.0,
        )
        for i, mine in enumerate(pictures)
    ]


def log_spectrogram(shot: np.ndarray) -> np.ndarray:
    """Band levels in dB of the first half second from the attack, the loudest at 0, none below FLOOR_DB."""
    frames = int(COMPARED * RATE) // HOP
    levels = bands(np.pad(shot[attack_start(shot) :], (0, frames * HOP))[: frames * HOP])
    db = 20 * np.log10(levels / max(float(levels.max()), 1e-9) + 1e-9)
    return np.maximum(db, FLOOR_DB)
