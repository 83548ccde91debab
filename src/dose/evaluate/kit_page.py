"""A listening page of kits out of real recordings, beside the recordings that they were taken from."""

from collections.abc import Mapping
from pathlib import Path

from dose import audio, files
from dose.evaluate.report import Page
from dose.extract.result import Kit
from dose.metrics.shots import prepare

TITLE = "Kits out of"
HEARD = 12.0  # seconds of a recording on the page
LEAD = (
    "Press a card to hear it, press again to stop. The best hit of each drum, all at one peak level; models "
    "{version}. “Borrowed” is the share of a hit's power that is the recording's own; the rest is written."
)


class KitPage:
    """Collects kits; `write` makes the page, one HTML file that needs no network."""

    def __init__(self) -> None:
        self._page = Page()
        self._page.section("recordings", "Real recordings", "No truth is known here; the ear decides.")
        self._count, self._version = 0, ""

    def add(self, path: Path, kit: Kit, notes: Mapping[str, str] | None = None) -> None:
        """The kit of the sound file `path`; `notes` says more of each drum."""
        cards = [self._page.card("recording", audio.read(path, mono=False, max_seconds=HEARD), mix=True)]
        for drum in kit.hits:
            best = kit.best(drum)
            if best is None:
                cards.append(self._page.missing(drum, "not found"))
                continue
            said = [] if best.detected else ["probably not there"]
            said += [f"confidence {best.confidence:.2f}", f"borrowed {best.source_energy_ratio:.2f}"]
            said += [notes[drum]] if notes and drum in notes else []
            cards.append(self._page.card(drum, prepare(best.raw, drum), ", ".join(said)))
        self._page.case(files.printable(path.stem), cards)
        self._count, self._version = self._count + 1, kit.version

    def write(self, path: Path) -> None:
        title = f"{TITLE} {self._count} recording{'s' if self._count != 1 else ''}"
        with files.atomic(path) as beside:
            page = self._page.render(title, LEAD.format(version=self._version))
            beside.write_text(page, encoding="utf-8")


def is_page(path: Path) -> bool:
    """Whether the file is a page that `KitPage` wrote. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return f"<title>{TITLE} ".encode() in file.read(1024)
