"""`dose extract`: mixes to kits."""

import argparse
import gc
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dose.commands._extract_job import ExtractJob

EXAMPLE = """examples:
  dose extract loop.wav --out kit
  dose extract song.mp3 --out kit --candidates 4 --kit sfz,sf2,ableton
  dose extract song.mp3 --out kit --midi
  dose extract 'album/*.flac' --out kits --drums kick,snare --bits 24 --tail 0.4
  dose extract loop.wav --out kit --page kit.html
  dose extract --watch ~/inbox --out kits
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "extract",
        help="extract kick, snare and hi-hat one-shots from mixes",
        description="Extracts drum one-shots from mixes of any length, sample rate and format.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "mixes", nargs="*", metavar="MIX", help="sound files, folders, globs, or - (piped in)"
    )
    parser.add_argument("--out", required=True, type=_path, metavar="DIR", help="where the kits go")
    parser.add_argument("--drums", default="kick,snare,hihat", help="which drums (default: %(default)s)")
    parser.add_argument(
        "--candidates", type=int, default=1, metavar="N", help="one-shots per drum, best first"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of sampling; another seed gives other one-shots (default: 0)"
    )
    parser.add_argument(
        *("--no-source-blend", "--generated"),
        action="store_false",
        dest="source_blend",
        help="write generated sound only, nothing of the mix itself (deprecated alias: --generated)",
    )
    parser.add_argument(
        *("--keep-undetected", "--absent"),
        action="store_true",
        dest="keep_undetected",
        help="also write drums that were not detected in the mix (deprecated alias: --absent)",
    )
    parser.add_argument("--bundle", type=_path, metavar="PATH", help="models (default: the project's own)")
    parser.add_argument(
        "--watch",
        type=_path,
        metavar="DIR",
        help="after the given mixes, extract every file that appears in DIR",
    )
    parser.add_argument("--page", type=_path, metavar="HTML", help="also write a listening page")
    parser.add_argument("--json", action="store_true", help="print the results, with the groove, as JSON")
    kit = parser.add_argument_group("kits")
    kit.add_argument(
        "--kit", default="wav", metavar="FORMATS", help="sfz, hydrogen, decentsampler, ableton, sf2, mpc, all"
    )
    kit.add_argument(
        "--midi",
        action="store_true",
        help="write the song's drum hits as MIDI beside the WAVs; kits in any of the formats have it anyway",
    )
    kit.add_argument("--name", metavar="NAME", help="the kit's name (default: the mix's)")
    kit.add_argument(
        "--layers",
        choices=("round-robin", "velocity"),
        default="round-robin",
        help="how candidates of one drum share a pad (default: %(default)s)",
    )
    sound = parser.add_argument_group("sound")
    sound.add_argument("--peak", type=float, default=-1.0, metavar="DB", help="peak in dBFS (default: -1)")
    sound.add_argument("--lufs", type=float, metavar="LUFS", help="loudness instead of a peak, e.g. -14")
    sound.add_argument("--tail", type=float, metavar="S", help="seconds to keep (default: until -60 dB)")
    sound.add_argument("--rate", type=int, default=44100, metavar="HZ", help="default: 44100")
    sound.add_argument("--bits", type=int, choices=(16, 24, 32), default=16, help="32 is float (default: 16)")
    sound.add_argument(
        "--channels", choices=("mono", "mix"), default="mono", help="mix: panned as in the mix (stereo)"
    )
    speed = parser.add_argument_group("speed", "auto is measured on this machine: see `dose info`")
    speed.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    speed.add_argument(
        "--precision",
        default="auto",
        help="number format: auto, fp32, bf16, fp16 or int8, if this machine has it (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    # While torch is loaded, the garbage collector would walk its hundred thousand objects some ten times, and
    # once more at the exit: 0.5 s of 1.5 s. It is off until the models are loaded, and skips them afterwards:
    # see `gc.freeze` in ExtractJob.
    gc.disable()
    try:
        return _extract_all(args)
    finally:
        gc.enable()


def _extract_all(args: argparse.Namespace) -> int:
    from dose.commands._extract_job import ExtractJob
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
        postprocess = PostprocessConfig(peak_db=args.peak, lufs=args.lufs, tail=args.tail, rate=args.rate)
    except ValueError as e:
        raise ConfigError(f"--{e}.") from e
    with tempfile.TemporaryDirectory(prefix="dose-") as scratch:
        paths = inputs.expand(args.mixes)
        if Path(inputs.STDIN) in paths:
            paths[paths.index(Path(inputs.STDIN))] = inputs.spool_stdin(Path(scratch))
        if args.name is not None and (len(paths) != 1 or args.watch):
            raise ConfigError("--name names one kit; give it with a single mix.")
        job = ExtractJob(args, postprocess, paths)
        folders = job.folders()  # all are checked before anything is written
        _report_skipped(args)
        try:
            for path, folder in zip(paths, folders, strict=True):
                job.extract(path, folder)
            if args.watch:
                _watch(job, args.watch)
        finally:
            job.report()
    return 1 if job.failed else 0


def _report_skipped(args: argparse.Namespace) -> None:
    """Names on stderr what the given folders hold besides sound files."""
    from dose.extract import inputs

    for folder in filter(Path.is_dir, map(Path, args.mixes)):
        if skipped := [p for p in inputs.skipped_in(folder) if p != args.out]:
            names = ", ".join(f"{p.name}/" if p.is_dir() else p.name for p in skipped)
            print(f"dose: {folder}: no sound files by their names, skipped: {names}.", file=sys.stderr)


def _watch(job: "ExtractJob", folder: Path) -> None:
    """Extracts files that appear in `folder` until interrupted; skips those that an earlier run has done."""
    from dose.extract import inputs
    from dose.extract.watch_state import WatchState, state

    print(f"Watching {folder}; stop with Ctrl-C.", file=sys.stderr)
    done = WatchState(job.args.out)
    try:
        for path in inputs.watch(folder):
            if done.is_done(path):
                continue
            before = state(path)  # a file that is replaced during the extraction is done again
            folder_of_kit = job.folder_for(path, done)
            if job.extract(path, folder_of_kit):
                done.note(path, before, folder_of_kit.name if folder_of_kit.is_dir() else None)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)


def _path(text: str) -> Path:
    """A path option. An empty one is refused: an unset shell variable would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("is an empty text; name a path")
    return Path(text)
