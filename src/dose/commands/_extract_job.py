"""One run of `dose extract`: each mix to a kit in a folder, with a report of what was written."""

import argparse
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.api.extractor import Extractor
    from dose.api.kit import Kit
    from dose.evaluate.page.kits import KitPage
    from dose.extract.postprocess import PostprocessConfig
    from dose.extract.watch_state import WatchState


class ExtractJob:
    """Extracts one mix after the other and continues after one that cannot be used."""

    def __init__(self, args: argparse.Namespace, postprocess: "PostprocessConfig", paths: list[Path]) -> None:
        self.args, self.postprocess, self.paths = args, postprocess, paths
        self.made: list[dict[str, Any]] = []  # what --json reports of each mix
        self.written: dict[Path, Path] = {}  # mix -> its kit's folder
        self.failed: list[dict[str, str]] = []
        self._extractor: Extractor | None = None
        self._page: KitPage | None = None

    @property
    def extractor(self) -> "Extractor":
        """Loaded for the first readable mix, so that a mistyped name is reported at once."""
        if self._extractor is None:
            from dose.api.extractor import Extractor
            from dose.extract.candidates import SearchConfig

            search = SearchConfig(source_blend=self.args.source_blend)
            self._extractor = Extractor(
                self.args.bundle, device=self.args.device, precision=self.args.precision, search=search
            )
            # What was loaded is never garbage: it is excluded from collection for good.
            gc.freeze()
            gc.enable()
        return self._extractor

    def folders(self) -> list[Path]:
        """The folder of each mix's kit. Raises Occupied where one, or the page, would replace other files."""
        from dose.extract import inputs
        from dose.kits import folder

        out = self.args.out
        if self.args.page:
            _check_page(self.args.page, self.paths)
        if self.args.watch or len(self.paths) != 1:
            names = inputs.folder_names(self.paths, lambda name, path: folder.is_free(out / name, path.name))
            found = [out / name for name in names]
        else:
            found = [out]
        for place in found:
            folder.check(place, self._likely_names(), self.paths)
            if self.args.page and self.args.page.absolute() == place.absolute():
                raise folder.Occupied(f"{place} is to hold the kit; choose another name for the page.")
        return found

    def _likely_names(self) -> list[str]:
        """The names of a kit's sounds, where they are known before extraction."""
        return [f"{drum}.wav" for drum in _drums(self.args.drums)] if self.args.candidates == 1 else []

    def folder_for(self, path: Path, done: "WatchState") -> Path:
        """The folder of a watched song: the one that it had, else one that no other song has."""
        from dose.extract import inputs
        from dose.kits import folder

        out: Path = self.args.out
        watched = self.args.watch.resolve()
        others = [place for place in done.folders() if place.name != done.folder(path)]
        others += [place for song, place in self.written.items() if song != path]

        def is_free(name: str, path: Path) -> bool:
            place = out / name
            # A kit in the watched folder itself would be taken for songs.
            return place not in others and place.resolve() != watched and folder.is_free(place, path.name)

        # The song's former folder, unless it was taken meanwhile.
        own = done.folder(path)
        if own is not None and is_free(own, path):
            return out / own
        return out / inputs.folder_names([path], is_free)[0]

    def extract(self, path: Path, out: Path) -> bool:
        """Extracts one mix into `out`. False, with the reason on stderr, for a mix that cannot be used."""
        from dose import audio
        from dose.errors import AudioError, DoseError
        from dose.files import printable
        from dose.kits.folder import Occupied

        # Decoding errors concern this mix only; errors of the disk end the run.
        try:
            audio.probe(path)
            kit = self._run(path)
            files, left_out = self._write(path, kit, out)
            if self.args.page:
                self._add(path, kit)
        except OSError as e:
            raise DoseError(f"{e.filename or out} cannot be written ({e.strerror}); choose another.") from e
        except (AudioError, Occupied) as e:
            self.failed.append({"source": printable(path), "error": printable(e)})
            print(f"dose: {printable(e)}", file=sys.stderr)
            return False
        where = printable(out) if files else None
        if files:
            self.written[path] = out
        outcome = {"files": [printable(file) for file in files], "left_out": left_out}
        self.made.append({"source": printable(path), "out": where, **kit.facts(), **outcome})
        for sentence in left_out:
            print(f"dose: {sentence}", file=sys.stderr)
        if not self.args.json:
            print(_summary(path, kit, where), flush=True)
        elif not files:
            print(f"dose: {path} holds none of the drums; nothing was written.", file=sys.stderr)
        return True

    def _add(self, path: Path, kit: "Kit") -> None:
        """Adds a kit to the page and writes it; after every mix, because --watch has no last one."""
        from dose.evaluate.page.kits import KitPage

        self._page = self._page or KitPage()
        self._page.add(path, kit)
        self._page.write(self.args.page)

    def report(self) -> None:
        """Prints the JSON document of --json."""
        import json

        if self.args.json:
            print(json.dumps({"mixes": self.made, "failed": self.failed}, indent=2), flush=True)

    def _run(self, path: Path) -> "Kit":
        from tqdm import tqdm

        extractor, total = self.extractor, len(self.paths)
        label = f"[{len(self.made) + len(self.failed) + 1}/{total}] {path.name}" if total > 1 else path.name
        # disable=None: no bar where nobody looks (not a terminal).
        with tqdm(
            total=100, desc=label, leave=False, disable=None, bar_format="{desc}: {bar} {postfix}"
        ) as bar:

            def progress(fraction: float, stage: str) -> None:
                bar.set_postfix_str(stage, refresh=False)
                bar.update(round(100 * fraction) - bar.n)

            return extractor.extract_file(
                path,
                drums=_drums(self.args.drums),
                candidates=self.args.candidates,
                seed=self.args.seed,
                progress=progress,
            )

    def _write(self, path: Path, kit: "Kit", out: Path) -> tuple[list[Path], list[str]]:
        """Writes the kit. Gives its files (none if no drum was detected) and what a format could not hold."""
        from dose.kits.write import left_out, parse_formats, write

        drum_kit = kit.drum_kit(
            self.args.name,
            undetected=self.args.keep_undetected,
            sound=self.postprocess,
            bits=self.args.bits,
            channels=self.args.channels,
            layers=self.args.layers,
        )
        if drum_kit is None:
            return [], []
        formats = parse_formats(self.args.kit)
        files = write(drum_kit, out, formats, inputs=[*self.paths, path], midi=self.args.midi)
        return files, left_out(drum_kit, formats)


