"""Swing: how late every second eighth or sixteenth is played.

Eighths swing in shuffle and jazz, sixteenths in funk and hip-hop. Hits are compared with grids of
both kinds and of every amount; the grid that explains them best is the answer, unless the straight one is
nearly as good.
"""

import dataclasses

import numpy as np

BINS = 240  # per beat, of the histogram that the grids are compared with
# Fractions of a subdivision: 1/3 is a triplet feel. A pair beyond 0.42 is notated as a
# dotted rhythm.
AMOUNTS = np.arange(0, 0.421, 0.01)
SPREAD = 0.012  # seconds: standard deviation of a hit about its grid position, as of practised drummers
SPREAD_BEATS = 0.02  # and at least this share of a beat
STRAY = 0.2  # share of hits that follow no grid
RARE = 0.3  # sixteenths against eighths, in rhythms that have few; by hand
GRIDS = ((2, True), (4, True), (4, False))  # subdivision that swings; whether sixteenths are rare
# Gain in log likelihood per hit over the straight grid below which a rhythm is called straight.
MIN_GAIN = 0.05
MIN_TOTAL_GAIN = 4.0  # and the same over all hits: a few stray hits fit some amount of swing by chance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Swing:
    amount: float  # fraction of the subdivision, 0..0.42
    subdivision: int  # 2 (eighths) or 4 (sixteenths)


def find_swing(position: np.ndarray, weight: np.ndarray, tempo: float) -> Swing:
    """From the hits' positions in beats [H], their weights [H] and the tempo in BPM."""
    bins = np.rint((position % 1) * BINS).astype(int) % BINS
    histogram = np.bincount(bins, weight, BINS)
    histogram = histogram / max(histogram.sum(), 1e-9)
    width = max(SPREAD * tempo / 60, SPREAD_BEATS)
    straight = max(_fit(histogram, _grid(s, 0.0, rare), width) for s, rare in GRIDS)
    best, gain = Swing(amount=0.0, subdivision=2), max(MIN_GAIN, MIN_TOTAL_GAIN / max(len(position), 1))
    for subdivision, rare in GRIDS:
        for amount in AMOUNTS[1:]:
            more = _fit(histogram, _grid(subdivision, amount, rare), width) - straight
            if more > gain:
                best, gain = Swing(amount=float(amount), subdivision=subdivision), more
    return best


def _grid(subdivision: int, amount: float, rare: bool) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the four sixteenths of a beat, 0..1, and the share of hits on each."""
    if subdivision == 4:
        positions = np.array([0, (1 + amount) / 4, 0.5, (3 + amount) / 4])
    else:
        late = (1 + amount) / 2
        # Sixteenths divide the long and the short eighth evenly.
        positions = np.array([0, late / 2, late, (1 + late) / 2])
    shares = np.array([1, RARE, 1, RARE]) if rare else np.ones(4)
    return positions, shares / shares.sum()


def _fit(histogram: np.ndarray, grid: tuple[np.ndarray, np.ndarray], width: float) -> float:
    """Mean log likelihood of the histogram [BINS] under normal distributions at the grid's positions."""
    distance = np.arange(BINS)[:, None] / BINS - grid[0]  # [BINS, 4]
    distance -= np.rint(distance)  # a beat is a circle
    density = np.exp(-0.5 * (distance / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return float(histogram @ np.log(STRAY + (1 - STRAY) * (density @ grid[1])))
