"""The listening page: one HTML file that needs no network, with sounds, waveforms and spectrograms inside.

Cases are chosen by rule, never by ear: for every data set and drum the items where the leading row's MSS is
lowest, in the middle and highest. One-shots are FLAC (exact), mixes MP3.
"""

import base64
import html
import json
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dose import audio, files
from dose.drums import DRUMS
from dose.errors import AudioError
from dose.evaluate.datasets import Item, read_outputs
from dose.evaluate.results import Entry, Results
from dose.evaluate.table import TITLES
from dose.evaluate.thumbnails import spectrogram_png, waveform_svg
from dose.metrics.shots import SAMPLES

TEMPLATE = Path(__file__).parent / "page" / "listening.html"
MAX_BYTES = 15_000_000
LEAD = (
    "Press a card to hear it, press again to stop. Every one-shot is scaled to the same peak. "
    "Cases are picked by rule: lowest, middle and highest MSS of the row “{row}” in each data set. "
    "Spectrograms: 50 Hz to 20 kHz, 80 dB."
)


class Page:
    """Collects cards; a sound that is used twice is stored once."""

    def __init__(self) -> None:
        self.sounds: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self.body: list[str] = []
        self.links: list[str] = []

    def section(self, anchor: str, heading: str, note: str = "") -> None:
        self.links.append(f'<a href="#{anchor}">{html.escape(heading)}</a>')
        self.body.append(f'<h2 id="{anchor}">{html.escape(heading)}</h2>')
        if note:
            self.body.append(f"<p>{html.escape(note)}</p>")

    def case(self, heading: str, cards: Sequence[str]) -> None:
        self.body.append(f'<h3>{html.escape(heading)}</h3><div class="case">{"".join(cards)}</div>')

    def card(
        self, name: str, sound: np.ndarray, fact: str = "", *, mix: bool = False, truth: bool = False
    ) -> str:
        """`sound` [N] or [C, N]."""
        mono = audio.downmix(sound)
        kind = " truth" if truth else ""
        return (
            f'<button class="card{kind}" aria-pressed="false" data-sound="{self._store(sound, mix)}">'
            f'<span class="name">{html.escape(name)}</span><span class="fact">{html.escape(fact)}</span>'
            f'{waveform_svg(mono)}<img alt="spectrogram" src="{spectrogram_png(mono)}"></button>'
        )

    def missing(self, name: str, reason: str) -> str:
        return (
            f'<button class="card" disabled><span class="name">{html.escape(name)}</span>'
            f'<span class="fact">{html.escape(reason)}</span></button>'
        )

    def render(self, title: str, lead: str) -> str:
        return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
            title=html.escape(title), lead=html.escape(lead), links=" ".join(self.links),
            body="\n".join(self.body), sounds=json.dumps(self.sounds),
        )  # fmt: skip

    def _store(self, sound: np.ndarray, mix: bool) -> str:
        data = (
            audio.encoded(np.clip(sound, -1, 1), "MP3")
            if mix
            else audio.encoded(_without_tail(sound), "FLAC")
        )
        name = self._names.setdefault(base64.b85encode(data).decode(), f"s{len(self._names)}")
        self.sounds[name] = f"data:audio/{'mpeg' if mix else 'flac'};base64,{base64.b64encode(data).decode()}"
        return name


def write_page(
    results: Results,
    datasets: dict[str, Sequence[Item]],
    entries: dict[str, Sequence[Entry]],
    path: Path,
    *,
    title: str = "DOSE: listening page",
) -> None:
    """Writes the page; data sets without truth show every item."""
    page = Page()
    leading = leading_row([e.name for rows in entries.values() for e in rows])
    for dataset, items in datasets.items():
        if any(item.shots for item in items):
            _dataset(page, results, dataset, items, entries[dataset], leading)
        else:
            _recordings(page, dataset, items, entries[dataset])
    text = page.render(title, f"{results.about} {LEAD.format(row=leading)}".strip())
    with files.atomic(path) as beside:
        beside.write_text(text, encoding="utf-8")


def leading_row(rows: Sequence[str]) -> str:
    """The row that picks the cases: DOSE where there is one, else the last row."""
    return "DOSE" if "DOSE" in rows else rows[-1]


def pick_cases(scores: np.ndarray) -> dict[str, int]:
    """Positions of the best, the median and the worst finite score; fewer when there are fewer items."""
    order = np.argsort(scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    if len(order) == 0:
        return {}
    picks = {"best": int(order[0]), "median": int(order[(len(order) - 1) // 2]), "worst": int(order[-1])}
    return {name: i for k, (name, i) in enumerate(picks.items()) if i not in list(picks.values())[:k]}


def _dataset(
    page: Page, results: Results, dataset: str, items: Sequence[Item], rows: Sequence[Entry], leading: str
) -> None:
    page.section(dataset, TITLES.get(dataset, dataset))
    for drum in DRUMS:
        scores = results.items.get((dataset, leading, drum))
        if scores is None:
            continue
        for name, i in pick_cases(scores["mss"]).items():
            item = items[i]
            cards = [
                page.card("mix", item.read_mix(), mix=True),
                page.card("truth", item.read_truth(drum), truth=True),
            ]
            for entry in rows:
                [output] = read_outputs(entry.folder, [item], drum)
                value = results.items.get((dataset, entry.name, drum), {}).get("mss", np.full(i + 1, np.nan))[
                    i
                ]
                fact = f"MSS {value:.3f}" if np.isfinite(value) else ""
                cards.append(_output_card(page, entry.name, output, fact))
            page.case(f"{drum}, {name} (item {item.index})", cards)


def _recordings(page: Page, dataset: str, items: Sequence[Item], rows: Sequence[Entry]) -> None:
    page.section(
        dataset, "Real recordings", "No truth is known here; nothing but the ear and the class check."
    )
    for item in items:
        cards = [page.card("recording", item.read_mix()[:, : 12 * audio.RATE], mix=True)]
        for entry in rows:
            for drum in DRUMS:
                [output] = read_outputs(entry.folder, [item], drum)
                if not isinstance(output, AudioError):  # Reconstruction has nothing without a truth
                    cards.append(page.card(f"{entry.name}: {drum}", output))
        page.case(item.name or f"recording {item.index}", cards)


def _output_card(page: Page, name: str, output: np.ndarray | AudioError, fact: str) -> str:
    return (
        page.missing(name, "no output") if isinstance(output, AudioError) else page.card(name, output, fact)
    )


def _without_tail(shot: np.ndarray) -> np.ndarray:
    """Up to the last sample above -70 dBFS, at least a tenth of a second."""
    loud = np.nonzero(np.abs(shot) > 3e-4)[0]
    end = max(int(loud[-1]) + 1 if len(loud) else 0, SAMPLES // 10)
    return shot[..., :end]
