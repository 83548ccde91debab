"""lmms-common: recorded drums, bass and guitar loops, and drum synthesiser presets."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dose.sources.cleaning import read
from dose.sources.item import SourceItem
from dose.sources.library import kind_of
from dose.sources.synth import drumsynth

LICENCE, AUTHOR = "GPL-2+", "the LMMS developers"
SAMPLES = (
    (re.compile(r"drums/(bassdrum|kick)\w*"), "kick", ""),
    (re.compile(r"drums/(nasty_)?snare(?!_rim)\w*"), "snare", ""),
    (re.compile(r"drums/hihat_closed\d*"), "hihat", "closed"),
    (re.compile(r"drums/hihat_foot_pedal\d*"), "hihat", "pedal"),
    (re.compile(r"drums/hihat_opened\d*"), "hihat", "open"),
    (re.compile(r"drums/(hand)?clap\w*"), "clap", ""),
    (re.compile(r"drums/tom\w*"), "tom", ""),
    (re.compile(r"drums/crash\w*"), "cymbal", "crash"),
    (re.compile(r"drums/ride\w*"), "cymbal", "ride"),
    (re.compile(r"drums/(snare_rim|nasty_rim|rim|sidestick|wood|shaker)\w*"), "percussion", ""),
    (re.compile(r"(bassloops|basses)/\w+|instruments/bassslap\d*"), "bass", ""),
    (re.compile(r"latin/latin_guitar\d*|instruments/steel_guitar\w*"), "guitar", ""),
    (re.compile(r"instruments/(piano|e_piano|harpsichord)\w*"), "piano", ""),
    (re.compile(r"stringsnpads/rave_choir\d*"), "vocal", ""),
)
# By the preset's name; read in order, the first that matches decides. What is no single drum comes first.
PRESETS = (
    (re.compile(r"snare&hat|hihatopclo|(^|_)(what|that)_"), "", ""),
    (re.compile(r"clap"), "clap", ""),
    (re.compile(r"rim|shak|tamb|bell|stk|cowb"), "percussion", ""),
    (re.compile(r"tom"), "tom", ""),
    (re.compile(r"ride|cym"), "cymbal", ""),
    (re.compile(r"kick|kik|(^|_)bd(_|$|\d)|\d+bd|bass_drum|bassdrum|(^|_)k_|simple-k|_k$"), "kick", ""),
    (re.compile(r"snare|snr|(^|_)sn(_|$|\d)|(^|_)s_|simple-s$|_s$"), "snare", ""),
    (re.compile(r"(hat|hh|hi-hat).*(open|_o2?$|-o2?$)|open.*(hat|hh)|_oh$|simple-o$"), "hihat", "open"),
    (re.compile(r"hat|(^|_)h+h(_|$)|h_closed|simple-h$"), "hihat", "closed"),
    (re.compile(r"h_open"), "hihat", "open"),
)


def source_items(root: Path, package: str, version: str) -> Iterator[SourceItem]:
    """`root` is the unpacked package; recorded samples first, presets after."""
    # The package's own layout, or a folder that was unpacked without it.
    samples = next(iter(sorted(root.rglob("lmms/samples"))), root)
    for path in sorted(samples.rglob("*.ogg")):
        place = path.relative_to(samples).with_suffix("").as_posix()
        if found := _label(SAMPLES, place):
            cls, variant = found
            yield _item(
                path,
                place,
                cls,
                variant,
                load=lambda p=path, c=cls: read(p, kind_of(c)),  # type: ignore[misc]
                group="lmms-timgm" if place.startswith("drums/") else "lmms-loops",
                kit="lmms",
                package=package,
                version=version,
            )
    for path in sorted((samples / "drumsynth").rglob("*.ds")):
        if found := _label(PRESETS, path.stem.lower(), whole=False):
            yield _item(
                path,
                f"drumsynth/{path.parent.name}/{path.stem}",
                *found,
                load=lambda p=path: drumsynth.render_file(p),  # type: ignore[misc]
                group=f"drumsynth/{path.parent.name}",
                kit=f"drumsynth {path.parent.name}",
                package=package,
                version=version,
            )


def _label(
    rules: tuple[tuple[re.Pattern[str], str, str], ...], name: str, whole: bool = True
) -> tuple[str, str] | None:
    for pattern, cls, variant in rules:
        if pattern.fullmatch(name) if whole else pattern.search(name):
            return (cls, variant) if cls else None
    return None


def _item(
    path: Path, name: str, cls: str, variant: str, *, load: Callable[[], np.ndarray], **record: str
) -> SourceItem:
    return SourceItem(
        name=f"lmms {name}",
        cls=cls,
        variant=variant,
        load=load,
        source="debian",
        author=AUTHOR,
        licence=LICENCE,
        attribution="LMMS samples by the LMMS developers (GPL-2+)",
        synthetic=path.suffix == ".ds",
        origin=f"{record['package']}: {name}{path.suffix}",
        group=record["group"],
        kit=record["kit"],
        package=record["package"],
        version=record["version"],
    )
