"""`dose extract`: songs in, kits out."""

import argparse
import gc
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.evaluate.page.kits import KitPage
    from dose.extract.extractor import Extractor
    from dose.extract.postprocess import PostprocessConfig
    from dose.extract.result import Kit
    from dose.extract.watch_state import WatchState

EXAMPLE = """examples:
  dose extract loop.wav --out kit
  dose extract song.mp3 --out kit --candidates 4 --kit sfz,sf2,ableton
  dose extract 'album/*.flac' --out kits --drums kick,snare --bits 24 --tail 0.4
  dose extract loop.wav --out kit --page kit.html
  dose extract --watch ~/inbox --out kits
"""


def register(subparsers) -> None:
    parser = subparsers.add_parser(
        "extract",
        help="pull kick, snare and hi-hat out of mixes",
        description="Pulls drum one-shots out of mixes of any length, rate and format.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "mixes", nargs="*", metavar="MIX", help="sound files, folders, globs, or - (piped in)"
    )
    parser.add_argument("--out", required=True, type=_path, metavar="DIR", help="where the kits go")
    parser.add_argument("--drums", default="kick,snare,hihat", help="which drums (default: %(default)s)")
    parser.add_argument("--candidates", type=int, default=1, metavar="N", help="hits per drum, best first")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other hits (default: 0)")
    parser.add_argument(
        "--generated", action="store_true", help="nothing of the recording's own sound, all written anew"
    )
    parser.add_argument("--absent", action="store_true", help="also write drums that seem not to be there")
    parser.add_argument("--bundle", type=_path, metavar="PATH", help="models (default: the project's own)")
    parser.add_argument("--watch", type=_path, metavar="DIR", help="go on with every file that appears there")
    parser.add_argument("--page", type=_path, metavar="HTML", help="also a page to look at and listen to")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    kit = parser.add_argument_group("kits")
    kit.add_argument(
        "--kit", default="wav", metavar="FORMATS", help="sfz, hydrogen, decentsampler, ableton, sf2, mpc, all"
    )
    kit.add_argument("--name", metavar="NAME", help="the kit's name (default: the mix's)")
    kit.add_argument(
        "--layers",
        choices=("round-robin", "velocity"),
        default="round-robin",
        help="how several candidates share a pad (default: %(default)s)",
    )
    sound = parser.add_argument_group("sound")
    sound.add_argument("--peak", type=float, default=-1.0, metavar="DB", help="peak in dBFS (default: -1)")
    sound.add_argument("--lufs", type=float, metavar="LUFS", help="loudness instead of a peak, e.g. -14")
    sound.add_argument("--tail", type=float, metavar="S", help="seconds to keep (default: until it is gone)")
    sound.add_argument("--rate", type=int, default=44100, metavar="HZ", help="default: 44100")
    sound.add_argument("--bits", type=int, choices=(16, 24, 32), default=16, help="32 is float (default: 16)")
    sound.add_argument(
        "--channels", choices=("mono", "mix"), default="mono", help="mix: panned as in the mix (stereo)"
    )
    speed = parser.add_argument_group("speed", "measured and chosen by default: `dose info` shows how")
    speed.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    speed.add_argument(
        "--precision",
        default="auto",
        help="number format: auto, fp32, bf16, fp16 or int8, if this machine has it (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    # The collector would walk torch's hundred thousand objects some ten times while they are loaded, and once
    # more at the exit: 0.5 s of 1.5 s. So it rests until the models are there, and leaves them out from then.
    gc.disable()
    try:
        return _extract_all(args)
    finally:
        gc.enable()


def _extract_all(args: argparse.Namespace) -> int:
    from dose.errors import ConfigError, DoseError
    from dose.extract import inputs
    from dose.extract.postprocess import PostprocessConfig
    from dose.kits.write import parse_formats

    if not args.mixes and not args.watch:
        raise DoseError("Name at least one mix, or a folder with --watch (`dose extract --help`).")
    if args.seed < 0:
        raise ConfigError("--seed must be 0 or more.")
    parse_formats(args.kit)
    try:
        finish = PostprocessConfig(peak_db=args.peak, lufs=args.lufs, tail=args.tail, rate=args.rate)
    except ValueError as e:
        raise ConfigError(f"--{e}.") from e
    with tempfile.TemporaryDirectory(prefix="dose-") as scratch:
        paths = inputs.expand(args.mixes)
        if Path(inputs.STDIN) in paths:
            paths[paths.index(Path(inputs.STDIN))] = inputs.spool_stdin(Path(scratch))
        if args.name is not None and (len(paths) != 1 or args.watch):
            raise ConfigError("--name names one kit; give it with a single mix.")
        job = _Job(args, finish, paths)
        places = job.places()  # all are looked at before anything is written
        _tell_skipped(args)
        try:
            for path, folder in zip(paths, places, strict=True):
                job.extract(path, folder)
            if args.watch:
                _watch(job, args.watch)
        finally:
            job.report()
    return 1 if job.failed else 0


def _tell_skipped(args: argparse.Namespace) -> None:
    """What lies in the folders that were named and is not heard."""
    from dose.extract import inputs

    for folder in filter(Path.is_dir, map(Path, args.mixes)):
        if skipped := [p for p in inputs.skipped_in(folder) if p != args.out]:
            names = ", ".join(f"{p.name}/" if p.is_dir() else p.name for p in skipped)
            print(f"dose: {folder}: no sound files by their names, skipped: {names}.", file=sys.stderr)


def _watch(job: "_Job", folder: Path) -> None:
    """Files that appear in `folder`, until interrupted; those that an earlier run has done are skipped."""
    from dose.extract import inputs
    from dose.extract.watch_state import WatchState, state

    print(f"Watching {folder}; stop with Ctrl-C.", file=sys.stderr)
    record = WatchState(job.args.out)
    try:
        for path in inputs.watch(folder):
            if record.is_done(path):
                continue
            before = state(path)
            place = job.place_for(path, record)
            if job.extract(path, place):
                record.note(path, before, place.name if place.is_dir() else None)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)


