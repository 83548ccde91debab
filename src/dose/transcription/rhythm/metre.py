"""Which multiple of the pulse is the beat, and where bars begin: a choice among candidates.

A candidate is a number of pulses per beat, a phase, a metre (4/4 or 3/4) and a downbeat. Each is described by
what a tempo is named after: snare on the backbeat or, at half time, on the third beat; kick on the first;
hats on eighths or sixteenths; the tempo itself; whether kick and snare repeat after a bar. A network of one
small hidden layer scores the descriptions, and the softmax over the candidates of a song is fitted to the
right ones: a conditional logit (McFadden, 1974). `python -m experiments.metre` fits it.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dose.transcription.hits import Hit
from dose.transcription.rhythm.pulse import (
    FASTEST,
    FLEXIBLE,
    SLOWEST,
    STEADY,
    loudness,
    position_in,
    times_of,
    track,
)

WEIGHTS = Path(__file__).parent / "metre.safetensors"
RATIOS = (1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3)  # pulses per beat
STEPS = 12  # per beat: sixteenths are 3 steps, triplets 4
PHASES = (0, 3, 4, 6, 8, 9)  # steps by which the beat may lie off the pulse
METRES = (4, 3)
# A loop holds whole bars of 4/4, as a rule 1, 2, 4 or 8, and starts on a downbeat; longer files are songs.
LOOP_SECONDS, LOOP_BARS = 12.0, (1, 2, 4, 8)
LOOP_TOLERANCE = 0.015  # share of the tempo
LIMIT = 5.0  # standard deviations: a feature far from anything in training does not decide alone
# Classes that one feature describes together.
GROUPS = {"kick": 0, "snare": 1, "clap": 1, "closed_hihat": 2, "open_hihat": 2, "tom": 3, "cymbal": 4}
# What a position within a beat is called; sixteenths and triplets may swing into each other.
ROLES = ("beat", "near", "sixteenth", "triplet", "eighth")
ROLE_OF_STEP = np.array([0, 1, 1, 2, 3, 1, 4, 1, 3, 2, 1, 1])
# Swung positions count as the straight ones that they stand for; -1: none.
SIXTEENTH_OF_STEP = np.array([0, -1, -1, 1, 1, -1, 2, 2, 2, 3, 3, -1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One reading of the pulse."""

    beats: np.ndarray  # [B] seconds, within the recording
    tempo: float  # BPM
    beats_per_bar: int
    first_downbeat: int
    features: dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Grid:
    """A pulse and what is read from it once: the hits' positions and weights, their classes."""

    pulses: np.ndarray  # [P] seconds
    position: np.ndarray  # [H] in pulses
    weight: np.ndarray  # [H]
    group: np.ndarray  # [H]
    seconds: float
    kind: str  # "steady", "flexible", or "loop": the grid of the length of a loop


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scorer:
    """The network: features, standardised, through HIDDEN tanh units to one score."""

    names: tuple[str, ...]  # order of the features
    mean: np.ndarray  # [F]
    scale: np.ndarray  # [F]
    hidden: np.ndarray  # [F, HIDDEN]
    bias: np.ndarray  # [HIDDEN]
    out: np.ndarray  # [HIDDEN]

    def scores(self, features: Sequence[dict[str, float]]) -> np.ndarray:
        """One score per candidate, [C]; a feature that a candidate lacks is 0."""
        x = np.array([[f.get(name, 0.0) for name in self.names] for f in features])
        x = np.clip((x - self.mean) / self.scale, -LIMIT, LIMIT)
        result: np.ndarray = np.tanh(x @ self.hidden + self.bias) @ self.out
        return result


@functools.cache
def scorer() -> Scorer:
    """The network that ships with the package."""
    import safetensors

    with safetensors.safe_open(WEIGHTS, framework="numpy") as stored:
        names = tuple(stored.metadata()["features"].split())
        return Scorer(names=names, **{key: stored.get_tensor(key) for key in stored.keys()})  # noqa: SIM118


