"""`dose info`: what a bug report needs: versions, processor, number formats with their measured rates,
models."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.compute import Choice

EXAMPLE = """example:
  dose info
  dose info --measure      # measure the number formats anew, on an idle machine
  dose info --json > report.json
"""
BATCH = 16  # pairs in a training step, as params.yaml has it
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


def register(subparsers) -> None:
    parser = subparsers.add_parser(
        "info",
        help="show versions, processor, measured number formats and the models in use",
        description="Shows what a bug report needs. Nothing leaves this machine.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="models (default: those in use here)")
    parser.add_argument("--measure", action="store_true", help="forget the measured rates and take them anew")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    import json

    from dose import compute

    if args.measure:
        compute.cache_file().unlink(missing_ok=True)
    found = facts(args.bundle)
    print(json.dumps(found, indent=2) if args.json else _shown(found))


def facts(folder: Path | None = None) -> dict[str, Any]:
    """Everything, as plain values. Raises as `open_bundle` does."""
    import platform

    from dose import compute
    from dose.bundle import default_bundle, open_bundle

    bundle = open_bundle(folder or default_bundle())
    return {
        "dose": _version("dose"),
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
    }


def _formats(bundle: Any) -> dict[str, dict[str, Any]]:
    """What each kind of work is done in here, and the rates that this rests on."""
    from dose import compute
    from dose.codec import dac
    from dose.extract.extractor import SearchConfig
    from dose.model import checkpoint, packed
    from dose.train.number_format import choose_format

    config = checkpoint.read_config(bundle.checkpoint(bundle.drums[0]))
    on = compute.device()
    found: dict[str, Choice] = {
        f"decoding, width {config.width}": packed.choose("auto", on, config, SearchConfig().pool),
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
        for name, choice in found.items()
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


def _shown(found: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    models = found["models"]
    lines = [
        f"dose     {found['dose']}, Python {found['python']}, {found['system']}",
        f"         {packages}",
        f"CPU      {found['cpu']}, {found['instructions']}, {found['cores']} cores, "
        f"{found['memory_gib']} GiB",
        f"GPU      {', '.join(found['gpus']) or 'none that torch can use'}",
        f"models   {models['version']} ({', '.join(models['drums'])}), codec {models['codec']}",
        f"         {models['folder']}",
        f"formats  GFLOP/s as measured here, kept in {found['compute_cache']}",
    ]
    for name, one in found["formats"].items():
        rates = ", ".join(f"{k} {v:g}" for k, v in one["gflop_per_s"].items()) or one["why"]
        threads = f", {one['threads']} threads" if one.get("threads", 1) > 1 else ""
        lines.append(f"         {name}: {one['format']}{threads}  ({rates})")
    return "\n".join(lines)
