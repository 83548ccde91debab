"""The table as Markdown and LaTeX, beside the paper's."""

from collections.abc import Sequence

from dose.drums import DRUMS
from dose.evaluate import paper
from dose.evaluate.results import TRUTH, Results
from dose.metrics.statistics import Estimate

# column -> (heading, digits); those that are absent from all cells are left out, except for lacking weights
METRICS = {
    "mss": ("MSS", 3),
    "mss_log": ("MSS log", 2),
    "lsd_db": ("LSD dB", 1),
    "envelope_db": ("envelope dB", 1),
    "attack_ms": ("attack ms", 1),
    "class_check": ("class check", 2),
    "copy_db": ("nearest dB", 1),
    "nearer": ("nearer than truth", 2),
    "silent": ("silent", 2),
}
SETS = {
    "fad": ("FAD", 3),
    "fad_inf": ("FAD inf", 3),
    "kad": ("KAD", 2),
}
SUMMARY = ("mss", "fad_codec")
NETWORKS = {"codec": "codec", "vggish": "VGGish", "clap": "CLAP", "encodec": "EnCodec"}
TITLES = {
    "rmod": "RMOD",
    "rmod_drums": "RMOD, drums only",
    "groove": "Groove",
}


def columns(results: Results) -> dict[str, tuple[str, int]]:
    """metric -> (heading, digits), in the table's order, with the set metrics of absent networks kept."""
    present = {
        m for rows in results.cells.values() for drums in rows.values() for c in drums.values() for m in c
    }
    out = {metric: head for metric, head in METRICS.items() if metric in present}
    for network, title in NETWORKS.items():
        for metric, (heading, digits) in SETS.items():
            name = f"{metric}_{network}"
            if name in present or (network in results.lacking and metric == "fad"):
                out[name] = (f"{heading} {title}", digits)
    return out


def summary(results: Results, title: str = "Scores") -> str:
    """The two figures of the paper's table that a fresh clone has, in columns that a terminal shows whole."""
    lines = [f"# {title}", "", "Lower is better. Brackets: 95 % bootstrap interval over items.", ""]
    if results.about:
        lines += [results.about, ""]
    heads = columns(results)
    for dataset, rows in results.cells.items():
        for metric in (m for m in SUMMARY if m in heads):
            n = max(
                (c[metric].n for drums in rows.values() for c in drums.values() if metric in c), default=0
            )
            cells = [[f"{heads[metric][0]}, {n} items", *DRUMS]]
            for row in (r for r in rows if r != TRUTH):
                found = [rows[row].get(drum, {}).get(metric) for drum in DRUMS]
                cells.append([row, *(_short(e) if e else _absent(results, metric) for e in found)])
            cells += [[row, *["no weights"] * len(DRUMS)] for row in _absent_rows(results)]
            lines += [f"## {TITLES.get(dataset, dataset)}: {heads[metric][0]}", "", *_aligned(cells), ""]
    lines += [f"- {row}: {results.lacking[row]}" for row in _absent_rows(results)]
    return "\n".join(lines).rstrip() + "\n"


def _absent_rows(results: Results) -> list[str]:
    return [name for name in results.lacking if name not in NETWORKS]


