"""What the project's own table is made of: its rows, its judges, its real recordings."""

from collections.abc import Sequence
from pathlib import Path

from dose import files
from dose.drums import DRUMS
from dose.errors import MissingInputError
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.items import Item
from dose.evaluate.scoring import Judge
from dose.evaluate.systems import Dose, Reconstruction, System, hpss, larsnet

SWEPT = {"DOSE without onset loss": "ablation", "DOSE": "best"}  # row -> folder in each drum's sweep


def systems(
    config: EvaluateConfig, *, codec, codec_folder: Path, sweep: Path, cache: Path
) -> tuple[list[System], dict[str, str]]:
    """The rows in the table's order, and for those that cannot be had the reason why.

    Reconstruction, the separators, both DOSE rows from the sweep, then `config.bundles`.
    """
    rows: list[System] = [Reconstruction(codec=codec), hpss()]
    lacking = {}
    try:
        rows.append(larsnet(Path(config.larsnet)))
    except MissingInputError as e:
        lacking["LarsNet"] = str(e)
    for name, kind in SWEPT.items():
        folders = {d: sweep / d / kind for d in DRUMS if (sweep / d / kind / "model.json").is_file()}
        if folders:
            rows.append(Dose.load(name, swept_bundle(kind, folders, codec_folder, cache)))
        else:
            lacking[name] = f"no models: {sweep}/<drum>/{kind} is missing; run `dvc repro sweep`."
    rows += [Dose.load(f"DOSE ({Path(folder).name})", Path(folder)) for folder in config.bundles]
    return rows, lacking


def swept_bundle(kind: str, folders: dict[str, Path], codec: Path, cache: Path) -> Path:
    """A bundle in the cache of the sweep's checkpoints; made once for the same ones."""
    from dose.extract.bundle import assemble

    parts = [codec, *folders.values()]
    digests = [files.sha256(p) for part in parts for p in sorted(part.rglob("*")) if p.is_file()]
    bundle = cache / "bundles" / f"{kind}-{files.hash_json(digests)}"
    if not bundle.is_dir():
        assemble(bundle, codec=codec, checkpoints=folders)
    return bundle


def judges(sources: Path) -> Sequence[Judge]:
    """The class check and the copy check, fitted to the catalogue in `sources`."""
    from dose.evaluate.judges import ClassCheck, CopyCheck
    from dose.sources.catalogue import Bank

    bank = Bank.load(sources)
    return [ClassCheck.from_bank(bank), CopyCheck.from_bank(bank)]


def recordings() -> list[Item]:
    """Real recordings without truth, shown on the listening page."""
    from dose.sources.bundled import demo_recordings

    return [Item(index=i, mix=path, shots={}, name=path.stem) for i, path in enumerate(demo_recordings())]
