"""Lineage of a run: the tags that tie it to code, data and machine."""

import os
import platform
import socket
import subprocess
from pathlib import Path

from dose.files import sha256

CODE = Path(__file__).resolve().parents[1]  # the package that runs


def lineage_tags(root: Path | str = ".") -> dict[str, str]:
    """Tags for every run started in the project at `root`.

    git commit of the code that runs and whether its tracked files differ from it, the hash of the project's
    dvc.lock (which holds the hash of every input), host and hardware. A value that cannot be determined, such
    as the commit of an installed wheel, is "unknown", so that all runs have all tags.
    """
    lock = Path(root) / "dvc.lock"
    # An environment inside the project holds packages that git does not track: their commit is not its HEAD.
    tracked = _git(CODE, "ls-files", "--error-unmatch", "__init__.py") is not None
    commit = _git(CODE, "rev-parse", "HEAD") if tracked else None
    changes = _git(CODE, "status", "--porcelain", "--untracked-files=no") if tracked else None
    return {
        "mlflow.source.git.commit": commit or "unknown",
        "dose.git_dirty": "unknown" if changes is None else str(bool(changes)).lower(),
        "dose.dvc_lock": sha256(lock)[:16] if lock.is_file() else "unknown",
        "dose.host": socket.gethostname(),
        "dose.hardware": hardware(),
    }


def dvc_outputs(root: Path | str = ".") -> dict[str, str]:
    """Path -> hash of each stage's outputs, from the project's dvc.lock; empty where there is none."""
    import yaml  # here, so that training runs where only torch and numpy are

    lock = Path(root) / "dvc.lock"
    stages = (yaml.safe_load(lock.read_text()) or {}).get("stages", {}) if lock.is_file() else {}
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}


def hardware() -> str:
    """For example "2 x AMD EPYC 7B13, 24 GiB, 1 x NVIDIA H100 80GB HBM3"."""
    parts = [f"{os.cpu_count()} x {_cpu_name()}", f"{_memory_gib()} GiB"]
    # Here, as importing torch takes seconds that most callers need not spend.
    import torch

    if torch.cuda.is_available():
        parts.append(f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")
    return ", ".join(parts)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _git(root: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
