"""The data card: composition and statistics of the data, as JSON and as a self-contained page."""

import base64
import html
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dose import audio, files
from dose.drums import DRUMS, INSTRUMENTS, MIX_SECONDS, OTHER_DRUMS
from dose.rmod import table
from dose.rmod.build import summary
from dose.rmod.card import comparison
from dose.rmod.card.comparison_plot import plot
from dose.rmod.config import RmodConfig
from dose.rmod.dataset import DATASETS, items
from dose.rmod.draw import draw_many
from dose.rmod.mix_spec import MixSpec

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

MEASURED = 200  # items of a set whose sound is measured: enough for a histogram, by hand
DRY = "rmod_drums"
SETS = {
    "val": "val",
    "rmod": "test",
    "rmod_drums": "test, drums only",
    "groove": "groove",
    "realistic": "realistic",
    "realistic_drums": "realistic, drums only",
}


def write_card(config: RmodConfig, library: "SampleLibrary", root: Path) -> dict[str, Any]:
    """Writes card.json and card.html beside the data that `build` made; gives what card.json holds."""
    card = {
        **summary(config, library),
        "clips": _clips(library),
        "mix_specs": _mix_specs(config, library),
        "distributions": comparison.compare(config, library),
        "sound": {name: _sound(root, name) for name in SETS},
        "schema": _schema(root),
    }
    files.write_json(root / "card.json", card)
    with files.atomic(root / "card.html") as beside:
        beside.write_text(_page(card, library))
    return card


def _clips(library: "SampleLibrary") -> dict[str, Any]:
    """Counts of clips by class and split, licence and kit."""
    by_class = Counter((c.cls, c.split) for c in library.clips)
    return {
        "class": {
            cls: {split: by_class[cls, split] for split in ("train", "val", "test")}
            for cls in DRUMS + OTHER_DRUMS + INSTRUMENTS
        },
        "licence": dict(sorted(Counter(c.licence for c in library.clips).items())),
        "kit": dict(sorted(Counter(f"{c.kit} ({c.split})" for c in library.clips).items())),
    }


def _mix_specs(config: RmodConfig, library: "SampleLibrary") -> dict[str, Any]:
    """Histograms over the first mix specifications of the test split, or of train where there is no test."""
    split = "test" if config.test else "train"
    count = min(getattr(config, split), 2000)
    specs = list(draw_many(config, library, split, 0, count))
    # Seconds.
    onsets = {d: [o / audio.RATE for r in specs for o in r.drums[d].onsets] for d in DRUMS}
    return {
        "split": split,
        "count": count,
        "hits_per_mix": {d: _count(len(r.drums[d].onsets) for r in specs) for d in DRUMS},
        "tracks_per_mix": _count(3 + len(r.loops) for r in specs),
        "playing": {i: sum(i in r.loops for r in specs) for i in INSTRUMENTS},
        "layered": {d: sum(len(r.drums[d].layers) == 2 for r in specs) for d in DRUMS},
        "onsets_per_quarter_second": {
            d: np.histogram(onsets[d], 16, (0, MIX_SECONDS))[0].tolist() for d in DRUMS
        },
        "sounding_at_once": _count(n for r in specs for n in _polyphony(r)),
    }


def _count(values: Iterable[int]) -> dict[str, int]:
    return {str(k): v for k, v in sorted(Counter(values).items())}


def _polyphony(spec: MixSpec) -> list[int]:
    """Tracks that sound at each tenth of a second; a hit sounds for 1 s, or until the next."""
    # [40]; every instrument that plays fills the whole mix.
    times = np.arange(0, MIX_SECONDS, 0.1)
    total = np.full(times.size, len(spec.loops))
    for drum in spec.drums.values():
        starts = np.array(drum.onsets) / audio.RATE
        total += ((times[:, None] >= starts) & (times[:, None] < starts + 1)).any(axis=1)
    counts: list[int] = total.tolist()
    return counts


def _sound(root: Path, dataset: str) -> dict[str, Any]:
    """Level (dBFS, RMS) and spectral centroid (Hz) of mixes and one-shots; up to MEASURED items."""
    found: dict[str, list[float]] = {}
    written = (root / "audio" / DATASETS[dataset]).is_dir()  # a set of no items leaves no folder
    chosen = items(root, dataset)[:MEASURED] if written else []
    for item in chosen:
        for name, path in (("mix", item.mix_path), *item.shots.items()):
            x = audio.read(path)
            found.setdefault(f"{name} level dBFS", []).append(float(audio.db(np.sqrt(np.mean(x**2)))))
            found.setdefault(f"{name} centroid Hz", []).append(_centroid(x))
    rounded = {name: [round(v, 1) for v in values] for name, values in found.items()}
    return {"items": len(chosen), **rounded}


def _centroid(x: np.ndarray) -> float:
    # The mean frequency, weighted by power; silence gives 0.
    power = np.abs(np.fft.rfft(x)) ** 2
    return float(np.sum(power * np.fft.rfftfreq(x.size, 1 / audio.RATE)) / max(power.sum(), 1e-20))


