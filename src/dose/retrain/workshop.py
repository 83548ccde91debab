"""A clean worktree in which a run versions its data and reproduces the pipeline: git and dvc as commands."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dose import files
from dose.errors import DoseError
from dose.sources.folder import Folder, enter

INTAKE = "intake"  # in the worktree: every intake so far, tracked by dvc as intake.dvc
AUTHOR = ("-c", "user.name=dose retrain", "-c", "user.email=retrain@dose.invalid")
DVC = (sys.executable, "-m", "dvc")


class Workshop:
    """The worktree `place` of the project `root`, on a branch retrain/<run>; the project is left alone."""

    def __init__(self, root: Path, place: Path, *, dvc: tuple[str, ...] = DVC) -> None:
        self.root, self.place, self.dvc = root.resolve(), place.resolve(), dvc

    def set_up(self, run: str, store: Path, intakes: Mapping[str, Mapping]) -> str:
        """The committed code and params with all intakes entered, as a commit; gives its id.

        Begins afresh when there is one already: nothing of it was reproduced yet.
        """
        self.clear(run)
        self._git("worktree", "add", "-q", "-b", branch(run), str(self.place), "HEAD", at=self.root)
        self._share_cache()
        for name, about in intakes.items():
            shutil.copytree(store / name, self.place / INTAKE / name)
            entry = Folder(
                path=f"{INTAKE}/{name}", licence=about["licence"], author=about["author"], split="train"
            )
            enter(entry, self.place / "params.yaml")
        if intakes:
            self._run(*self.dvc, "add", "-q", INTAKE)
            self._git("add", f"{INTAKE}.dvc", ".gitignore", "params.yaml")
            self._commit(f"Take in {sum(len(a['files']) for a in intakes.values())} sounds for {run}")
        return self._git("rev-parse", "HEAD")

    def reproduce(self, *targets: str) -> None:
        """Brings back what the cache has, then `dvc repro`; a killed one goes on where its stages can."""
        if not self.place.is_dir():
            raise DoseError(f"{self.place} is gone; delete data/retrain/journal.json to begin a new run.")
        self._run(*self.dvc, "checkout", "-q", "--allow-missing", "--force")
        self._run(*self.dvc, "repro", *targets)

    def publish(self, run: str) -> str:
        """Commits dvc.lock and pushes data where there is a remote; gives the commit."""
        self._git("add", "dvc.lock")
        if self._git("status", "--porcelain", "--untracked-files=no"):
            self._commit(f"Reproduce {run}")
        if self._run(*self.dvc, "remote", "list").strip():
            self._run(*self.dvc, "push", "-q")
        return self._git("rev-parse", "HEAD")

    def clear(self, run: str | None = None) -> None:
        """Removes the worktree; with `run` its branch, too, so that it can be made again."""
        gone = self.place.with_name(f"{self.place.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        if self.place.exists():
            self.place.rename(gone)  # at once, so that half a worktree never passes for a whole one
            shutil.rmtree(gone)
        with contextlib.suppress(DoseError):  # git keeps the record of an `add` that was killed locked
            self._git("worktree", "unlock", str(self.place), at=self.root)
        self._git("worktree", "prune", at=self.root)
        if run and self._git("branch", "--list", branch(run), at=self.root):
            self._git("branch", "-q", "-D", branch(run), at=self.root)

    def _share_cache(self) -> None:
        """One cache for project and worktree; the project's lock says what it holds."""
        (self.place / ".dvc" / "config.local").write_text(
            f"[cache]\n    dir = {self.root / '.dvc' / 'cache'}\n"
        )
        if (self.root / "dvc.lock").is_file():
            shutil.copyfile(self.root / "dvc.lock", self.place / "dvc.lock")

    def _commit(self, message: str) -> None:
        self._git(*AUTHOR, "commit", "-q", "-m", message)

    def _git(self, *args: str, at: Path | None = None) -> str:
        return self._run("git", *args, at=at).strip()

    def _run(self, *command: str, at: Path | None = None) -> str:
        # The worktree's own code, not the installed one; runs go to the project's store.
        environment = os.environ | {"PYTHONPATH": f"{self.place / 'src'}"}
        environment.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{self.root / 'mlflow.db'}")
        done = subprocess.run(
            command, cwd=at or self.place, env=environment, capture_output=True, text=True,
            preexec_fn=files.die_with_parent,
        )  # fmt: skip
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())[-400:]
            raise DoseError(f"`{' '.join(Path(c).name for c in command)}` failed: {said}")
        return done.stdout


def branch(run: str) -> str:
    return f"retrain/{run}"
