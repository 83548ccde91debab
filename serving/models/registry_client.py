"""The registry as the service uses it: whether the last alias change was a rollback, and rolling it back.

The service follows the registry's link without MLflow. To change the registry, it runs the project's command
line; in a container without it, the service only returns to the stable models until it is restarted.
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

_LOGGED_CHARACTERS = 300  # of the command's output: its end states the outcome


def is_rollback(folder: Path) -> bool:
    """Whether a rollback put `folder` into service: a bundle that served before needs no canary rollout."""
    live, log = ROOT / LIVE, ROOT / LIVE.parent / "audit.jsonl"
    if not log.is_file() or live.resolve() != folder.resolve():
        return False
    # The audit log's last line is the change that put the link where it is.
    lines = log.read_text().splitlines()
    return bool(lines) and json.loads(lines[-1])["action"] == "rollback"


def roll_back(stable: Path, canary: Path, reason: str) -> None:
    """Rolls the registry back, if it still serves the bundle `canary`, for the drums that changed."""
    if (ROOT / LIVE).resolve() != canary.resolve():
        return
    drums = changed_drums(stable, canary)
    # A drum alone is rolled back where the others did not change; `all` restores a whole bundle at once.
    for drum in ["all"] if drums == list(DRUMS) else drums:
        command = [sys.executable, "-m", "dose.cli", "rollback", drum]
        command += ["--reason", f"by the service: {reason}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        output = " ".join((done.stdout + done.stderr).split())[-_LOGGED_CHARACTERS:]
        telemetry.event(
            "registry rolled back" if done.returncode == 0 else "registry rollback failed", output=output
        )


def changed_drums(stable: Path, canary: Path) -> list[str]:
    """The drums whose model or codec files differ between two bundles, by their manifests' hashes."""
    before, after = (files.read_json(folder / files.MANIFEST) for folder in (stable, canary))
    return [drum for drum in DRUMS if _hashes(before, drum) != _hashes(after, drum)]


def _hashes(manifest: dict[str, str], drum: str) -> dict[str, str]:
    return {name: digest for name, digest in manifest.items() if name.startswith((f"{drum}/", "codec/"))}