def _schema(root: Path) -> str:
    import pyarrow.parquet as pq

    path = next(iter(sorted((root / table.FOLDER).glob("*/*.parquet"))), None)
    return pq.read_schema(path).to_string(show_field_metadata=False) if path else ""


def _page(card: dict[str, Any], library: "SampleLibrary") -> str:
    counts, specs, compared = card["clips"], card["mix_specs"], card["distributions"]
    # Attribution lines that the licences ask for, each once.
    credit = sorted({c.attribution for c in library.clips if c.attribution})
    facts = {
        "data id": card["data_id"],
        "sample library id": card["library"],
        "code version": card["code"],
        "seed": card["seed"],
        "items": ", ".join(f"{n} {split}" for split, n in card["items"].items()),
        "groove test set": card["groove"],
    }
    parts = [
        "<!doctype html><meta charset=utf-8><title>RMOD data card</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.15rem .8rem;text-align:left;"
        "border-bottom:1px solid #ddd}img{width:100%}pre{overflow:auto;background:#f6f6f6;padding:1rem}"
        "</style><h1>RMOD data card</h1>",
        "<p>Pairs of a four-second mix and the kick, snare and hi-hat one-shots in it, drawn from a seed. "
        "The clips are this project's sample library, not the paper's.</p>",
        _table(("", ""), facts.items()),
        "<h2>Clips</h2>",
        _table(
            ("class", "train", "val", "test"),
            ((c, *n.values()) for c, n in counts["class"].items()),
        ),
        _table(("licence", "clips"), counts["licence"].items()),
        f"<h2>Mix specifications</h2><p>The first {specs['count']} of {specs['split']}.</p>",
        f'<img alt="histograms of mix specifications" src="{_spec_plot(specs)}">',
        "<h2>The realistic distribution beside the paper's</h2><p>Transcription is trained on mixes that are "
        f"nearer to music (docs/rmod.md). Of both, the first mixes of {compared['split']}: "
        f"{compared['paper']['count']} and {compared['realistic']['count']}.</p>",
        _table(("realistic mixes", "share"), comparison.facts(compared)),
        _table(("style", "mixes"), compared["realistic"]["styles"].items()),
        f'<img alt="histograms of both distributions" src="{_png(plot(compared))}">',
        f"<h2>Sound</h2><p>Up to {MEASURED} items of each written set.</p>",
        f'<img alt="histograms of sound" src="{_sound_plot(card["sound"])}">',
        "<h2>Kits</h2>",
        _table(("kit (split)", "clips"), counts["kit"].items()),
        "<h2>Credits</h2><ul>" + "".join(f"<li>{html.escape(line)}" for line in credit) + "</ul>",
        "<h2>Schema of a mix specification</h2><pre>" + html.escape(card["schema"]) + "</pre>",
    ]
    return "\n".join(parts)


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    def line(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(r, "td") for r in rows) + "</table>"


def _spec_plot(specs: dict[str, Any]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for drum in DRUMS:
        hits = specs["hits_per_mix"][drum]
        axes[0].bar([int(k) for k in hits], hits.values(), label=drum, alpha=0.6)
        axes[1].stairs(specs["onsets_per_quarter_second"][drum], np.arange(17) / 4, label=drum)
    axes[0].set(title="hits per mix", xlabel="hits", ylabel="mixes")
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    axes[1].set(
        title="onsets", xlabel="seconds into the mix", ylabel="hits per quarter second", ylim=(0, None)
    )
    bars = (
        ("tracks_per_mix", "tracks per mix", "tracks", "mixes"),
        ("sounding_at_once", "polyphony", "tracks sounding at once", "tenths of a second"),
        ("playing", "instruments that play", "", "mixes"),
        ("layered", "drums made of two samples", "", "mixes"),
    )
    for axis, (key, title, xlabel, ylabel) in zip(axes[2:], bars, strict=True):
        axis.bar(specs[key].keys(), specs[key].values())
        axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes[0].legend()
    axes[1].legend()
    return _png(figure)


def _sound_plot(sound: dict[str, Any]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    axes = figure.subplots(2, 4)
    for row, measure in enumerate(("level dBFS", "centroid Hz")):
        for column, name in enumerate(("mix", *DRUMS)):
            values = {
                label: found
                for dataset, label in SETS.items()
                # The one-shots of the drums-only set are those of the test set.
                if (found := sound[dataset].get(f"{name} {measure}")) and (column == 0 or dataset != DRY)
            }
            # One set of bins for all sets, so that their outlines can be compared.
            bins = np.histogram_bin_edges([v for found in values.values() for v in found], 20)
            for i, (label, found) in enumerate(values.items()):
                share = np.histogram(found, bins)[0] * 100 / len(found)
                color = f"C{list(SETS.values()).index(label)}"
                axes[row, column].stairs(share, bins, label=label, color=color, linewidth=2.5 - 0.5 * i)
            unit = "RMS level, dBFS" if row == 0 else "spectral centroid, Hz"
            axes[row, column].set(title=name, xlabel=unit, ylabel="" if column else "% of the set's items")
            axes[row, column].locator_params(axis="x", nbins=5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return _png(figure)


def _png(figure: Any) -> str:
    """The figure as a data URL."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