def best_candidate(hits: Sequence[Hit], seconds: float) -> Candidate | None:
    """The candidate with the highest score; None where no pulse is found."""
    found = list(candidates(hits, seconds))
    if not found:
        return None
    return found[int(scorer().scores([c.features for c in found]).argmax())]


def candidates(hits: Sequence[Hit], seconds: float) -> Iterator[Candidate]:
    """All readings whose tempo lies within 60..200 BPM."""
    times = np.array([hit.seconds for hit in hits])
    weight, group = loudness(hits), np.array([GROUPS[hit.drum] for hit in hits])
    grids = [(track(hits, seconds, STEADY), "steady"), (track(hits, seconds, FLEXIBLE), "flexible")]
    grids = [(pulses, kind) for pulses, kind in grids if len(pulses) >= 2]
    if seconds <= LOOP_SECONDS:
        for bars in LOOP_BARS:
            if SLOWEST <= bars * 240 / seconds <= FASTEST:
                grids.append((np.linspace(0, seconds, 4 * bars + 1), "loop"))
    for grid, kind in grids:
        position = position_in(grid, times)
        made = _Grid(pulses=grid, position=position, weight=weight, group=group, seconds=seconds, kind=kind)
        for ratio in (1.0,) if kind == "loop" else RATIOS:
            tempo = 60 / (np.median(np.diff(grid)) * ratio)
            # A margin of 2 %: the tempo of a song at the limit may be estimated just beyond it.
            if SLOWEST / 1.02 <= tempo <= FASTEST * 1.02:
                yield from _of_ratio(made, ratio, float(tempo))


def _of_ratio(grid: _Grid, ratio: float, tempo: float) -> Iterator[Candidate]:
    position = grid.position / ratio  # in beats, but for the phase
    repeats = _repetition(position, grid)
    for phase in (0,) if grid.kind == "loop" else PHASES:
        beat = position - phase / STEPS
        within = beat - np.floor(beat)
        step = np.rint(within * STEPS).astype(int) % STEPS
        role = ROLE_OF_STEP[step]
        number = np.floor(beat + 0.5 / STEPS).astype(int)
        beats = _beats(grid, ratio, phase)
        if len(beats) < 2:
            continue
        first = round(float(position_in(grid.pulses, beats[:1])[0]) / ratio - phase / STEPS)
        rhythm = _rhythm_features(grid, role, len(beats), tempo, beats[0])
        for metre in METRES:
            for downbeat in range(metre):
                place = (number - first - downbeat) % metre
                features = (
                    rhythm
                    | _bar_features(grid, step, place, metre, len(beats))
                    | {f"repeat{metre}.{k}": v for k, v in repeats[metre].items()}
                )
                if metre == 4 and downbeat == 0:
                    features["starts"] = float(grid.seconds <= LOOP_SECONDS and beats[0] < 0.05)
                yield Candidate(
                    beats=beats, tempo=tempo, beats_per_bar=metre, first_downbeat=downbeat, features=features
                )


def _beats(grid: _Grid, ratio: float, phase: int) -> np.ndarray:
    """Times of all beats within the recording, [B]."""
    low, high = position_in(grid.pulses, np.array([0.0, grid.seconds])) / ratio - phase / STEPS
    # A beat just before the start is counted: a file may be cut a few milliseconds late.
    numbers = np.arange(np.ceil(low - 0.06), np.ceil(high - 0.06))
    times = times_of(grid.pulses, (numbers + phase / STEPS) * ratio)
    out: np.ndarray = np.clip(times, 0, None)
    return out


