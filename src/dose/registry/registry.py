"""The registered models dose-kick, dose-snare and dose-hihat: versions, aliases, every move on record.

A version is a bundle of one drum: its model with the codec it speaks. The aliases of a model are `champion`
(in service), `challenger` (newest, waiting for a verdict) and `previous` (the champion before). The champions
together are assembled into the live bundle, a link that the service follows.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import getpass
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dose import files
from dose.bundle import LIVE, Bundle, assemble, open_bundle
from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.tracking import ModelVersion, Tracker

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DATA_TAG = "dose.dvc."  # tags of a version: dvc's hash of each stage's output that it was made from
EXPERIMENT = "dose"
HOME = LIVE.parent  # below the project's root: audit log, local copies, the live bundle


def model_name(drum: str) -> str:
    return f"dose-{drum}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AliasChange:
    """One line of the audit log."""

    time: str  # ISO 8601, UTC
    action: str  # register, promote, rollback
    drum: str
    version: int
    before: dict[str, int]  # aliases
    after: dict[str, int]
    reason: str
    by: str


class Registry:
    """The project's registry: MLflow holds versions and aliases, `home` the audit log and the live bundle.

    One writer at a time: changes take a lock, and the alias moves of a change are written down before they
    are made, so that a killed one is completed by the next. A rollback goes by the audit log and the local
    copies alone: the link turns at once, and MLflow is told afterwards, by the next change if it is away.
    """

    def __init__(self, tracker: Tracker | None = None, root: Path | str = ".") -> None:
        self.tracker = tracker or Tracker(EXPERIMENT, root=root)
        self.home = Path(root) / HOME
        self.log = self.home / "audit.jsonl"
        self.live = Path(root) / LIVE

    # Registering

    def register(
        self, bundle: Bundle, *, tags: Mapping[str, str], runs: Mapping[str, str] | None = None
    ) -> dict[str, ModelVersion]:
        """A version per drum of the bundle; the one there is where the files are the same.

        A model's first version becomes champion at once, a later new one challenger. `runs` names the MLflow
        run of each drum.
        """
        with self._writing():
            versions = {}
            for drum in bundle.drums:
                with self._single(bundle, drum) as folder:
                    versions[drum] = self.tracker.register(
                        model_name(drum),
                        folder,
                        hash=_contents(bundle, drum),
                        tags={**tags, "dose.drum": drum, "dose.codec_id": bundle.codec_id},
                        run_id=(runs or {}).get(drum),
                    )
                self._announce(drum, versions[drum].version)
            if not self.live.exists():
                self.deploy()
            return versions

    def _announce(self, drum: str, version: int) -> None:
        before = self.aliases(drum)
        if version in before.values():
            return
        if CHAMPION not in before:
            after = {**before, CHAMPION: version}
        elif version < before[CHAMPION] or version < before.get(CHALLENGER, 0):
            return  # an old model made again is no news
        else:
            after = {**before, CHALLENGER: version}
        self._make([_move("register", drum, before, after, "a new version", version)])

    @contextlib.contextmanager
    def _single(self, bundle: Bundle, drum: str) -> Iterator[Path]:
        folder = self.home / "incoming" / drum
        shutil.rmtree(folder, ignore_errors=True)
        try:
            assemble(
                folder,
                codec=bundle.codec,
                checkpoints={drum: bundle.checkpoint(drum)},
                metrics=_only(bundle.metrics, drum),
                calibration=_only(bundle.calibration, drum),
            )
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # Reading

    def aliases(self, drum: str) -> dict[str, int]:
        return self.tracker.aliases(model_name(drum))

    def versions(self, drum: str) -> list[ModelVersion]:
        return self.tracker.versions(model_name(drum))

    def history(self) -> list[AliasChange]:
        """The audit log, oldest first."""
        lines = self.log.read_text().splitlines() if self.log.is_file() else []
        return [AliasChange(**json.loads(line)) for line in lines]

    def fetch(self, drum: str, version: int) -> Bundle:
        """The bundle of a version, from the local copy where there is one."""
        folder = self.home / "versions" / model_name(drum) / str(version)
        if not (folder / "manifest.json").is_file():
            self.tracker.download(model_name(drum), version, folder)
        return open_bundle(folder)

    # Moving

    def promote(self, choice: Mapping[str, int | None], *, reason: str) -> list[AliasChange]:
        """Makes each drum's version (None: its challenger) champion; the old champions become `previous`.

        Drums given together move together, as they must when the codec changes. Raises MissingInputError
        where there is no such version or no challenger, IntegrityError where the champions would not fit
        together; then nothing has moved.
        """
        with self._writing():
            before = {drum: self.aliases(drum) for drum in choice}
            after = {drum: self._promoted(drum, before[drum], version) for drum, version in choice.items()}
            return self._move_all("promote", before, after, reason)

    def _promoted(self, drum: str, before: dict[str, int], version: int | None) -> dict[str, int]:
        version = version if version is not None else before.get(CHALLENGER)
        if version is None:
            raise MissingInputError(f"{model_name(drum)} has no challenger; name the version to promote.")
        if before.get(CHAMPION) == version:
            raise DoseError(f"Version {version} of {model_name(drum)} is the champion already.")
        self.tracker.version(model_name(drum), version)
        after = {a: v for a, v in before.items() if (a, v) != (CHALLENGER, version)}
        if CHAMPION in before:
            after[PREVIOUS] = before[CHAMPION]
        return {**after, CHAMPION: version}

    def rollback(
        self,
        drums: Sequence[str] = DRUMS,
        *,
        reason: str,
        told: Callable[[list[AliasChange]], None] | None = None,
    ) -> list[AliasChange]:
        """Champion and previous change places, so that a rollback can itself be taken back.

        Drums that never had another champion are left alone; raises MissingInputError where none had, and
        DoseError when the link is turned but MLflow could not be told. `told` is called in between.
        """
        with self._locked():
            every = {drum: self._known(drum) for drum in DRUMS}
            before = {drum: every[drum] for drum in drums if {CHAMPION, PREVIOUS} <= every[drum].keys()}
            if not before:
                names = ", ".join(drums)
                raise MissingInputError(f"There is no earlier champion of {names} to go back to.")
            after = {d: {**a, CHAMPION: a[PREVIOUS], PREVIOUS: a[CHAMPION]} for d, a in before.items()}
            champions = {d: a[CHAMPION] for d, a in every.items() if CHAMPION in a}
            target = self._bundle_of(champions | {d: a[CHAMPION] for d, a in after.items()})
            moves = [_move("rollback", d, before[d], after[d], reason) for d in after]
            files.write_json(self._intent, [*self._waiting(), *moves])
            for move in moves:  # before the link, whose followers look here for what kind of move it was
                self._log(move)
            self._turn(target)
            if told:
                told(moves)
            try:
                self._complete()
            except Exception as e:
                raise DoseError(
                    f"It is in service, but MLflow could not be told ({' '.join(str(e).split())[:200]}); the "
                    "next change of the registry does so."
                ) from e
            return moves

    def _known(self, drum: str) -> dict[str, int]:
        """A drum's aliases by the audit log and what MLflow has yet to be told; asks MLflow if need be."""
        for move in reversed([*self.history(), *self._waiting()]):
            if move.drum == drum:
                return move.after
        return self.aliases(drum)

    def _move_all(
        self, action: str, before: dict[str, dict[str, int]], after: dict[str, dict[str, int]], reason: str
    ) -> list[AliasChange]:
        """First the bundle that will serve, checked; then the aliases; then the link."""
        champions = self.champions() | {drum: aliases[CHAMPION] for drum, aliases in after.items()}
        target = self._bundle_of(champions)
        moves = [_move(action, d, before[d], after[d], reason) for d in after]
        self._make(moves)
        self._turn(target)
        return moves

    def champions(self) -> dict[str, int]:
        found = {drum: self.aliases(drum).get(CHAMPION) for drum in DRUMS}
        return {drum: version for drum, version in found.items() if version is not None}

    def deploy(self) -> Path:
        """Turns the link `live` to a bundle of the present champions; gives that bundle's folder."""
        champions = self.champions()
        if not champions:
            raise MissingInputError("No model has a champion yet; run `dvc repro package`.")
        target = self._bundle_of(champions)
        self._turn(target)
        return target

    def _bundle_of(self, champions: Mapping[str, int]) -> Path:
        bundles = {d: self.fetch(d, champions[d]) for d in DRUMS if d in champions}
        target = self.home / "bundles" / "-".join(f"{d}{champions[d]}" for d in bundles)
        if not (target / "manifest.json").is_file():
            assemble(
                target,
                codec=next(iter(bundles.values())).codec,
                checkpoints={d: b.checkpoint(d) for d, b in bundles.items()},
                metrics={k: v for b in bundles.values() for k, v in b.metrics.items()},
                calibration={k: v for b in bundles.values() for k, v in b.calibration.items()},
            )
        return target

    def _turn(self, target: Path) -> None:
        """A rename, so that a reader finds the old bundle or the new one and nothing between."""
        beside = self.home / ".live"
        beside.unlink(missing_ok=True)
        beside.symlink_to(target.relative_to(self.home))
        os.replace(beside, self.live)

    def _make(self, moves: Sequence[AliasChange]) -> None:
        """Moves the aliases, all of them even if this process is killed meanwhile."""
        files.write_json(self._intent, list(moves))
        self._finish(moves)

    def _finish(self, moves: Sequence[AliasChange]) -> None:
        known = self.history()
        for move in moves:
            self._point(move)
            if move not in known:
                self._log(move)
        self._intent.unlink()

    def _point(self, move: AliasChange) -> None:
        name, now = model_name(move.drum), self.aliases(move.drum)
        for alias in now.keys() - move.after.keys():
            self.tracker.set_alias(name, alias, None)
        # The champion last: until then the old one is champion and nothing has happened.
        for alias in sorted(move.after, key=lambda a: a == CHAMPION):
            if now.get(alias) != move.after[alias]:
                self.tracker.set_alias(name, alias, move.after[alias])

    def _log(self, move: AliasChange) -> None:
        with self.log.open("a") as f:
            f.write(json.dumps(dataclasses.asdict(move)) + "\n")
            f.flush()
            os.fsync(f.fileno())

    @property
    def _intent(self) -> Path:
        return self.home / "intent.json"

    def _waiting(self) -> list[AliasChange]:
        """Moves that were written down and not yet made."""
        return [AliasChange(**m) for m in files.read_json(self._intent)] if self._intent.is_file() else []

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                raise DoseError("Another process is changing the registry; try again when it is done.") from e
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._locked():
            self._complete()
            yield

    def _complete(self) -> None:
        """Finishes the moves of a writer that was killed in the middle of them, or found MLflow away."""
        if self._intent.is_file():
            self._finish(self._waiting())
            self.deploy()


def _move(
    action: str,
    drum: str,
    before: dict[str, int],
    after: dict[str, int],
    reason: str,
    version: int | None = None,
) -> AliasChange:
    """`version`: the one it is about, where that is not the new champion."""
    return AliasChange(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        action=action,
        drum=drum,
        version=version or after[CHAMPION],
        before=before,
        after=after,
        reason=reason,
        by=f"{getpass.getuser()}@{socket.gethostname()}",
    )


def _contents(bundle: Bundle, drum: str) -> str:
    """Names what a version does: its model and codec, whenever and wherever they were packed."""
    digests = {
        f"{part}/{p.relative_to(folder).as_posix()}": files.sha256(p)
        for part, folder in (("codec", bundle.codec), ("model", bundle.checkpoint(drum)))
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    return files.hash_json([digests, _only(bundle.calibration, drum)])


def _only(by_drum: Mapping[str, Any], drum: str) -> dict[str, Any]:
    return {drum: by_drum[drum]} if drum in by_drum else {}