class _Job:
    """Extracts one mix after the other, goes on past a bad one, and keeps the account."""

    def __init__(self, args: argparse.Namespace, finish: "PostprocessConfig", paths: list[Path]) -> None:
        self.args, self.finish, self.paths = args, finish, paths
        self.made: list[dict[str, Any]] = []
        self.taken: dict[Path, Path] = {}  # mix -> its kit's folder
        self.failed: list[dict[str, str]] = []
        self._extractor: Extractor | None = None
        self._page: KitPage | None = None

    @property
    def extractor(self) -> "Extractor":
        """Loaded when the first readable mix asks for it: a mistyped name is answered at once."""
        if self._extractor is None:
            from dose.extract.extractor import Extractor, SearchConfig

            search = SearchConfig(blend=not self.args.generated)
            self._extractor = Extractor.load(
                self.args.bundle, device=self.args.device, precision=self.args.precision, search=search
            )
            gc.freeze()
            gc.enable()
        return self._extractor

    def places(self) -> list[Path]:
        """The folder of each mix. Raises Occupied where one, or the page, would replace what is no output."""
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
        """The names that a kit's sounds will have, where they are known before they are made."""
        return [f"{drum}.wav" for drum in _drums(self.args.drums)] if self.args.candidates == 1 else []

    def place_for(self, path: Path, record: "WatchState") -> Path:
        """The folder of a watched song: the one that it had, else one that no other song has."""
        from dose.extract import inputs
        from dose.kits import folder

        out, watched = self.args.out, self.args.watch.resolve()
        others = [place for place in record.folders() if place.name != record.folder(path)]
        others += [place for song, place in self.taken.items() if song != path]

        def is_free(name: str, path: Path) -> bool:
            place = out / name
            # A kit in the watched folder itself would be taken for songs.
            return place not in others and place.resolve() != watched and folder.is_free(place, path.name)

        own = record.folder(path)
        if own is not None and is_free(own, path):
            return out / own
        return out / inputs.folder_names([path], is_free)[0]

    def extract(self, path: Path, out: Path) -> bool:
        """Whether the mix was used; if not, why has been told."""
        from dose import audio
        from dose.errors import AudioError, DoseError
        from dose.files import printable
        from dose.kits.folder import Occupied

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
            self.taken[path] = out
        told = {"files": [printable(file) for file in files], "left_out": left_out}
        self.made.append({"source": printable(path), "out": where, **kit.facts(), **told})
        for sentence in left_out:
            print(f"dose: {sentence}", file=sys.stderr)
        if not self.args.json:
            print(_summary(path, kit, where), flush=True)
        elif not files:
            print(f"dose: {path} holds none of the drums; nothing was written.", file=sys.stderr)
        return True

    def _add(self, path: Path, kit: "Kit") -> None:
        """The page is written anew after each mix: --watch has no last one."""
        from dose.evaluate.page.kits import KitPage

        self._page = self._page or KitPage()
        self._page.add(path, kit)
        self._page.write(self.args.page)

    def report(self) -> None:
        """What was found, as one JSON document."""
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
        """The kit's files, none when not one drum is in the mix, and what a format could not hold."""
        from dose.extract.postprocess import place, postprocess
        from dose.kits import build
        from dose.kits.write import left_out, parse_formats, write

        takes = {}
        for drum, hits in kit.hits.items():
            if hits and (self.args.absent or kit.present(drum)):
                takes[drum] = [
                    build.RenderedOneShot(
                        hit=hit,
                        audio=postprocess(
                            place(hit.raw, hit.pan) if self.args.channels == "mix" else hit.raw, self.finish
                        ),
                    )
                    for hit in hits
                ]
        if not takes:
            return [], []
        origin = build.Origin(source=path.name, version=kit.version, data_id=kit.data_id, seed=kit.seed)
        drum_kit = build.build(
            path.stem if self.args.name is None else self.args.name,
            takes,
            origin,
            rate=self.args.rate,
            bits=self.args.bits,
            layering=self.args.layers,
        )
        formats = parse_formats(self.args.kit)
        return write(drum_kit, out, formats, inputs=[*self.paths, path]), left_out(drum_kit, formats)


def _path(text: str) -> Path:
    """An option's path; an empty text, mostly a variable that is not set, would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("is an empty text; name a path")
    return Path(text)


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
    """A line per mix: each drum with its confidence, or that it is not there."""
    from dose.files import printable

    parts = []
    for drum in kit.hits:
        best = kit.best(drum)
        if best is None or not best.present:
            parts.append(f"{drum} not found ({best.confidence if best else 0:.2f})")
        else:
            parts.append(f"{drum} {best.confidence:.2f} at {best.time:.2f} s")
    found = ", ".join(parts)
    name = printable(path.name)
    return f"{name} -> {out}: {found}" if out else f"{name}: {found}; nothing was written"
