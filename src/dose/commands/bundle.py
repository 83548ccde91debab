"""`dose bundle`: shows and checks a kit bundle, and calibrates its confidence."""

import argparse
from pathlib import Path

EXAMPLE = """example:
  dose bundle show
  dose bundle show data/package/bundle --json
  dose bundle calibrate my/bundle --mixes 40
  dose bundle reference --mixes 200
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "bundle",
        help="show, check and calibrate the models in use",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="check a bundle's files and print its contents",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("path", nargs="?", help="bundle folder (default: the one that `dose extract` uses)")
    show.add_argument(
        "--json", action="store_true", help="print bundle.json and the models' metadata as JSON"
    )
    show.set_defaults(run=run_show)
    calibrate = actions.add_parser(
        "calibrate",
        help="calibrate the confidence on held-out mixes, in place",
        description="Calibrates on RMOD's val mixes, as they are and with each drum subtracted.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    calibrate.add_argument("path", help="bundle folder")
    calibrate.add_argument("--mixes", type=int, default=24, metavar="N", help="default: %(default)s")
    calibrate.add_argument("--start", type=int, default=0, metavar="I", help="the first mix (default: 0)")
    calibrate.add_argument("--params", default="params.yaml", help="file with the rmod section")
    calibrate.add_argument("--sources", default="data/sources", metavar="DIR", help="default: %(default)s")
    calibrate.set_defaults(run=run_calibrate)
    reference = actions.add_parser(
        "reference",
        help="write the drift trigger's reference",
        description="Writes mean and standard deviation of the features of RMOD's train mixes.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reference.add_argument("--mixes", type=int, default=200, metavar="N", help="default: %(default)s")
    reference.add_argument(
        "--out", default="data/retrain/reference.json", metavar="FILE", help="default: %(default)s"
    )
    reference.add_argument("--params", default="params.yaml", help="file with the rmod section")
    reference.add_argument("--sources", default="data/sources", metavar="DIR", help="default: %(default)s")
    reference.set_defaults(run=run_reference)


def run_show(args: argparse.Namespace) -> None:
    import json

    from dose import files
    from dose.bundle import default_bundle, model_facts, named, open_bundle
    from dose.extract.confidence import from_json

    bundle = open_bundle(named(args.path) if args.path else default_bundle())
    models = {drum: model_facts(bundle.checkpoint(drum)) for drum in bundle.drums}
    if args.json:
        print(json.dumps({**files.read_json(bundle.folder / "bundle.json"), "models": models}, indent=2))
        return
    usable = from_json(bundle.calibration)  # without calibrations of other features
    size = sum(p.stat().st_size for p in bundle.folder.rglob("*") if p.is_file()) / 1e6
    print(f"{bundle.version}  {bundle.folder}  ({size:.1f} MB, made {bundle.created})")
    print(f"  codec  {bundle.codec_id}\n  data   {bundle.data_id}")
    for drum, model in models.items():
        calibrated = "calibrated" if drum in usable else "not calibrated"
        print(f"  {drum:6s} {model.get('steps', '?')} training steps, confidence {calibrated}")


def run_calibrate(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from dose import config
    from dose.errors import ConfigError
    from dose.extract.calibrate import calibrate_bundle
    from dose.rmod.config import RmodConfig
    from dose.sources.library import SampleLibrary

    if args.mixes < 2:
        raise ConfigError("--mixes must be at least 2.")
    rmod = config.load("rmod", RmodConfig, args.params)
    with tqdm(total=args.mixes, desc="calibrate", unit="mix") as bar:
        bundle = calibrate_bundle(
            args.path,
            rmod,
            SampleLibrary.load(args.sources),
            args.mixes,
            start=args.start,
            progress=lambda done: bar.update(done - bar.n),
        )
    for drum, calibration in bundle.calibration.items():
        for kind, figures in calibration["report"].items():
            print(
                f"{drum:6s} {kind:10s} ECE {figures['ece']:.3f}  AUC {figures['auc']:.3f}  "
                f"base rate {figures['base_rate']:.2f}  n {figures['count']}"
            )


def run_reference(args: argparse.Namespace) -> None:
    import functools

    from tqdm import tqdm

    from dose import files
    from dose.errors import ConfigError
    from dose.retrain.drift_reference import of_training

    if args.mixes < 2:
        raise ConfigError("--mixes must be at least 2.")
    watch = functools.partial(tqdm, total=args.mixes, unit="mix", disable=None)
    files.write_json(args.out, of_training(Path(args.params), Path(args.sources), args.mixes, watch))
    print(f"{args.out}: the features of {args.mixes} training mixes")
