"""A throw-away copy of the project at the tiny scale, to run, kill and repeat `dvc repro` in."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent


class Project:
    """The files that git tracks, as they are now, in `folder`, as a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.more: dict[str, str] = {}  # variables of the environment that a test adds
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)
        self.run("git", "init", "-q")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t", "--allow-empty")
        self.run(sys.executable, "-m", "pipelines.scale", "tiny")

    @property
    def environment(self) -> dict[str, str]:
        """The tests' own interpreter and this copy's code; no server that the user's shell may name."""
        kept = {
            k: v for k, v in os.environ.items() if k not in {"MLFLOW_TRACKING_URI", "RAY_ADDRESS", "SHELL"}
        }
        named = {
            "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
            "PYTHONPATH": f"{self.folder / 'src'}:{self.folder}",
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
        }
        return kept | named | self.more

    def pretend_outputs(self) -> None:
        """Gives each stage an output of one small file, as if it had run; fingerprints are real."""
        self.run(sys.executable, "-m", "pipelines.inputs")
        for name, stage in yaml.safe_load((self.folder / "dvc.yaml").read_text())["stages"].items():
            for drum in stage.get("matrix", {"drum": [""]})["drum"] if name != "inputs" else ():
                [out] = [next(iter(o)) if isinstance(o, dict) else o for o in stage["outs"]]
                folder = self.folder / out.replace("${item.drum}", drum)
                folder.mkdir(parents=True)
                (folder / "output").write_text("output")

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def repro(self, *targets: str) -> str:
        return self.run("dvc", "repro", *targets)

    def start(self, *targets: str) -> subprocess.Popen:
        log = open(self.folder / "repro.log", "a")  # noqa: SIM115 - the process owns it
        return subprocess.Popen(
            ["dvc", "repro", *targets], cwd=self.folder, env=self.environment, stdout=log, stderr=log
        )

    def begun(self, stage: str, run: subprocess.Popen) -> bool:
        """Whether the run of `start` has come to the stage, or ended before."""
        return f"Running stage '{stage}'" in (self.folder / "repro.log").read_text() or run.poll() is not None

    def alive(self) -> list[str]:
        """Command lines of the processes whose working folder lies in this project."""
        found = []
        for p in Path("/proc").glob("[0-9]*"):
            try:
                state = (p / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if (p / "cwd").resolve().is_relative_to(self.folder) and state != "Z":
                    found.append((p / "cmdline").read_text().replace("\0", " "))
            except (OSError, IndexError):
                continue  # gone meanwhile
        return found

    def working(self) -> list[str]:
        """As `alive`, less the two agents of Ray that tell a dead driver for a minute that it is dead."""
        return [line for line in self.alive() if not line.startswith("ray::")]

    def forget(self, stage: str) -> None:
        """As if the stage had never run: no output, no lock entry, no copy that dvc might take it from."""
        shutil.rmtree(self.folder / "data" / stage)
        shutil.rmtree(self.folder / ".dvc/cache", ignore_errors=True)
        lock = self.folder / "dvc.lock"
        said = yaml.safe_load(lock.read_text())
        del said["stages"][stage]
        lock.write_text(yaml.safe_dump(said))

    def results(self) -> dict[str, str]:
        """SHA-256 of what the last stages make and a user keeps: the scores and the kit bundle's weights."""
        kept = [self.folder / "data/evaluate/metrics.json"]
        kept += sorted((self.folder / "data/package/bundle").rglob("*.safetensors"))
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept
        }

    def hashes(self) -> dict[str, str]:
        """What dvc.lock says of each output."""
        stages = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


def wait_for(condition, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:g} s")
