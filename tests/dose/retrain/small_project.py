"""A small project for retraining: git, dvc, MLflow and the Bento store are real; models are text files.

Run as a script it is `dose retrain` in that folder: `python small_project.py [PHASE WHEN]` sends itself
SIGKILL after that phase, or within it: half a second after its beginning, or at its end if that comes sooner.
In both cases the run state on disk does not contain the phase yet.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[3]
STAGE = """
import hashlib, subprocess
from pathlib import Path
from dose import files
from dose.drums import DRUMS
from dose.tracking import Tracker, lineage_tags

digest = hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest()[:8]
commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
tracker = Tracker("dose")
codec = Path("data/codec")
codec.mkdir(parents=True, exist_ok=True)
files.write_json(codec / "codec.json", {"id": "codec-1"})
transcription = Path("data/transcription")
transcription.mkdir(parents=True, exist_ok=True)
(transcription / "network.safetensors").write_text("network")
for drum in DRUMS:
    run = tracker.open_run(f"sweep-{drum}-{digest}/t0", f"{drum} trial")
    # The code of this stage lies in the worktree, that of dose does not.
    tracker.set_tags(run, lineage_tags() | {"mlflow.source.git.commit": commit})
    best = Path("data/sweep") / drum / "best"
    best.mkdir(parents=True, exist_ok=True)
    (best / "weights.safetensors").write_text(f"{drum} of {digest}")
    files.write_json(best / "model.json", {"meta": {"codec_id": "codec-1", "drum": drum, "data_id": digest}})
    about = {"drum": drum, "sweep": f"sweep-{drum}-{digest}", "best": "t0"}
    files.write_json(best.parent / "trials.json", about | {"trials": []})
    tracker.log_artifacts(run, best / "model.json")
    tracker.end_run(run, "FINISHED")
"""
SERVICE = """
import bentoml


@bentoml.service(name="dose")
class Dose:
    @bentoml.api
    def nothing(self, x: int) -> int:
        return x
"""
BENTO = (
    '[tool.bentoml.build]\nservice = "service:Dose"\ninclude = ["service.py", "data/package/bundle/**/*"]\n'
)


def make(root: Path) -> None:
    """Writes the project into the empty folder `root`, with one commit."""
    stage = {
        "cmd": "exec python stage.py",
        "deps": ["stage.py", "params.yaml"],
        "outs": [
            "data/codec",
            "data/transcription",
            *(f"data/sweep/{d}" for d in ("kick", "snare", "hihat")),
        ],
    }
    (root / "params.yaml").write_text(
        "sources:\n  folders: []\npackage:\n"
        "  {register: true, first_champion: trained, bento: true, calibration_mixes: 0}\n"
    )
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": stage}}))
    (root / "stage.py").write_text(STAGE)
    (root / "service.py").write_text(SERVICE)
    (root / "pyproject.toml").write_text(BENTO)
    (root / ".gitignore").write_text("/data/\n/mlflow.db*\n/mlartifacts/\n/incoming/\n/bentoml/\n")
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    run(root, "git", "init", "-q")
    run(root, "git", "add", ".")
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")


def environment(root: Path) -> dict[str, str]:
    dropped = {"MLFLOW_TRACKING_URI", "RAY_ADDRESS"}
    return {k: v for k, v in os.environ.items() if k not in dropped} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "BENTOML_HOME": str(root / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def run(root: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=root, env=environment(root), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def measure(bundle: Path, worktree: Path, examples: Path):
    """The challenger's MSS is always a fifth lower."""
    from dose import audio
    from dose.drums import DRUMS
    from dose.registry.gate import ModelScores

    audio.write(examples / "1-kick.flac", np.zeros(100, np.float32))
    rng = np.random.default_rng(0)
    references = {d: rng.normal(size=(60, 1, 3)).astype(np.float32) for d in DRUMS}
    seed_effect = np.random.default_rng(len(bundle.name)).normal(0, 0.03, 60)
    better = 0.8 if bundle.name == "challenger" else 1.0
    scores = {
        d: ModelScores(
            mss=better * np.exp(seed_effect), embeddings=references[d] + 1, seconds=0.1, size_mb=1.0
        )
        for d in DRUMS
    }
    return scores, references


def main(phase: str = "", when: str = "") -> None:
    from dose.files import die_with_parent
    from dose.registry.gate_config import GateConfig
    from dose.retrain import Orchestrator, RetrainConfig
    from dose.retrain.config import Triggers
    from dose.retrain.steps import ProjectSteps
    from pipelines import package

    die_with_parent()
    settings = RetrainConfig(
        gate=GateConfig(items=60, resamples=100), triggers=Triggers(cron=None, new_clips=1), free_gb=0.1
    )
    steps = ProjectSteps(settings, package, measure=measure)
    run_phase = steps.run_phase

    def killed(name, state, folder):
        if name != phase:
            return run_phase(name, state, folder)
        if when == "within":
            threading.Timer(0.5, kill).start()
        run_phase(name, state, folder)
        kill()

    steps.run_phase = killed
    outcome = Orchestrator(settings, steps, log=print).start()
    print(f"{outcome.status}. {outcome.message}")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
