"""What the project's own table is made of: its rows, its judges, its real recordings."""

from collections.abc import Sequence
from pathlib import Path

from dose.drums import DRUMS
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.items import Item
from dose.evaluate.scoring import Judge
from dose.evaluate.systems import Dose, Reconstruction, System, hpss

ROWS = {"DOSE without onset loss": "ablation", "DOSE": "best"}  # row -> folder beside each drum's sweep


def systems(config: EvaluateConfig, *, codec, codec_folder: Path, sweep: Path, cache: Path) -> list[System]:
    """Reconstruction, separation, both DOSE rows from the sweep, then `config.bundles`, in this order."""
    from dose import files
    from dose.extract.bundle import assemble

    rows: list[System] = [Reconstruction(codec=codec), hpss()]
    for name, kind in ROWS.items():
        folders = {d: sweep / d / kind for d in DRUMS if (sweep / d / kind / "model.json").is_file()}
        if folders:
            digest = files.hash_json([[d, files.sha256(f / "model.json")] for d, f in folders.items()])
            bundle = cache / "bundles" / f"{kind}-{codec.id}-{digest}"
            if not bundle.is_dir():
                assemble(bundle, codec=codec_folder, checkpoints=folders)
            rows.append(Dose.load(name, bundle))
    rows += [Dose.load(f"DOSE ({Path(folder).name})", Path(folder)) for folder in config.bundles]
    return rows


def judges(sources: Path) -> Sequence[Judge]:
    return []


def recordings() -> list[Item]:
    return []
