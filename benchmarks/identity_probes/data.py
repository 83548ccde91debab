"""Probes of the data: the sample library, exported items, token shards."""

import dataclasses
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .adapter import DRUMS, Tree
from .values import Values, array, digest, exact, files

LIBRARY = {"sources.train": 4, "sources.val": 2, "sources.test": 2}
CLASSES = (*DRUMS, "bass", "piano", "guitar", "vocal")
KINDS = ("mix", "hits", "levels")


def sources(tree: Tree) -> Values:
    """The shipped and synthesised clips of the base commit's classes: their sounds and facts.

    The library has more classes today, and so another id.
    """
    config = tree.config("SourcesConfig", "sources", LIBRARY)
    library = tree.get("build_sources")(config, library_folder(tree))
    clips = [clip for clip in tree.attr(library, "library.clips") if clip.cls in CLASSES]
    facts = sorted(" ".join(map(repr, dataclasses.astuple(clip))) for clip in clips)
    sounds = sorted(f"{clip.id} {digest((library_folder(tree) / clip.file).read_bytes())}" for clip in clips)
    return {
        "clips": exact(len(clips)),
        "facts": digest("\n".join(facts).encode()),
        "sounds": digest("\n".join(sounds).encode()),
    }


def export(tree: Tree) -> Values:
    """Bytes of exported items, by one worker in one shard and by two workers in shards of one item."""
    count = 2 if tree.quick else 3
    one = _exported(tree, "one", split="test", count=count, workers=1)
    two = _exported(tree, "two", {"rmod.shard": 1}, split="test", count=count, workers=2)
    if one != two:
        raise AssertionError("The bytes of exported items depend on the number of workers.")
    out = {f"test/{name}": value for name, value in one.items()}
    sets: dict[str, dict[str, Any]] = {"train": {"split": "train", "start": 7, "stems": True}}
    if not tree.quick:
        sets |= {"drums": {"dataset": "rmod_drums"}, "groove": {"dataset": "groove"}}
    for label, options in sets.items():
        made = _exported(tree, label, count=1, **options)
        out |= {f"{label}/{name}": value for name, value in made.items()}
    return out


def tokens(tree: Tree) -> Values:
    """The arrays of train and validation shards with all kinds of prompts, and what the codes sound like."""
    size = 4 if tree.quick else 6
    changes = {
        "tokens.train": size,
        "tokens.val": 3,
        "tokens.shard": 2,
        "tokens.workers": 1,
        "tokens.prompts": [tree.name(f"value.prompt.{kind}") for kind in KINDS],
    }
    codec, out = tree.scratch / "codec", tokens_folder(tree)
    tree.attr(tree.get("shipped_codec")(), "codec.save")(codec)
    tree.get("build_tokens")(
        tree.config("TokensConfig", "tokens", changes),
        tree.config("RmodConfig", "rmod", {}),
        library_folder(tree),
        codec,
        *([tree.path("transcription")] if tree.table["path.transcription"] else []),
        out,
    )
    wanted = {
        tree.name(f"array.{kind}").format(drum=drum): f"{kind} {drum}".removeprefix("mix ")
        for kind in ("shot", "mix", "hits", "levels", "picture")
        for drum in (("mix",) if kind == "mix" else DRUMS)
    }
    found: Values = {}
    for path in sorted(out.rglob("*.npy")):
        where = path.parent.relative_to(out).as_posix()
        known = wanted.get(path.stem, "unknown" if where != "." else "codebook vectors")
        found[f"{where}/{known}"] = array(np.load(path))
    return {**found, "arrays": exact(len(found))}


def library_folder(tree: Tree) -> Path:
    """Where the probe `sources` leaves the library."""
    return tree.scratch / "library"


def tokens_folder(tree: Tree) -> Path:
    """Where the probe `tokens` leaves the shards."""
    return tree.scratch / "tokens"


def run_command(tree: Tree, words: list[str]) -> str:
    """What `dose WORDS` prints; raises RuntimeError where it fails."""
    with redirect_stdout(io.StringIO()) as printed:
        code = tree.get("cli")(words)
    if code:
        raise RuntimeError(f"`dose {' '.join(words)}` ended with {code}.")
    return printed.getvalue()


def _exported(tree: Tree, label: str, changes: dict | None = None, **options: object) -> Values:
    out, params = tree.scratch / "export" / label, tree.scratch / f"{label}.yaml"
    params.write_text(yaml.safe_dump(tree.params(changes or {})))
    run_command(tree, tree.command("export", out=out, params=params, sources=library_folder(tree), **options))
    found = {}
    for name, content in files(out):
        item, _, file = name.partition("/")
        found[f"{item}/{tree.logical('file', file)}"] = digest(content)
    return found
