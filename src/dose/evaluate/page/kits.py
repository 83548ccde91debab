"""A listening page of kits extracted from recordings, each beside its recording."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dose import audio, files
from dose.evaluate.page import groove
from dose.evaluate.page.document import Document
from dose.extract.result import Kit
from dose.extract.resynthesis import resynthesis
from dose.metrics.one_shots import prepare

TITLE = "Kits out of"  # `is_page` recognises pages by it
RECORDING_SECONDS = 12.0  # of a recording on the page
LEAD = (
    "Press a card to play it, press again to stop. The best one-shot of each drum, all at one peak level; "
    "models {version}. The source energy ratio is the share of a one-shot's energy that comes from the "
    "recording itself; the rest is generated. The resynthesis score is the share of the recording's onset "
    "energy that the kit explains when it plays the recording's groove, 0 to 1."
)


class KitPage:
    """Collects kits; `write` writes the page."""

    def __init__(self) -> None:
        self._page = Document()
        self._page.section("recordings", "Real recordings", "No references exist: compare by ear.")
        self._count, self._version = 0, ""

    def add(self, path: Path, kit: Kit, notes: Mapping[str, str] | None = None) -> None:
        """Adds the kit of the audio file `path`; `notes` are further remarks by drum."""
        recording = audio.read(path, mono=False, max_seconds=RECORDING_SECONDS)
        cards = [self._page.card("recording", recording, mix=True)]
        if kit.transcription is not None:
            svg = groove.drawing(kit.transcription)
            cards.append(self._page.drawing("groove", groove.facts(kit.transcription), svg))
            cards.append(self._resynthesis(recording, kit))
        for drum in kit.hits:
            best = kit.best(drum)
            if best is None:
                cards.append(self._page.missing(drum, "not detected"))
                continue
            facts = [] if best.detected else ["probably absent"]
            facts += [
                f"confidence {best.confidence:.2f}",
                f"source energy ratio {best.source_energy_ratio:.2f}",
            ]
            facts += [notes[drum]] if notes and drum in notes else []
            cards.append(self._page.card(drum, prepare(best.raw, drum), ", ".join(facts)))
        self._page.case(files.printable(path.stem), cards)
        self._count, self._version = self._count + 1, kit.version

    def _resynthesis(self, recording: np.ndarray, kit: Kit) -> str:
        """The kit playing the groove beside the recording: the check by ear."""
        shots = {drum: found[0].audio for drum, found in kit.hits.items() if kit.detected(drum)}
        hits = kit.transcription.hits if kit.transcription else ()
        if not shots or not hits:
            return self._page.missing("kit plays the groove", "no drums detected")
        sound = resynthesis(shots, hits, audio.downmix(recording))
        fact = ", ".join(f"{drum} {score:.2f}" for drum, score in kit.resynthesis.items())
        return self._page.card("kit plays the groove", sound, f"resynthesis score: {fact}", mix=True)

    def write(self, path: Path) -> None:
        title = f"{TITLE} {self._count} recording{'s' if self._count != 1 else ''}"
        with files.atomic(path) as beside:
            page = self._page.render(title, LEAD.format(version=self._version))
            beside.write_text(page, encoding="utf-8")


def is_page(path: Path) -> bool:
    """Whether `KitPage` wrote the file. Raises OSError where it cannot be read."""
    # The title stands within the template's first lines.
    with open(path, "rb") as file:
        return f"<title>{TITLE} ".encode() in file.read(1024)
