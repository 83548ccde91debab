"""Builds a listening page: sections, cases and cards with embedded audio."""

import base64
import html
import json
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dose import audio
from dose.evaluate.page.thumbnails import spectrogram_png, waveform_svg
from dose.metrics.one_shots import SAMPLES

TEMPLATE = Path(__file__).parent / "template.html"
TAIL = 3e-4  # -70 dBFS: what lies below it at the end of a one-shot is cut


class Document:
    """Collects cards; audio that occurs twice is stored once. One-shots are FLAC (lossless), mixes MP3."""

    def __init__(self) -> None:
        self.sounds: dict[str, str] = {}  # name -> data URI
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
        self, name: str, sound: np.ndarray, fact: str = "", *, mix: bool = False, reference: bool = False
    ) -> str:
        """`sound` [N] or [C, N]; `fact` is the line under the name."""
        mono = audio.downmix(sound)
        kind = " reference" if reference else ""
        return (
            f'<button class="card{kind}" aria-pressed="false" data-sound="{self._store(sound, mix)}">'
            f'<span class="name">{html.escape(name)}</span><span class="fact">{html.escape(fact)}</span>'
            f'{waveform_svg(mono)}<img alt="spectrogram" src="{spectrogram_png(mono)}"></button>'
        )

    def drawing(self, name: str, fact: str, svg: str) -> str:
        """A card without a sound; `svg` may be empty."""
        return (
            f'<div class="card"><span class="name">{html.escape(name)}</span>'
            f'<span class="fact">{html.escape(fact)}</span>{svg}</div>'
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
        # Mixes are long and only for orientation, so MP3; one-shots stay lossless.
        data = (
            audio.encoded(np.clip(sound, -1, 1), "MP3")
            if mix
            else audio.encoded(_without_tail(sound), "FLAC")
        )
        # Equal bytes get the name of their first occurrence.
        name = self._names.setdefault(base64.b85encode(data).decode(), f"s{len(self._names)}")
        self.sounds[name] = f"data:audio/{'mpeg' if mix else 'flac'};base64,{base64.b64encode(data).decode()}"
        return name


def _without_tail(shot: np.ndarray) -> np.ndarray:
    """[N] up to the last sample above TAIL, at least a tenth of a second."""
    loud = np.nonzero(np.abs(shot) > TAIL)[0]
    end = max(int(loud[-1]) + 1 if len(loud) else 0, SAMPLES // 10)
    return shot[..., :end]
