"""`dose extract`: songs in, kits out."""

import argparse
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.evaluate.recordings import KitPage
    from dose.extract.extractor import Extractor
    from dose.extract.finish import Finish
    from dose.extract.kit import Kit

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
    parser.add_argument("mixes", nargs="*", metavar="MIX", help="sound files, folders or globs")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the kits go")
    parser.add_argument("--drums", default="kick,snare,hihat", help="which drums (default: %(default)s)")
    parser.add_argument("--candidates", type=int, default=1, metavar="N", help="hits per drum, best first")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other hits (default: 0)")
    parser.add_argument(
        "--generated", action="store_true", help="nothing of the recording's own sound, all written anew"
    )
    parser.add_argument("--absent", action="store_true", help="also write drums that seem not to be there")
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="models (default: the project's own)")
    parser.add_argument("--watch", type=Path, metavar="DIR", help="go on with every file that appears there")
    parser.add_argument("--page", type=Path, metavar="HTML", help="also a page to look at and listen to")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    kit = parser.add_argument_group("kits")
    kit.add_argument(
        "--kit", default="wav", metavar="FORMATS", help="sfz, hydrogen, decentsampler, ableton, sf2, mpc, all"
    )
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
    from dose.errors import ConfigError, DoseError
    from dose.extract import inputs
    from dose.extract.finish import Finish
    from dose.kits.write import parse_formats

    if not args.mixes and not args.watch:
        raise DoseError("Name at least one mix, or a folder with --watch (`dose extract --help`).")
    if args.seed < 0:
        raise ConfigError("--seed must be 0 or more.")
    parse_formats(args.kit)
    try:
        finish = Finish(peak_db=args.peak, lufs=args.lufs, tail=args.tail, rate=args.rate)
    except ValueError as e:
        raise ConfigError(f"--{e}.") from e
    job = _Job(args, finish)
    try:
        paths = inputs.expand(args.mixes)
        names = [""] if len(paths) == 1 and not args.watch else inputs.folder_names(paths)
        for path, name in zip(paths, names, strict=True):
            job.extract(path, args.out / name, len(paths))
        for path in _arrivals(args):
            job.extract(path, args.out / path.stem, 0)
    finally:
        job.report()
    return 1 if job.failed else 0


def _arrivals(args: argparse.Namespace) -> Iterator[Path]:
    """Files that appear in --watch, until interrupted; those with a kit from an earlier run are skipped."""
    from dose.extract import inputs

    if args.watch is None:
        return
    print(f"Watching {args.watch}; stop with Ctrl-C.", file=sys.stderr)
    done = {path for path in inputs.sounds_in(args.watch) if (args.out / path.stem).is_dir()}
    try:
        for path in inputs.watch(args.watch):
            if path not in done:
                yield path
            done.discard(path)  # a file that is replaced later is new again
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)


class _Job:
    """Extracts one mix after the other, goes on past a bad one, and keeps the account."""

    def __init__(self, args: argparse.Namespace, finish: "Finish") -> None:
        self.args, self.finish = args, finish
        self.made: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []
        self._extractor: Extractor | None = None
        self._page: KitPage | None = None

    @property
    def extractor(self) -> "Extractor":
        """Loaded when the first readable mix asks for it: a mistyped name is answered at once."""
        if self._extractor is None:
            # The collector walks torch's hundred thousand objects some ten times while they are loaded and
            # once more at the exit, for nothing: 0.5 s of 1.5 s. They stay for good, so they are left out of
            # it.
            gc.disable()
            from dose.extract.extractor import Extractor, Search

            gc.freeze()
            gc.enable()
            search = Search(blend=not self.args.generated)
            self._extractor = Extractor.load(
                self.args.bundle, device=self.args.device, precision=self.args.precision, search=search
            )
        return self._extractor

    def extract(self, path: Path, out: Path, total: int) -> None:
        from dose import audio
        from dose.errors import AudioError, DoseError

        try:
            audio.probe(path)
            kit = self._run(path, total)
            files = self._write(path, kit, out)
            if self.args.page:
                self._add(path, kit)
        except OSError as e:
            raise DoseError(f"{e.filename or out} cannot be written ({e.strerror}); choose another.") from e
        except AudioError as e:
            self.failed.append({"source": str(path), "error": str(e)})
            print(f"dose: {e}", file=sys.stderr)
            return
        self.made.append({"source": str(path), "out": str(out), **kit.facts(), "files": files})
        if not self.args.json:
            print(_summary(path, kit, out), flush=True)

    def _add(self, path: Path, kit: "Kit") -> None:
        """The page is written anew after each mix: --watch has no last one."""
        from dose.evaluate.recordings import KitPage

        self._page = self._page or KitPage()
        self._page.add(path, kit)
        self._page.write(self.args.page)

    def report(self) -> None:
        """What was found, as one JSON document."""
        import json

        if self.args.json:
            print(json.dumps({"mixes": self.made, "failed": self.failed}, indent=2), flush=True)

    def _run(self, path: Path, total: int) -> "Kit":
        from tqdm import tqdm

        extractor = self.extractor
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

    def _write(self, path: Path, kit: "Kit", out: Path) -> list[str]:
        """The kit's files; nothing at all when not one drum is in the mix."""
        from dose.extract.finish import finish, place
        from dose.kits import build
        from dose.kits.write import parse_formats, write

        takes = {}
        for drum, hits in kit.hits.items():
            if hits and (self.args.absent or kit.present(drum)):
                takes[drum] = [
                    build.Take(
                        hit=hit,
                        audio=finish(
                            place(hit.raw, hit.pan) if self.args.channels == "mix" else hit.raw, self.finish
                        ),
                    )
                    for hit in hits
                ]
        if not takes:
            return []
        origin = build.Origin(source=path.name, version=kit.version, data_id=kit.data_id, seed=kit.seed)
        drum_kit = build.build(
            path.stem,
            takes,
            origin,
            rate=self.args.rate,
            bits=self.args.bits,
            layering=self.args.layers,
        )
        return [str(p) for p in write(drum_kit, out, parse_formats(self.args.kit))]


def _drums(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _summary(path: Path, kit: "Kit", out: Path) -> str:
    """A line per mix: each drum with its confidence, or that it is not there."""
    parts = []
    for drum in kit.hits:
        best = kit.best(drum)
        if best is None or not best.present:
            parts.append(f"{drum} not found ({best.confidence if best else 0:.2f})")
        else:
            parts.append(f"{drum} {best.confidence:.2f} at {best.time:.2f} s")
    return f"{path.name} -> {out}: {', '.join(parts)}"