def _rhythm_features(
    grid: _Grid, role: np.ndarray, beats: int, tempo: float, start: float
) -> dict[str, float]:
    """What does not depend on the metre."""
    octave = float(np.log2(tempo / 115))
    out = {"tempo": octave, "tempo2": octave**2, "tempo3": octave**3}
    periods = np.log2(np.diff(grid.pulses))
    out |= {
        f"grid.{grid.kind}": 1.0,
        "grid.uneven": float(np.abs(np.diff(periods)).mean()) if len(periods) > 1 else 0.0,
    }
    if grid.kind == "loop":
        out["loop"] = 1.0
    elif grid.seconds <= LOOP_SECONDS:
        bars = grid.seconds * tempo / 240
        out["loop"] = float(min(abs(bars / n - 1) for n in LOOP_BARS) < LOOP_TOLERANCE and start < 0.05)
    total = np.bincount(grid.group, grid.weight, 5)
    for name, index in (("kick", 0), ("snare", 1), ("hat", 2), ("tom", 3), ("cymbal", 4)):
        mine = grid.group == index
        shares = np.bincount(role[mine], grid.weight[mine], len(ROLES)) / max(total[index], 1e-9)
        for r in range(1, len(ROLES)) if index < 3 else ():
            out[f"{name}.{ROLES[r]}"] = float(shares[r])
        if index < 3 and mine.any():
            density = float(np.log2(mine.sum() / beats))
            out |= {f"{name}.density": density, f"{name}.density2": density**2}
    everything = np.bincount(role, grid.weight, len(ROLES)) / max(grid.weight.sum(), 1e-9)
    out |= {f"all.{ROLES[r]}": float(everything[r]) for r in range(1, len(ROLES))}
    return out


def _bar_features(
    grid: _Grid, step: np.ndarray, place: np.ndarray, metre: int, beats: int
) -> dict[str, float]:
    """Shares of each group on each sixteenth of the bar; how regular kick and snare are on its beats."""
    out = {f"metre{metre}": 1.0}
    sixteenth = SIXTEENTH_OF_STEP[step]
    bars = max(beats / metre, 1.0)
    for name, index in (("kick", 0), ("snare", 1), ("hat", 2), ("cymbal", 4)):
        mine = (grid.group == index) & (sixteenth >= 0)
        total = max(float(grid.weight[grid.group == index].sum()), 1e-9)
        spot = place[mine] * 4 + sixteenth[mine]
        shares = np.bincount(spot, grid.weight[mine], 4 * metre) / total
        counts = np.minimum(np.bincount(spot, minlength=4 * metre) / bars, 1.0)
        for k in range(4 * metre):
            if index < 2 or k % 2 == 0:
                out[f"{name}{metre}.share{k}"] = float(shares[k])
            if index < 2 and k % 4 == 0:
                out[f"{name}{metre}.rate{k}"] = float(counts[k])
    return out


def _repetition(position: np.ndarray, grid: _Grid) -> dict[int, dict[str, float]]:
    """How alike kick and snare are to themselves one bar, and half a bar, later: 0..1, per metre."""
    step = np.rint((position - position.min()) * STEPS).astype(int)
    out: dict[int, dict[str, float]] = {metre: {} for metre in METRES}
    rows = []
    for index in (0, 1):
        mine = grid.group == index
        row = np.bincount(step[mine], grid.weight[mine], step.max() + 1)
        rows.append(np.convolve(row, [0.5, 1.0, 0.5], mode="same"))
    energy = sum(float(row @ row) for row in rows)

    def alike(beats: int) -> float:
        lag = beats * STEPS
        if energy == 0 or lag >= len(rows[0]):
            return 0.0
        # Normalised by the energy of the overlapping parts: short files are not punished.
        product = sum(float(row[lag:] @ row[:-lag]) for row in rows)
        norms = [
            sum(float(part @ part) for part in parts)
            for parts in zip(*[(r[lag:], r[:-lag]) for r in rows], strict=True)
        ]
        return product / max(float(np.sqrt(norms[0] * norms[1])), 1e-9)

    for metre in METRES:
        out[metre] = {"bar": alike(metre), "bars": alike(2 * metre), "beat": alike(1)}
    out[4]["half"] = alike(2)
    out[4]["other"], out[3]["other"] = alike(3), alike(4)
    return out
