"""`dose bundle`: look into a kit bundle."""

import argparse

EXAMPLE = """example:
  dose bundle show
  dose bundle show data/package/bundle --json
"""


def register(subparsers) -> None:
    parser = subparsers.add_parser(
        "bundle",
        help="look into and check the models in use",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="check a bundle's files and print what it holds",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("path", nargs="?", help="bundle folder (default: the one that `dose extract` uses)")
    show.add_argument("--json", action="store_true", help="print bundle.json and the models' facts as JSON")
    show.set_defaults(run=run_show)


def run_show(args: argparse.Namespace) -> None:
    import json

    from dose import files
    from dose.extract.bundle import default_bundle, model_facts, open_bundle

    bundle = open_bundle(args.path or default_bundle())
    models = {drum: model_facts(bundle.checkpoint(drum)) for drum in bundle.drums}
    if args.json:
        print(json.dumps({**files.read_json(bundle.folder / "bundle.json"), "models": models}, indent=2))
        return
    size = sum(p.stat().st_size for p in bundle.folder.rglob("*") if p.is_file()) / 1e6
    print(f"{bundle.version}  {bundle.folder}  ({size:.1f} MB, made {bundle.created})")
    print(f"  codec  {bundle.codec_id}\n  data   {bundle.data_id}")
    for drum, model in models.items():
        calibrated = "calibrated" if drum in bundle.calibration else "not calibrated"
        print(f"  {drum:6s} {model.get('steps', '?')} training steps, confidence {calibrated}")
