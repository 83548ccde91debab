"""The registry as the service sees it: whether the last move was a rollback, and a rollback of its own.

The service needs no MLflow to follow the registry. To move it, the project's command line is run, where there
is one; in a container without it the service merely keeps to the old models until it is started again.
"""

import json
import subprocess
import sys
from pathlib import Path

from dose import files
from dose.bundle import LIVE
from dose.drums import DRUMS
from serving import telemetry
from serving.settings import ROOT


def rolled_back(folder: Path) -> bool:
    """Whether `folder` is in service because somebody went back to it: then it needs no trial."""
    live, log = ROOT / LIVE, ROOT / LIVE.parent / "audit.jsonl"
    if not log.is_file() or live.resolve() != folder.resolve():
        return False
    lines = log.read_text().splitlines()
    return bool(lines) and json.loads(lines[-1])["action"] == "rollback"


def took_back(old: Path, new: Path, why: str) -> None:
    """Rolls the registry back too, if it is still at the bundle `new`: the drums that differ from `old`."""
    if (ROOT / LIVE).resolve() != new.resolve():
        return
    drums = changed(old, new)
    for drum in ["all"] if drums == list(DRUMS) else drums:
        command = [sys.executable, "-m", "dose.cli", "rollback", drum, "--reason", f"by the service: {why}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        said = " ".join((done.stdout + done.stderr).split())[-300:]
        telemetry.event("registry rolled back" if done.returncode == 0 else "registry stays", said=said)


def changed(old: Path, new: Path) -> list[str]:
    """The drums whose models are not the same files in both bundles."""
    before, after = (files.read_json(folder / files.MANIFEST) for folder in (old, new))
    return [drum for drum in DRUMS if _part(before, drum) != _part(after, drum)]


def _part(manifest: dict[str, str], drum: str) -> dict[str, str]:
    return {name: digest for name, digest in manifest.items() if name.startswith((f"{drum}/", "codec/"))}
