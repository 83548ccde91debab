"""`dose info`: versions, processor, measured rates of the number formats, and models, for a bug report."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.compute import Choice

EXAMPLE = """example:
  dose info
  dose info --measure      # measure the number formats again, on an idle machine
  dose info --json > report.json
"""
BATCH = 16  # examples in a training step, as in params.yaml
PACKAGES = (
    "numpy",
    "torch",
    "ray",
    "mlflow",
    "dvc",
    "bentoml",
    "descript-audio-codec",
    "librosa",
    "soundfile",
)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "info",
        help="show versions, processor, measured number formats and the models in use",
        description="Shows what a bug report needs. Nothing is sent anywhere.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="models (default: those in use here)")
    parser.add_argument(
        "--measure", action="store_true", help="discard the cached rates and measure them again"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    import json

    from dose import compute

    if args.measure:
        compute.cache_file().unlink(missing_ok=True)
    report = facts(args.bundle)
    print(json.dumps(report, indent=2) if args.json else _as_text(report))


def facts(folder: Path | None = None) -> dict[str, Any]:
    """All facts, as JSON has them. Raises as `open_bundle` does."""
    import platform

    import dose
    from dose import compute
    from dose.bundle import default_bundle, open_bundle

    bundle = open_bundle(folder or default_bundle())
    return {
        "dose": dose.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "cpu": compute.cpu_name(),
        "instructions": compute.instructions(),
        "cores": compute.cores(),
        "memory_gib": round(_memory() / 2**30, 1),
        "gpus": _gpus(),
        "compute_cache": str(compute.cache_file()),
        "formats": _formats(bundle),
        "models": {
            "folder": str(bundle.folder),
            "version": bundle.version,
            "drums": list(bundle.drums),
            "codec": bundle.codec_id,
            "created": bundle.created,
        },
        "transcription": _transcription(bundle.transcription),
    }


def _transcription(folder: Path) -> dict[str, Any]:
    """The transcription network of the models: where it is, and how it was trained."""
    from dose import files
    from dose.transcription.network import CARD

    card = files.read_json(folder / CARD)
    return {
        "folder": str(folder),
        **{key: card.get(key) for key in ("library", "mixes", "steps", "licences")},
    }


def _formats(bundle: Any) -> dict[str, dict[str, Any]]:
    """The number format of each kind of work on this machine, and the rates it was chosen by."""
    from dose import compute
    from dose.codec import dac
    from dose.extract.candidates import SearchConfig
    from dose.model import checkpoint, packed
    from dose.train.number_format import choose_format
    from dose.transcription import network, transcribe

    config = checkpoint.read_config(bundle.checkpoint(bundle.drums[0]))
    on = compute.device()
    choices: dict[str, Choice] = {
        f"decoding, width {config.width}": packed.choose("auto", on, config, SearchConfig().samples),
        "transcription": transcribe.choose_threads(network.load(bundle.transcription)),
        f"training, width {config.width}": choose_format("auto", on, BATCH * config.steps, config.width),
        "convolutions (DAC)": dac.choose_format("auto"),
    }
    return {
        name: {
            "format": choice.format,
            "why": choice.why,
            "gflop_per_s": {k: round(v, 1) for k, v in choice.rates.items()},
            **({"threads": choice.threads} if choice.threads else {}),
        }
        for name, choice in choices.items()
    }


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _memory() -> int:
    """Bytes of main memory."""
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _as_text(report: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in report["packages"].items())
    models = report["models"]
    lines = [
        f"dose     {report['dose']}, Python {report['python']}, {report['system']}",
        f"         {packages}",
        f"CPU      {report['cpu']}, {report['instructions']}, {report['cores']} cores, "
        f"{report['memory_gib']} GiB",
        f"GPU      {', '.join(report['gpus']) or 'none that torch can use'}",
        f"models   {models['version']} ({', '.join(models['drums'])}), codec {models['codec']}",
        f"         {models['folder']}",
        f"hits     transcription network of {report['transcription']['steps']} steps, "
        f"library {report['transcription']['library']}",
        f"         {report['transcription']['folder']}",
        f"formats  GFLOP/s as measured here, cached in {report['compute_cache']}",
    ]
    for name, work in report["formats"].items():
        rates = ", ".join(f"{k} {v:g}" for k, v in work["gflop_per_s"].items()) or work["why"]
        threads = f", {work['threads']} threads" if work.get("threads", 1) > 1 else ""
        lines.append(f"         {name}: {work['format']}{threads}  ({rates})")
    return "\n".join(lines)
