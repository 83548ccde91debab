"""Stage inputs: one fingerprint per stage of the files that params.yaml names and neither git nor DVC tracks.

DVC can depend only on paths that exist, and most of these are optional: a user's sample folders, fetched
packages, downloaded weights, the Groove MIDI Dataset, data/larsnet. So this stage runs with every `dvc repro`
(`always_changed`) and writes data/inputs/<stage>.json; a stage runs again when its own fingerprint differs.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dose import config, files
from dose.evaluate.config import EvaluateConfig, weight_files
from dose.sources.config import SourcesConfig
from dose.tracking.project import project_folder
from pipelines.stage import run_stage

OUT = Path("data/inputs")
CACHE = Path("data/cache/inputs.json")  # hashes of files by size and time of change: a no-op reads none
# What RMOD reads of the Groove MIDI Dataset, which has gigabytes of audio beside.
PERFORMANCES = {".mid", ".midi", ".csv"}


def named_paths() -> dict[str, list[str]]:
    """Stage -> the paths in params.yaml that it reads and that no other stage makes."""
    sources = config.load("sources", SourcesConfig)
    evaluate = config.load("evaluate", EvaluateConfig)
    # Unparsed, because the modules of these two sections take a second to import.
    groove = config.read_section("rmod").get("groove") or {}
    codec = config.read_section("codec")
    packages = [f"{sources.archives}/{name}" for name in (*sources.packages, *sources.validation_packages)]
    return {
        "sources": [
            *(folder.path for folder in sources.folders),
            *packages,
            *(name for name in sources.soundfonts if name.endswith(".sf2")),
        ],
        "rmod": [groove["folder"]] if groove.get("folder") else [],
        "codec": [codec["official"]["weights"]] if codec.get("source") == "official" else [],
        "evaluate": [
            *weight_files(evaluate),
            *([evaluate.larsnet] if evaluate.larsnet else []),
            *(name for name in evaluate.bundles if name != "shipped"),
        ],
    }


def download_codec() -> None:
    """Fetches the official codec's weights where they are missing, so that its stage does not change them."""
    section = config.read_section("codec")
    if section.get("source") == "official" and not Path(section["official"]["weights"]).is_file():
        from dose.codec.official import download

        download(section["official"]["url"], Path(section["official"]["weights"]))


def link_from_project(paths: Iterable[str]) -> None:
    """In the workspace of an experiment, which holds tracked files only: links to the project's own files."""
    project = project_folder()
    for name in paths:
        here, there = Path(name), (project / name).resolve()
        if project != Path() and not here.exists() and there.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(there)


class Hashes:
    """SHA-256 of files; of one whose size and time of change are as before, the stored value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before: dict[str, list[Any]] = files.read_json(path) if path.is_file() else {}
        self.now: dict[str, list[Any]] = {}

    def of(self, file: Path) -> str:
        stat = file.stat()
        known = self.before.get(str(file))
        state = [stat.st_size, stat.st_mtime_ns]
        digest = known[2] if known and known[:2] == state else files.sha256(file)
        self.now[str(file)] = [*state, digest]
        return str(digest)

    def save(self) -> None:
        if self.now != self.before:
            files.write_json(self.path, self.now)


def fingerprint(name: str, hashes: Hashes, suffixes: set[str] | None = None) -> dict[str, Any] | None:
    """Number and digest of the files at or below a path; None where there is nothing."""
    path = Path(name)
    found = {p.relative_to(path).as_posix(): hashes.of(p) for p in _files(path, suffixes)}
    return {"files": len(found), "sha256": files.hash_json(found)} if found else None


def _files(path: Path, suffixes: set[str] | None) -> Iterator[Path]:
    for p in [path] if path.is_file() else sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in p.relative_to(path).parts)  # of editors, of the desktop
        if p.is_file() and not hidden and (suffixes is None or p.suffix.lower() in suffixes):
            yield p


def main() -> None:
    named = named_paths()
    link_from_project(name for paths in named.values() for name in paths)
    download_codec()
    hashes = Hashes(project_folder() / CACHE)  # an experiment does not hash gigabytes again
    with files.atomic(OUT) as beside:
        for stage, paths in named.items():
            suffixes = PERFORMANCES if stage == "rmod" else None
            found = {name: fingerprint(name, hashes, suffixes) for name in sorted(paths)}
            files.write_json(beside / f"{stage}.json", found)
    hashes.save()


if __name__ == "__main__":
    run_stage(main)
