"""The scores as text for a terminal, in Markdown."""

from collections.abc import Mapping, Sequence

from dose.evaluate.transcription.scoring import FOUND, MICRO, Scores
from dose.metrics.bootstrap import Estimate

NOTES = (
    "F: onset F-measure over the corpus (matched, false and missed onsets summed over all mixes); mean F: "
    "mean of the mixes' own. Brackets: 95 % bootstrap interval over items."
)
# Metric -> heading and factor.
MIX_COLUMNS = {
    "f_50ms": "F 50 ms", "precision_50ms": "precision", "recall_50ms": "recall", "f_20ms": "F 20 ms",
    "mean_f_50ms": "mean F 50 ms",
}  # fmt: skip
GENERAL_COLUMNS = {
    "velocity_error_scaled": "velocity error, scaled", "velocity_error_raw": "raw",
    "snare_ghost_recall": "ghost-note recall", "tempo_accuracy_1": "tempo 4 %",
    "tempo_accuracy_2": "tempo, octaves allowed",
}  # fmt: skip
DRUM_FREE_COLUMNS = {
    "false_drums": "any drum", "false_kick": "kick", "false_snare": "snare", "false_hihat": "hihat",
}  # fmt: skip
PRESENCE_COLUMNS = {
    "detected_with": "detected when it is there", "detected_without": "when it was taken out",
    "right": "right answers",
}  # fmt: skip
SINGLE_COLUMNS = {"named_right": "named right", "hits_found": "hits found", "others": "others reported"}


def of_mixes(title: str, size: int, systems: Mapping[str, Scores]) -> str:
    """F per class with MICRO first, then velocity, ghost notes and tempo where the data set knows them."""
    lines = [f"## {title}, {size} mixes", ""]
    classes = list(dict.fromkeys(cls for scores in systems.values() for cls in scores if cls != "all"))
    for cls in (MICRO, *(c for c in classes if c != MICRO)):
        rows = {name: scores[cls] for name, scores in systems.items() if cls in scores}
        lines += _table(cls, rows, MIX_COLUMNS)
    general = {name: scores["all"] for name, scores in systems.items() if scores.get("all")}
    if general:
        lines += _table("velocity in MIDI units, tempo", general, GENERAL_COLUMNS, digits=2)
    return "\n".join(lines)


def of_drum_free(size: int, systems: Mapping[str, Scores]) -> str:
    """False drums per hundred sounds, then by kind of sound."""
    lines = [f"## Sounds without drums, {size}: false drums per hundred", ""]
    lines += _table(
        "system", {n: s["all"] for n, s in systems.items()}, DRUM_FREE_COLUMNS, scale=100, digits=1
    )
    kinds = list(dict.fromkeys(kind for scores in systems.values() for kind in scores if kind != "all"))
    rows = [["kind", *systems]]
    rows += [
        [kind, *(_short(s.get(kind, {}).get("false_drums"), 100, 1) for s in systems.values())]
        for kind in kinds
    ]
    return "\n".join([*lines, *_aligned(rows), ""])


def of_single_drums(size: int, systems: Mapping[str, Scores]) -> str:
    """Share of sounds that are named right, and of those in which others are reported."""
    lines = [
        f"## Single drums, {size} sounds: named right ({FOUND:.0%} of the hits, or detected)",
        "",
    ]
    for drum in dict.fromkeys(drum for scores in systems.values() for drum in scores):
        rows = {name: scores[drum] for name, scores in systems.items() if drum in scores}
        lines += _table(drum, rows, SINGLE_COLUMNS)
    return "\n".join(lines)


def of_presence(size: int, systems: Mapping[str, Scores]) -> str:
    """Per drum: how often it is detected in a mix, with it and without it."""
    lines = [f"## Presence, {size} answers on mixes with instruments", ""]
    for drum in dict.fromkeys(drum for scores in systems.values() for drum in scores):
        rows = {name: scores[drum] for name, scores in systems.items() if drum in scores}
        lines += _table(drum, rows, PRESENCE_COLUMNS)
    return "\n".join(lines)


def _table(
    corner: str,
    rows: Mapping[str, Mapping[str, Estimate]],
    columns: Mapping[str, str],
    *,
    scale: float = 1.0,
    digits: int = 3,
) -> list[str]:
    shown = {m: heading for m, heading in columns.items() if any(m in values for values in rows.values())}
    table = [[corner, *shown.values()]]
    table += [[name, *(_short(values.get(m), scale, digits) for m in shown)] for name, values in rows.items()]
    return [*_aligned(table), ""]


def _short(estimate: Estimate | None, scale: float, digits: int) -> str:
    if estimate is None:
        return "–"
    value, low, high = (f"{scale * x:.{digits}f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns are as wide as their widest text; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
