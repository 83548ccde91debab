"""Codecs on disk: a folder with codec.json and a weights file, which is checked before it is used."""

from pathlib import Path
from typing import Any

import torch

from dose import files
from dose.codec.codec import Codec, check_same
from dose.codec.compact import CompactCodec, CompactConfig, table_shapes
from dose.codec.tables import read_tables
from dose.config import parse
from dose.errors import IntegrityError

BUNDLED = Path(__file__).parent / "weights"


def bundled_codec() -> Codec:
    """The compact drum codec that ships with the package."""
    return load_codec(BUNDLED)


def load_codec(folder: Path | str) -> Codec:
    """Opens what `Codec.save` wrote.

    Raises MissingInputError when a file is absent, IntegrityError when the weights are truncated, of another
    size, not those of codec.json, or a pickle.
    """
    folder = Path(folder)
    meta = files.read_json(folder / "codec.json")
    if not isinstance(meta, dict) or not isinstance(meta.get("id"), str):
        raise IntegrityError(f"{folder / 'codec.json'} does not describe a codec; make {folder} again.")
    if meta.get("kind") == "dac":
        from dose.codec.dac import load_dac

        return load_dac(folder, meta)
    if meta.get("kind") != "compact":
        raise IntegrityError(
            f"{folder / 'codec.json'} names the unknown codec kind {meta.get('kind')!r}; "
            "this version of dose knows compact and dac."
        )
    return _load_compact(folder, meta)


def _load_compact(folder: Path, meta: dict[str, Any]) -> CompactCodec:
    # codec.json has the settings under their stored names, see `CompactConfig.stored`.
    config = parse(CompactConfig, meta.get("config"), f"{folder / 'codec.json'}: config", announce=False)
    path = folder / str(meta.get("weights", "weights.safetensors"))
    tables = read_tables(path)
    expected = table_shapes(config)
    if tables.keys() != expected.keys():
        differing = sorted(tables.keys() ^ expected.keys())
        raise IntegrityError(
            f"{path} does not hold the tables of a compact codec (differs in {', '.join(differing)})."
        )
    for name, shape in expected.items():
        found = tables[name].shape
        if len(found) != len(shape) or any(s not in (None, f) for s, f in zip(shape, found, strict=True)):
            raise IntegrityError(
                f"{path}: table {name} has the shape {list(found)}, but codec.json asks for {list(shape)}; "
                "the weights belong to another codec."
            )
        if not torch.isfinite(tables[name]).all():
            raise IntegrityError(f"{path}: table {name} holds numbers that are not finite; fetch it again.")
    codec = CompactCodec(config, tables)
    codec.provenance = meta.get("made")
    check_same(meta["id"], codec.id, f"The weights in {path}")
    return codec
