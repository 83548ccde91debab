"""Calibration of a trained network, so that one threshold of .5 is right for all classes; and its scores."""

import numpy as np
import torch

from dose.transcription.data import Shard
from dose.transcription.decode import decode, peaks
from dose.transcription.front_end import FRAME_RATE
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.network import TranscriptionNetwork

BATCH = 16  # mixes at once
TOLERANCE = 0.05  # seconds between a hit and its reference
CANDIDATE = 0.05  # probability from which on a peak takes part in the fit
GRID = np.linspace(0.1, 0.9, 33)  # thresholds that are tried


def outputs(net: TranscriptionNetwork, shard: Shard) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and velocities (0..1) of all mixes of a shard, both [n, classes, T]."""
    onsets, velocities = [], []
    with torch.inference_mode():
        for batch in torch.from_numpy(shard.features).split(BATCH):
            logits, velocity = net(batch.float())
            onsets.append(logits.sigmoid().numpy())
            velocities.append(velocity.sigmoid().numpy())
    return np.concatenate(onsets), np.concatenate(velocities)


def matched(estimated: np.ndarray, reference: np.ndarray) -> int:
    """How many of the estimated times (rising) have a reference (rising) of their own within TOLERANCE."""
    count = i = j = 0
    while i < len(estimated) and j < len(reference):
        distance = estimated[i] - reference[j]
        if abs(distance) <= TOLERANCE:
            count, i, j = count + 1, i + 1, j + 1
        elif distance < 0:
            i += 1
        else:
            j += 1
    return count


def scores(net: TranscriptionNetwork, shard: Shard) -> dict[str, float]:
    """ "val/f_<class>": onset F at 50 ms over all mixes of a shard, for logs and the card."""
    counts = np.zeros((len(HIT_CLASSES), 3))  # matched, estimated, reference
    probabilities, velocities = outputs(net, shard)
    for i in range(len(probabilities)):
        hits = decode(probabilities[i], velocities[i])
        for c, name in enumerate(HIT_CLASSES):
            estimated = np.array([h.seconds for h in hits if h.drum == name])
            reference = _references(shard, i, c)
            counts[c] += matched(estimated, reference), len(estimated), len(reference)
    return {
        f"val/f_{name}": round(float(2 * hit / max(estimated + reference, 1)), 4)
        for name, (hit, estimated, reference) in zip(HIT_CLASSES, counts, strict=True)
    }


def calibrate(net: TranscriptionNetwork, shard: Shard) -> None:
    """Sets the network's scale and shift, class by class.

    The threshold with the best F on the shard becomes .5; the scale makes the slope around it that of the
    share of correct peaks (Platt's scale, without his shift).
    """
    net.scale.fill_(1)
    net.shift.fill_(0)
    probabilities, _ = outputs(net, shard)
    for c in range(len(HIT_CLASSES)):
        rows = [(probabilities[i, c], _references(shard, i, c)) for i in range(len(probabilities))]
        best = max(GRID, key=lambda threshold: _f(rows, float(threshold)))
        net.shift[c] = float(-np.log(best / (1 - best)))
        logits, correct = _candidates(rows)
        net.scale[c] = slope(logits + float(net.shift[c]), correct)


def _references(shard: Shard, mix: int, cls: int) -> np.ndarray:
    return np.sort(shard.seconds[(shard.mix == mix) & (shard.cls == cls)])


def _f(rows: list[tuple[np.ndarray, np.ndarray]], threshold: float) -> float:
    hit = estimated = reference = 0
    for probability, times in rows:
        found = np.array(peaks(probability, threshold)) / FRAME_RATE
        hit += matched(found, times)
        estimated, reference = estimated + len(found), reference + len(times)
    return 2 * hit / max(estimated + reference, 1)


def _candidates(rows: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of all peaks above CANDIDATE, and whether each lies at a reference."""
    logits, correct = [], []
    for probability, times in rows:
        for frame in peaks(probability, CANDIDATE):
            p = float(np.clip(probability[frame], 1e-6, 1 - 1e-6))
            logits.append(np.log(p / (1 - p)))
            correct.append(bool(np.any(np.abs(times - frame / FRAME_RATE) <= TOLERANCE)))
    return np.array(logits), np.array(correct)


def slope(logits: np.ndarray, correct: np.ndarray) -> float:
    """The scale of logits that makes the outcomes most likely, by a search; 1 without outcomes."""
    if not len(logits) or correct.all() or not correct.any():
        return 1.0
    scales = np.geomspace(0.3, 3, 47)
    signed = np.where(correct, logits, -logits)
    likelihood = [-np.logaddexp(0, -scale * signed).sum() for scale in scales]
    return float(scales[int(np.argmax(likelihood))])
