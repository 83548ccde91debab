"""Histograms for `dose.rmod.card.comparison`: both distributions, one over the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dose.drums import DRUMS
from dose.rmod.card.comparison import INTERVAL_EDGES, PAPER, REALISTIC, SIXTEENTHS, TEMPO_EDGES

COLOURS = {PAPER: "C7", REALISTIC: "C1"}


def plot(compared: Mapping[str, Any]) -> Any:
    """A matplotlib figure of what `compare` gives."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    axes = figure.subplots(3, 4).ravel()
    for axis, drum in zip(axes, DRUMS, strict=False):
        found = {side: compared[side]["hits_per_4_s"].get(drum, {}) for side in (PAPER, REALISTIC)}
        _counts(axis, found, f"{drum}: hits per 4 s", "hits")
    _means(axes[3], compared)
    for side, colour in COLOURS.items():
        share = _percent(compared[side]["intervals"])
        axes[4].stairs(share, INTERVAL_EDGES * 1000, color=colour, linewidth=1.5)
    axes[4].set(title="time to the next onset", xlabel="ms", ylabel="% of the onsets", xscale="log")
    for drum in DRUMS:
        share = _percent(compared[REALISTIC]["bar_positions"][drum])
        axes[5].plot(range(1, SIXTEENTHS + 1), share, marker=".", label=drum)
    axes[5].set(title="realistic: onsets in a bar of 4/4", xlabel="sixteenth", ylabel="% of the drum's hits")
    axes[5].legend()
    for axis, key, title in (
        (axes[6], "hats_to_kick_db", "peak of the hats against the kick"),
        (axes[7], "drums_to_backing_db", "drums against the rest, RMS"),
    ):
        _levels(axis, {side: compared[side][key] for side in COLOURS}, title)
    for axis, key, title, unit in (
        (axes[8], "classes_per_mix", "drum classes per mix", "classes"),
        (axes[9], "struck_together", "classes struck together", "classes within 30 ms"),
        (axes[10], "sounding_at_once", "polyphony", "sounds at once"),
    ):
        _counts(axis, {side: compared[side][key] for side in COLOURS}, title, unit)
    _styles(axes[11], compared[REALISTIC])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _counts(axis: Any, found: Mapping[str, Mapping[str, int]], title: str, unit: str) -> None:
    """Bars of counts by a whole number."""
    for side, counts in found.items():
        axis.bar(
            [int(k) for k in counts], _percent(list(counts.values())), label=side, color=COLOURS[side],
            alpha=0.6, width=0.9,
        )  # fmt: skip
    axis.set(title=title, xlabel=unit, ylabel="%")
    axis.xaxis.get_major_locator().set_params(integer=True)


def _means(axis: Any, compared: Mapping[str, Any]) -> None:
    """Mean hits of every class, in mixes with drums."""
    classes = list(compared[REALISTIC]["hits_per_4_s"]) or list(DRUMS)
    for offset, (side, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        means = []
        for name in classes:
            counts = compared[side]["hits_per_4_s"].get(name, {})
            total = sum(int(k) * n for k, n in counts.items())
            means.append(total / max(sum(counts.values()), 1))
        axis.bar(np.arange(len(classes)) + offset, means, 0.4, color=colour, alpha=0.6)
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axis.set(title="hits per 4 s, mean", ylabel="hits")


def _levels(axis: Any, found: Mapping[str, list[float]], title: str) -> None:
    edges = np.histogram_bin_edges([v for values in found.values() for v in values], 20)
    for side, values in found.items():
        axis.stairs(_percent(np.histogram(values, edges)[0]), edges, color=COLOURS[side], linewidth=1.5)
    axis.set(title=title, xlabel="dB", ylabel="% of the mixes")


def _styles(axis: Any, own: Mapping[str, Any]) -> None:
    """Tempi, and the number of styles they come from."""
    axis.stairs(_percent(own["tempi"]), TEMPO_EDGES, color=COLOURS[REALISTIC], fill=True, alpha=0.6)
    axis.set(
        title=f"realistic: tempi of {len(own['styles'])} styles", xlabel="BPM", ylabel="% of mixes with drums"
    )


def _percent(counts: Any) -> np.ndarray:
    values = np.asarray(counts, float)
    shares: np.ndarray = 100 * values / max(values.sum(), 1)
    return shares
