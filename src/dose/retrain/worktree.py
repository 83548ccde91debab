"""A clean git worktree in which a run versions its data and reproduces the pipeline, by git and dvc."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dose import files
from dose.errors import DoseError
from dose.sources.adapters.folder import Folder, enter
from dose.tracking.sqlite import sqlite_uri

# Folder of every ingested batch so far, tracked by dvc. Branches that were merged into a project name their
# sounds by it.
BATCHES = "intake"  # an old name, kept in existing branches
# Keys of params.yaml that name downloaded files, which git does not track.
DOWNLOADS = (
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
    """The worktree at `path` of the project `root`, on a branch retrain/<run>; the project is left alone."""

    def __init__(self, root: Path, path: Path, *, dvc: tuple[str, ...] = DVC) -> None:
        self.root, self.path, self.dvc = root.resolve(), path.resolve(), dvc

    def warnings(self) -> list[str]:
        """What of the project as it is now takes no part in a run, for the log of its start."""
        try:
            changed = self._git("diff", "--name-only", "HEAD", at=self.root).splitlines()
            detached = self._git("rev-parse", "--abbrev-ref", "HEAD", at=self.root) == "HEAD"
        except DoseError:
            return [f"{self.root} is no git repository with a commit; a run needs one."]
        # A worktree gets the project's dvc.lock as it is.
        changed = [name for name in changed if name != "dvc.lock"]
        found = []
        if changed:
            named = ", ".join(changed[:3]) + (" and others" if len(changed) > 3 else "")
            found.append(
                f"Uncommitted changes take no part in a run: {named}. Commit them to train with them."
            )
        if detached:
            found.append("HEAD is detached: a run trains this commit, which may be no branch's newest.")
        return found

    def set_up(self, run: str, store: Path, batches: Mapping[str, Mapping[str, Any]]) -> str:
        """Commits the project's HEAD with all ingested batches added; gives the commit's id.

        Replaces an existing worktree: nothing is reproduced in it before this returns.
        """
        self.clear(run)
        # A branch of its own, from the committed state.
        self._git("worktree", "add", "-q", "-b", branch(run), str(self.path), "HEAD", at=self.root)
        self._share_cache()
        self._link_downloads()
        for name, metadata in batches.items():
            shutil.copytree(store / name, self.path / BATCHES / name)
            self._add_source(f"{BATCHES}/{name}", metadata)
        if batches:
            # dvc tracks the sounds; git tracks their hash and the params that name them.
            self._run(*self.dvc, "add", "-q", BATCHES)
            self._git("add", f"{BATCHES}.dvc", ".gitignore", "params.yaml")
        self._commit(f"Train {run} with {sum(len(m['files']) for m in batches.values())} ingested sounds")
        return self._git("rev-parse", "HEAD")

    def _add_source(self, path: str, metadata: Mapping[str, Any]) -> None:
        """Adds a batch to sources.folders, unless a merged branch has done so."""
        params = self.path / "params.yaml"
        known = yaml.safe_load(params.read_text())["sources"]["folders"] or []
        if path not in [folder["path"] for folder in known]:
            added = Folder(path=path, licence=metadata["licence"], author=metadata["author"], split="train")
            enter(added, params)

    def params_key(self) -> str:
        """Hash of the committed params without the ingested folders, which merging a run's branch adds."""
        params = self._committed_params()
        folders = params["sources"]["folders"] or []
        params["sources"]["folders"] = [f for f in folders if Path(f["path"]).parts[0] != BATCHES]
        return files.hash_json(params)

    def downloads_key(self) -> str:
        """Hash of names and sizes of downloads and own sounds, which an update or another file changes."""
        sizes = {
            path.relative_to(self.root).as_posix(): path.stat().st_size
            for name in _downloads(self._committed_params())
            for path in [self.root / name, *(self.root / name).rglob("*")]
            if path.is_file()
        }
        return files.hash_json(sizes)

    def _committed_params(self) -> dict[str, Any]:
        params: dict[str, Any] = yaml.safe_load(self._git("show", "HEAD:params.yaml", at=self.root))
        return params

    def _link_downloads(self) -> None:
        """Links what git does not track: downloaded packages and weights, a user's own sounds."""
        for name in _downloads(yaml.safe_load((self.path / "params.yaml").read_text())):
            source, link = self.root / name, self.path / name
            if source.exists() and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source)

    def reproduce(self, *targets: str) -> None:
        """Checks out what dvc's cache has, then runs `dvc repro`; repeated after a kill, it resumes."""
        if not self.path.is_dir():
            raise DoseError(f"{self.path} is gone; delete data/retrain/run_state.json to begin a new run.")
        # Outputs of stages that the project has reproduced already come from the shared cache.
        self._run(*self.dvc, "checkout", "-q", "--allow-missing", "--force")
        self._run(*self.dvc, "repro", *targets)

    def publish(self, run: str) -> str:
        """Commits dvc.lock and pushes the data where there is a remote; gives the commit."""
        self._remove_stale_git_locks(run)
        self._git("add", "dvc.lock")
        # A repeated phase finds its commit made.
        if self._git("status", "--porcelain", "--untracked-files=no"):
            self._commit(f"Reproduce {run}")
        # Without a remote the data stay in the local cache.
        if self._run(*self.dvc, "remote", "list").strip():
            self._run(*self.dvc, "push", "-q")
        return self._git("rev-parse", "HEAD")

    def _remove_stale_git_locks(self, run: str) -> None:
        """A killed git leaves its locks; the retraining lock makes sure that no other git works here."""
        git_dir = Path(self._git("rev-parse", "--absolute-git-dir"))
        for lock in (git_dir / "index.lock", git_dir / "HEAD.lock", self._branch_lock(run)):
            lock.unlink(missing_ok=True)

    def _branch_lock(self, run: str) -> Path:
        shared = self._git("rev-parse", "--path-format=absolute", "--git-common-dir", at=self.root)
        return Path(shared) / "refs" / "heads" / f"{branch(run)}.lock"

    def clear(self, run: str | None = None) -> None:
        """Removes the worktree; with `run` its branch too, so that it can be created again."""
        gone = self.path.with_name(f"{self.path.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        if self.path.exists():
            # Renamed first, so that a kill never leaves half a worktree under its name.
            self.path.rename(gone)
            shutil.rmtree(gone)
        # A killed `git worktree add` leaves its entry locked, and prune keeps locked entries.
        with contextlib.suppress(DoseError):
            self._git("worktree", "unlock", str(self.path), at=self.root)
        self._git("worktree", "prune", at=self.root)
        if run:
            self._branch_lock(run).unlink(missing_ok=True)
        if run and self._git("branch", "--list", branch(run), at=self.root):
            self._git("branch", "-q", "-D", branch(run), at=self.root)

    def _share_cache(self) -> None:
        """One dvc cache for project and worktree, and the project's lock, which lists its content."""
        (self.path / ".dvc" / "config.local").write_text(
            f"[cache]\n    dir = {self.root / '.dvc' / 'cache'}\n"
        )
        if (self.root / "dvc.lock").is_file():
            shutil.copyfile(self.root / "dvc.lock", self.path / "dvc.lock")

    def _commit(self, message: str) -> None:
        # Also where nothing changed: the run's MLflow runs are found by a commit of its own.
        self._git(*AUTHOR, "commit", "-q", "--allow-empty", "-m", message)

    def _git(self, *args: str, at: Path | None = None) -> str:
        return self._run("git", *args, at=at).strip()

    def _run(self, *command: str, at: Path | None = None) -> str:
        # The worktree's own code and not the installed one; MLflow runs go to the project's store.
        environment = os.environ | {"PYTHONPATH": f"{self.path / 'src'}"}
        # Empty in a workflow whose repository names no server.
        if not environment.get("MLFLOW_TRACKING_URI"):
            environment["MLFLOW_TRACKING_URI"] = sqlite_uri(self.root / "mlflow.db")
        done = subprocess.run(
            command, cwd=at or self.path, env=environment, capture_output=True, text=True,
            preexec_fn=files.die_with_parent,
        )  # fmt: skip
        if done.returncode != 0:
            output = " ".join((done.stderr or done.stdout).split())[-400:]
            raise DoseError(f"`{' '.join(Path(c).name for c in command)}` failed: {output}")
        return done.stdout


def _downloads(params: Mapping[str, Any]) -> list[str]:
    """The paths in the project that the keys in DOWNLOADS name, and a user's own folders of sounds."""
    listed = params["sources"].get("folders") or []
    paths = [f["path"] for f in listed if Path(f["path"]).parts[0] != BATCHES]
    for keys in DOWNLOADS:
        value: object = params
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        paths += [value] if isinstance(value, str) else []
    return [path for path in paths if not Path(path).is_absolute()]


def branch(run: str) -> str:
    """The git branch of a run."""
    return f"retrain/{run}"
