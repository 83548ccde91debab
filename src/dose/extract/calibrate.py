"""Fits a bundle's confidence on held-out mixes and measures how well it is calibrated."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dose.bundle import Bundle, recalibrate
from dose.drums import DRUMS
from dose.extract import confidence
from dose.extract.calibration_data import (
    Example,
    Table,
    candidate_tables,
    joined,
    presence_tables,
    rmod_examples,
    segment_tables,
)
from dose.extract.confidence import Calibration
from dose.extract.extractor import Extractor
from dose.extract.reliability import report

if TYPE_CHECKING:
    from dose.rmod.config import RmodConfig
    from dose.sources.library import SampleLibrary

RIDGE = 1.0  # L2 penalty of both regressions; a default without a study
FOLDS = 5
# Mixes for the detection regression per mix with candidates: scanning costs a fiftieth of generating.
DETECTION_FACTOR = 8


def calibrate(
    extractor: Extractor,
    examples: Sequence[Example],
    *,
    drums: Sequence[str] = DRUMS,
    presence: Mapping[str, Table] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Fits both regressions of each drum: what bundle.json holds under `calibration`.

    `presence` are further rows for the detection regression alone. `report` holds calibration
    errors and reliability curves of both probabilities, cross-validated over mixes: no row is predicted by a
    regression that was fitted to its mix.
    """
    of_segments = segment_tables(extractor, examples, drums)
    for drum, table in (presence or {}).items():
        of_segments[drum] = joined(of_segments[drum], table)
    of_candidates = candidate_tables(extractor, examples, drums, progress)
    return {
        drum: {
            **confidence.to_json(_fit(table, of_segments[drum])),
            "report": _cross_validate(table, of_segments[drum]),
            "mixes": len(examples),
        }
        for drum, table in of_candidates.items()
    }


def examine(
    extractor: Extractor,
    examples: Sequence[Example],
    *,
    drums: Sequence[str] = DRUMS,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, dict[str, Any]]:
    """drum -> the same report for the bundle's own calibration, on mixes that it was not fitted to.

    `detection_rate` is the share of mixes with and without the drum in which it is reported as detected.
    """
    reports: dict[str, dict[str, Any]] = {}
    for drum, table in candidate_tables(extractor, examples, drums, progress).items():
        calibration = extractor.calibration.get(drum, confidence.UNCALIBRATED)
        detected = calibration.detected(table.x)
        reports[drum] = {
            "detected": report(detected, table.detected, table.weight),
            "confidence": report(calibration.confidence(table.x), table.correct, table.weight),
            "detection_rate": {
                name: _detection_rate(detected, table, value, extractor.search.detection_threshold)
                for name, value in (("with", 1.0), ("without", 0.0))
            },
        }
    return reports


def calibrate_bundle(
    folder: Path | str,
    config: "RmodConfig",
    library: "SampleLibrary",
    mixes: int,
    *,
    start: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Bundle:
    """Calibrates a bundle in place on `mixes` of RMOD's val split; its weights stay.

    Detection is fitted to DETECTION_FACTOR times as many mixes of the realistic distribution, too.
    """
    extractor = Extractor(folder)
    examples = list(rmod_examples(config, library, mixes, start))
    presence = presence_tables(
        extractor, config.realistic, library, extractor.drums, DETECTION_FACTOR * mixes, start + mixes
    )
    calibration = calibrate(extractor, examples, drums=extractor.drums, presence=presence, progress=progress)
    return recalibrate(folder, calibration)


def _fit(candidates: Table, segments: Table) -> Calibration:
    # Detection uses segment features only; correctness is conditional on the drum's presence.
    present = candidates.rows(candidates.detected > 0)
    return Calibration(
        detected=confidence.fit(
            segments.x * confidence.IS_SEGMENT_FEATURE, segments.detected, RIDGE, segments.weight
        ),
        correct=confidence.fit(present.x, present.correct, RIDGE, present.weight),
    )


def _cross_validate(candidates: Table, segments: Table) -> dict[str, Any]:
    """Reports of both probabilities; each row is predicted by regressions fitted to the other folds."""
    detected, correct = np.zeros(len(segments.x)), np.zeros(len(candidates.x))
    for fold in range(FOLDS):
        held_out, held_out_segments = candidates.mix % FOLDS == fold, segments.mix % FOLDS == fold
        if held_out.all() or not held_out.any():
            continue
        fitted = _fit(candidates.rows(~held_out), segments.rows(~held_out_segments))
        detected[held_out_segments] = fitted.detected(segments.x[held_out_segments])
        correct[held_out] = fitted.confidence(candidates.x[held_out])
    return {
        "detected": report(detected, segments.detected, segments.weight),
        "confidence": report(correct, candidates.correct, candidates.weight),
    }


def _detection_rate(predicted: np.ndarray, table: Table, present: float, threshold: float) -> float:
    """Of the mixes with (1) or without (0) the drum, the share whose best candidate reaches `threshold`."""
    rows = table.detected == present
    reported = [predicted[rows & (table.mix == m)].max() >= threshold for m in np.unique(table.mix[rows])]
    return round(float(np.mean(reported)), 4) if reported else float("nan")