def _short(estimate: Estimate) -> str:
    """Three significant digits are more than the intervals allow."""
    low, value, high = (
        f"{x:.0f}" if abs(x) >= 100 else f"{x:.2f}" if abs(x) < 10 else f"{x:.1f}"
        for x in (estimate.low, estimate.value, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns are as wide as their widest cell; the first line is the head."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def markdown(results: Results, title: str = "Scores") -> str:
    """Everything there is to read: the summary, all scores, the paper's, gaps, exclusions."""
    lines = [
        summary(results, title),
        "# All metrics",
        "",
        "Lower is better, except for the class check. Brackets: 95 % bootstrap interval.",
        "",
    ]
    head = columns(results)
    for dataset, rows in results.cells.items():
        for drum in DRUMS:
            lines += _markdown_table(results, dataset, drum, rows, head)
    lines += _gaps(results) + _notes(results)
    return "\n".join(lines) + "\n"


def _markdown_table(results: Results, dataset: str, drum: str, rows, head) -> list[str]:
    lines = [f"## {TITLES.get(dataset, dataset)}, {drum}", ""]
    lines += [
        "| row | n | " + " | ".join(h for h, _ in head.values()) + " |",
        "|---|---|" + "---|" * len(head),
    ]
    for row, drums in rows.items():
        if drum not in drums:
            continue
        cell = drums[drum]
        n = max((e.n for e in cell.values()), default=0)
        texts = [_text(cell.get(m), digits, _absent(results, m)) for m, (_, digits) in head.items()]
        lines.append(f"| {row} | {n} | " + " | ".join(texts) + " |")
    for row, cells in paper.TABLE.get(dataset, {}).items():
        texts = [f"{cells[drum][m]:.3f}" if m in cells[drum] else "" for m in head]
        lines.append(f"| *paper's, on its own data: {row}* |  | " + " | ".join(texts) + " |")
    return [*lines, ""]


def _text(estimate: Estimate | None, digits: int, absent: str = "–") -> str:
    if estimate is None:
        return absent
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _absent(results: Results, metric: str) -> str:
    return "no weights" if any(metric.endswith(f"_{name}") for name in results.lacking) else "–"


def _gaps(results: Results) -> list[str]:
    if not results.gaps:
        return []
    lines = [
        "## Gap closed", "",
        "(baseline - row) / (baseline - Reconstruction) of MSS: 0 is the baseline, 1 the ceiling.", "",
        "| data | row | " + " | ".join(DRUMS) + " |", "|---|---|" + "---|" * len(DRUMS),
    ]  # fmt: skip
    for dataset, rows in results.gaps.items():
        for row, drums in rows.items():
            texts = [_text(drums.get(d, {}).get("mss"), 2) for d in DRUMS]
            lines.append(f"| {TITLES.get(dataset, dataset)} | {row} | " + " | ".join(texts) + " |")
        if dataset in paper.TABLE:
            texts = [f"{paper.gap_closed(dataset, d):.2f}" for d in DRUMS]
            lines.append(
                f"| {TITLES[dataset]} | *paper's, on its own data: DOSE against LarsNet* | "
                + " | ".join(texts)
                + " |"
            )
    return [*lines, ""]


def _notes(results: Results) -> list[str]:
    lines = ["## Notes", ""]
    lines += [f"- {NETWORKS.get(name, name)}: {reason}" for name, reason in results.lacking.items()]
    lines += [f"- {warning}" for warning in results.warnings]
    counts: dict[tuple[str, str, str, str], int] = {}
    for e in results.excluded:
        counts[e.dataset, e.row, e.drum, _kind(e.reason)] = (
            counts.get((e.dataset, e.row, e.drum, _kind(e.reason)), 0) + 1
        )
    lines += [f"- excluded: {n} x {d}, {row}, {drum}: {why}" for (d, row, drum, why), n in counts.items()]
    if not results.excluded:
        lines.append("- excluded: nothing")
    return [*lines, ""]


def _kind(reason: str) -> str:
    """A reason without its path and numbers, so that equal ones are counted together."""
    for kind in ("has no", "silent", "not finite", "samples; at least", "is not a sound file", "is known"):
        if kind in reason:
            return {"has no": "missing", "samples; at least": "too short", "is known": "no truth"}.get(
                kind, kind
            )
    return "unreadable"


def latex(results: Results) -> str:
    """The paper's layout (rows x drums, MSS and FAD), its own figures below ours."""
    metrics = [m for m in ("mss", "fad_codec", "fad_vggish", "fad_clap") if m in columns(results)]
    spec = "ll" + "r" * (len(metrics) * len(DRUMS))
    head = columns(results)
    groups = [rf"\multicolumn{{{len(DRUMS)}}}{{c}}{{{head[m][0]}}}" for m in metrics]
    lines = [
        "% Generated by the evaluate stage; figures in italics are the paper's own, on its own data.",
        rf"\begin{{tabular}}{{{spec}}}", r"\hline",
        "data & model & " + " & ".join(groups) + r" \\",
        " & & " + " & ".join(drum for _ in metrics for drum in DRUMS) + r" \\", r"\hline",
    ]  # fmt: skip
    for dataset, rows in results.cells.items():
        for row in (r for r in rows if r != TRUTH):
            cells = [rows[row].get(d, {}).get(m) for m in metrics for d in DRUMS]
            lines.append(_latex_row(dataset, row, [f"{c.value:.3f}" if c else "--" for c in cells]))
        for row, drums in paper.TABLE.get(dataset, {}).items():
            values = [drums[d].get(m) for m in metrics for d in DRUMS]
            texts = [rf"\textit{{{v:.3f}}}" if v is not None else "--" for v in values]
            lines.append(_latex_row(dataset, rf"\textit{{paper: {row}}}", texts))
        lines.append(r"\hline")
    return "\n".join([*lines, r"\end{tabular}", ""])


def _latex_row(dataset: str, row: str, texts: Sequence[str]) -> str:
    return f"{TITLES.get(dataset, dataset)} & {row} & " + " & ".join(texts) + r" \\"
