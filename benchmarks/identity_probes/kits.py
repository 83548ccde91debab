"""Probe of `dose extract`: the bytes of whole kits, and the numbers that it prints as JSON."""

import gzip
import json
from pathlib import Path
from typing import Any

from .adapter import Tree
from .data import run_command
from .values import Values, digest, exact, files

PATHS = ("source", "out", "files")  # keys of the JSON output whose values name the scratch folder


def kits(tree: Tree) -> Values:
    """Kits in all formats, with two candidates per drum, out of a rendered mix and a shipped loop
    (the quick probe: of the rendered mix alone).

    Each file is compared twice: as it is, and without the version of the models in its text, so that
    `EXPECTED` can leave out the first where the version alone differs.
    """
    found: Values = {}
    mixes = {"rendered": _rendered(tree)} | ({} if tree.quick else {"loop": tree.path("loop")})
    for label, mix in mixes.items():
        out = tree.scratch / "kits" / label
        printed = run_command(
            tree,
            tree.command(
                "extract",
                mix,
                out=out,
                seed=3,
                candidates=2,
                kit="all",
                bundle=tree.models,
                device="cpu",
                precision="fp32",
                json=True,
            ),
        )
        numbers = flat(tree, json.loads(printed))
        versions = {v for k, v in numbers.items() if k.endswith("/version")}
        found |= {f"version/{label}": v for v in versions}
        found |= {f"{label}/json/{k}": v for k, v in numbers.items() if not k.endswith("/version")}
        for name, content in files(out):
            found[f"{label}/file/{name}"] = digest(content)
            found[f"{label}/content/{name}"] = digest(_without(content, versions))
    return found


def flat(tree: Tree, value: Any, where: str = "") -> Values:
    """All leaves of a JSON document, by the path of the probes' names for their keys.

    A key may stand there under its old and its new name; raises AssertionError where the two disagree.
    """
    if isinstance(value, dict):
        items = [(tree.logical("json", key), part) for key, part in value.items()]
    elif isinstance(value, list):
        items = [(str(number), part) for number, part in enumerate(value)]
    else:
        return {where: exact(value)}
    found: Values = {}
    for key, part in items:
        if key in PATHS:
            found[f"{where}/{key}"] = exact(len(part) if isinstance(part, list) else 1)
        else:
            for leaf, shown in flat(tree, part, f"{where}/{key}" if where else key).items():
                if found.setdefault(leaf, shown) != shown:
                    raise AssertionError(f"Two keys of the output stand for {leaf}, with different values.")
    return found


def _rendered(tree: Tree) -> Path:
    """The first mix that the probe `export` wrote."""
    return tree.scratch / "export" / "one" / "000000" / tree.name("file.mix.wav")


def _without(content: bytes, versions: set[str]) -> bytes:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    for version in versions:
        content = content.replace(version.strip("'\"").encode(), b"VERSION")
    return content
