"""A clean worktree in which a run versions its data and reproduces the pipeline: git and dvc as commands."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from dose import files
from dose.errors import DoseError
from dose.sources.adapters.folder import Folder, enter
from dose.tracking.store import sqlite_uri

INTAKE = "intake"  # in the worktree: every intake so far, tracked by dvc as intake.dvc
FETCHED = (  # keys of params.yaml that name files which git does not have
    ("sources", "archives"),
    ("sources", "packs"),  # the name of archives before
    ("rmod", "groove", "folder"),
    ("codec", "official", "weights"),
    ("evaluate", "weights"),
    ("evaluate", "larsnet"),
)
AUTHOR = ("-c", "user.name=dose retrain", "-c", "user.email=retrain@dose.invalid")
DVC = (sys.executable, "-m", "dvc")


class Worktree:
    """The worktree `place` of the project `root`, on a branch retrain/<run>; the project is left alone."""

    def __init__(self, root: Path, place: Path, *, dvc: tuple[str, ...] = DVC) -> None:
        self.root, self.place, self.dvc = root.resolve(), place.resolve(), dvc

    def set_up(self, run: str, store: Path, intakes: Mapping[str, Mapping]) -> str:
        """The committed code and params with all intakes entered, as a commit of this run; gives its id.

        Begins afresh when there is one already: nothing of it was reproduced yet.
        """
        self.clear(run)
        self._git("worktree", "add", "-q", "-b", branch(run), str(self.place), "HEAD", at=self.root)
        self._share_cache()
        self._link_fetched()
        for name, about in intakes.items():
            shutil.copytree(store / name, self.place / INTAKE / name)
            self._enter(f"{INTAKE}/{name}", about)
        if intakes:
            self._run(*self.dvc, "add", "-q", INTAKE)
            self._git("add", f"{INTAKE}.dvc", ".gitignore", "params.yaml")
        self._commit(f"Train {run} with {sum(len(a['files']) for a in intakes.values())} sounds taken in")
        return self._git("rev-parse", "HEAD")

    def _enter(self, path: str, about: Mapping) -> None:
        params = self.place / "params.yaml"
        known = yaml.safe_load(params.read_text())["sources"]["folders"] or []
        if path not in [entry["path"] for entry in known]:  # as they are once the branch was merged
            enter(Folder(path=path, licence=about["licence"], author=about["author"], split="train"), params)

    def params(self) -> str:
        """Names the committed params, without the intakes that a merged branch has entered there."""
        params = yaml.safe_load(self._git("show", "HEAD:params.yaml", at=self.root))
        folders = params["sources"]["folders"] or []
        params["sources"]["folders"] = [f for f in folders if Path(f["path"]).parts[0] != INTAKE]
        return files.hash_json(params)

    def fetched(self) -> str:
        """Names what was fetched into the project by its files' names and sizes: an update changes it."""
        params = yaml.safe_load(self._git("show", "HEAD:params.yaml", at=self.root))
        found = {
            path.relative_to(self.root).as_posix(): path.stat().st_size
            for name in _fetched(params)
            for path in [self.root / name, *(self.root / name).rglob("*")]
            if path.is_file()
        }
        return files.hash_json(found)

    def _link_fetched(self) -> None:
        """What was fetched into the project (packages, weights) is found in the worktree, too."""
        for name in _fetched(yaml.safe_load((self.place / "params.yaml").read_text())):
            there, here = self.root / name, self.place / name
            if there.exists() and not here.exists():
                here.parent.mkdir(parents=True, exist_ok=True)
                here.symlink_to(there)

    def reproduce(self, *targets: str) -> None:
        """Brings back what the cache has, then `dvc repro`; a killed one goes on where its stages can."""
        if not self.place.is_dir():
            raise DoseError(f"{self.place} is gone; delete data/retrain/journal.json to begin a new run.")
        self._run(*self.dvc, "checkout", "-q", "--allow-missing", "--force")
        self._run(*self.dvc, "repro", *targets)

    def publish(self, run: str) -> str:
        """Commits dvc.lock and pushes data where there is a remote; gives the commit."""
        self._unlock(run)
        self._git("add", "dvc.lock")
        if self._git("status", "--porcelain", "--untracked-files=no"):
            self._commit(f"Reproduce {run}")
        if self._run(*self.dvc, "remote", "list").strip():
            self._run(*self.dvc, "push", "-q")
        return self._git("rev-parse", "HEAD")

    def _unlock(self, run: str) -> None:
        """Takes away the locks of a git that was killed; whoever retrains is alone here."""
        own = Path(self._git("rev-parse", "--absolute-git-dir"))
        for lock in (own / "index.lock", own / "HEAD.lock", self._ref_lock(run)):
            lock.unlink(missing_ok=True)

    def _ref_lock(self, run: str) -> Path:
        shared = self._git("rev-parse", "--path-format=absolute", "--git-common-dir", at=self.root)
        return Path(shared) / "refs" / "heads" / f"{branch(run)}.lock"

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
        if run:
            self._ref_lock(run).unlink(missing_ok=True)
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
        # A commit of its own even where nothing changed: the runs it trains are found by it.
        self._git(*AUTHOR, "commit", "-q", "--allow-empty", "-m", message)

    def _git(self, *args: str, at: Path | None = None) -> str:
        return self._run("git", *args, at=at).strip()

    def _run(self, *command: str, at: Path | None = None) -> str:
        # The worktree's own code, not the installed one; runs go to the project's store.
        environment = os.environ | {"PYTHONPATH": f"{self.place / 'src'}"}
        environment.setdefault("MLFLOW_TRACKING_URI", sqlite_uri(self.root / "mlflow.db"))
        done = subprocess.run(
            command, cwd=at or self.place, env=environment, capture_output=True, text=True,
            preexec_fn=files.die_with_parent,
        )  # fmt: skip
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())[-400:]
            raise DoseError(f"`{' '.join(Path(c).name for c in command)}` failed: {said}")
        return done.stdout


def _fetched(params: Mapping) -> list[str]:
    """The paths in the project that the keys of FETCHED name."""
    named = []
    for keys in FETCHED:
        value: object = params
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and not Path(value).is_absolute():
            named.append(value)
    return named


def branch(run: str) -> str:
    return f"retrain/{run}"
