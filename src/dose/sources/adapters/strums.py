"""Acoustic guitar strums (hydrogen-drumkits-effects): single chords, strung together into loops.

One strum lasts a second or two, less than the slices that mixes use, so STROKES strums of one chord (up, down
and plain strokes, drawn at random) make one loop. All strokes of a chord are in one split.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.sources.cleaning import read
from dose.sources.item import SourceItem

KIT, LICENCE, AUTHOR = "belofilms_GuitarStrums", "CC-BY-3.0", "Gabriel Verdugo Soto (belofilms.com)"
BEAT = 0.5  # s between strums: 120 strums a minute, by hand
STROKES = 8  # in a loop


def source_items(root: Path, package: str, version: str) -> Iterator[SourceItem]:
    """Two loops per chord: its strokes in two orders."""
    # groupby needs equal chords next to each other.
    files = sorted(p for folder in sorted(root.rglob(KIT)) for p in folder.glob("*.flac"))
    for chord, members in groupby(sorted(files, key=lambda p: (_chord(p), p.name)), _chord):
        paths = list(members)
        for index in range(2):
            yield SourceItem(
                name=f"{chord} strums {index}",
                cls="guitar",
                load=lambda p=paths, i=index: loop(p, i),  # type: ignore[misc]
                source="debian",
                group=f"strums/{chord}",
                package=package,
                version=version,
                kit=KIT,
                author=AUTHOR,
                licence=LICENCE,
                attribution=f"Guitar strums by {AUTHOR} (CC BY 3.0)",
                origin=f"{package}: {KIT}/{chord} {index}",
            )


def _chord(path: Path) -> str:
    """Such as "Csharp minor7b5", without stroke and number; a misspelt minor in the package is corrected."""
    return re.sub(r"(_(down|up))?_\d+(wav)?$", "", path.stem, flags=re.IGNORECASE).replace("minro", "minor")


def loop(paths: Sequence[Path], index: int) -> np.ndarray:
    """STROKES strums a BEAT apart, each two beats long, float64 [N]."""
    rng = np.random.Generator(np.random.Philox(key=[index, len(paths)]))
    beat = int(BEAT * RATE)
    out = np.zeros((STROKES + 2) * beat)
    for i in range(STROKES):
        strum: np.ndarray = read(paths[int(rng.integers(len(paths)))], "oneshot").astype(np.float64)
        # From the onset, two beats long, with a fade of a quarter beat.
        strum = audio.fade_out(strum[audio.lead_in(strum) :][: 2 * beat], beat // 4)
        out[i * beat : i * beat + len(strum)] += strum * rng.uniform(0.5, 1.0)
    return out