def _drums(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _check_page(page: Path, inputs: list[Path]) -> None:
    """Raises Occupied where the page would replace an input, or a file that is no page of kits."""
    from dose.kits.folder import Occupied

    if page.suffix.lower() not in (".html", ".htm"):
        raise Occupied(f"{page} is no name for a page; let it end in .html.")
    if any(page.resolve() == path.resolve() for path in inputs):
        raise Occupied(f"{page} is an input and would be replaced by the page; choose another name.")
    try:
        if page.exists():
            from dose.evaluate.page.kits import is_page

            if not page.is_file() or not is_page(page):
                raise Occupied(f"{page} is no page of kits and would be overwritten; choose another name.")
    except OSError as e:
        raise Occupied(f"{page} cannot be written ({e.strerror}); choose another.") from e


def _summary(path: Path, kit: "Kit", out: str | None) -> str:
    """One line per mix: each drum with its confidence, or "not found", and the groove."""
    from dose.files import printable

    parts = []
    for drum in kit.hits:
        best = kit.best(drum)
        if best is None or not best.detected:
            parts.append(f"{drum} not found ({best.confidence if best else 0:.2f})")
        else:
            parts.append(f"{drum} {best.confidence:.2f} at {best.time:.2f} s")
    found = ", ".join(parts) + _groove(kit)
    name = printable(path.name)
    return f"{name} -> {out}: {found}" if out else f"{name}: {found}; nothing was written"


def _groove(kit: "Kit") -> str:
    """What the summary adds of the transcription: tempo, metre and number of hits; empty without one."""
    if kit.transcription is None:
        return ""
    count, rhythm = len(kit.transcription.hits), kit.transcription.rhythm
    hits = f"{count} hit" if count == 1 else f"{count} hits"
    if rhythm is None:
        return f"; no tempo, {hits}"
    return f"; {rhythm.tempo:.1f} BPM, {rhythm.beats_per_bar}/4, {hits}"
