"""A study's results: paired estimates against `base`, a Markdown table and a plot."""

from pathlib import Path
from typing import Any

import numpy as np

from dose import files
from dose.metrics.bootstrap import mean_difference, mean_estimate, resamples

BASE = "base"
# Ways to a one-shot: greedy decoding (the paper's); one sample, averaged over all; the medoid of the samples;
# the sample nearest to the expected spectrogram, spectrally matched; that blended with the input mix, as
# extraction returns it.
METHODS = ("greedy", "sample", "medoid", "matched", "blended")
METRICS = ("mss", "attack")  # attack error in ms
DIFFERENCES = (("mss", "sample"), ("mss", "matched"), ("mss", "blended"), ("attack", "sample"))
RESAMPLES = 2000  # of the bootstrap intervals


def estimates(scores: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, Any]:
    """Means of scores [items] and of their paired differences to base, with 95 % intervals.

    Keys are "mss_sample", "mss_sample_low", "mss_sample_high", "mss_sample_minus_base" and so on.
    """
    out: dict[str, Any] = {}
    for name, values in scores.items():
        counts = resamples(len(values), RESAMPLES, 0)
        found = {"": mean_estimate(values, counts)}
        if base is not scores:
            found["_minus_base"] = mean_difference(values, base[name], counts)
        for suffix, e in found.items():
            assert e is not None
            out |= {name + suffix: e.value, f"{name}{suffix}_low": e.low, f"{name}{suffix}_high": e.high}
    return out


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: a line per variant; MSS by method, and differences to base with intervals."""
    heads = ["", "parameters, M", "pairs", "steps", "loss", "onset loss", "conditioning gap"]
    heads += ["spectrogram loss", *METHODS]
    heads += [f"{metric} {method} - base" for metric, method in DIFFERENCES]
    lines = [heads, ["---"] * len(heads)]
    for label, row in rows.items():
        columns = [f"{row['parameters'] / 1e6:.1f}", f"{row['pairs']}", f"{row['steps']}"]
        columns += [f"{row[m]:.3f}" for m in ("val/loss", "val/onset_loss")]
        columns += [f"{row['val/conditioning_gap']:.4f}"]
        columns += [f"{row['val/spectrogram_loss']:.3f}" if "val/spectrogram_loss" in row else ""]
        columns += [f"{row[f'mss_{method}']:.2f}" for method in METHODS]
        columns += [_difference(row, f"{metric}_{method}") for metric, method in DIFFERENCES]
        lines.append([label, *columns])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def summary(drum: str, label: str, row: dict[str, Any]) -> str:
    """One line for the terminal."""
    mss = "  ".join(f"{method} {row[f'mss_{method}']:.2f}" for method in METHODS)
    return f"{drum:6s} {label:32s} loss {row['val/loss']:.3f}  {mss}  {_difference(row, 'mss_blended')}"


def _difference(row: dict[str, Any], name: str) -> str:
    if f"{name}_minus_base" not in row:
        return ""
    value, low, high = _minus_base(row, name)
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _minus_base(row: dict[str, Any], name: str) -> list[float]:
    """A difference to base, and the ends of its interval."""
    return [row[f"{name}_minus_base{suffix}"] for suffix in ("", "_low", "_high")]


def plot(rows: dict[str, dict[str, Any]], title: str, path: Path) -> None:
    """A line per variant: its MSS minus base's, spectrally matched and blended, with 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    variants = {label: row for label, row in rows.items() if label != BASE}
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.28 * len(variants)), layout="constrained")
    for method, colour, shift in (("matched", "tab:gray", 0.12), ("blended", "tab:blue", -0.12)):
        differences = [_minus_base(row, f"mss_{method}") for row in variants.values()]
        middle, low, high = np.array(differences).reshape(-1, 3).T
        place = np.arange(len(variants)) + shift
        error = (middle - low, high - middle)
        axes.errorbar(middle, place, xerr=error, fmt="o", color=colour, label=method)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(variants)), list(variants))
    axes.invert_yaxis()
    axes.set(xlabel="MSS to the reference one-shot minus base's; left is better", title=title)
    axes.legend()
    axes.grid(axis="x", alpha=0.3)
    with files.atomic(path) as beside:
        figure.savefig(beside, format="png", dpi=110)
    plt.close(figure)
