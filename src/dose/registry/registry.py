"""The registered models dose-kick, dose-snare and dose-hihat: versions, aliases, promotion and rollback.

A version is a bundle of one drum: its model and the codec whose tokens it generates. A model has the aliases
`champion` (in service), `challenger` (the newest version, not yet promoted) and `previous` (the champion
before). The champions of all drums are assembled into the live bundle, a link that the service follows.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dose import files
from dose.bundle import Bundle, assemble
from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.registry.audit import AliasChange, AuditLog, new_change
from dose.registry.live_bundle import LiveBundle
from dose.registry.names import CHALLENGER, CHAMPION, EXPERIMENT, PREVIOUS, model_name
from dose.registry.pyfunc import FLAVOUR
from dose.tracking import ModelVersion, Tracker, project_folder

ABOUT = """\
Extracts the {drum} of a drum mix as a one-shot: a transformer generates the tokens of an audio codec,
conditioned on the mix at the hits that the transcription network finds.
Input: float32 [channels, samples]. Output: [samples], mono, at 44.1 kHz."""


class Registry:
    """The project's registry: MLflow holds versions and aliases, `home` the audit log and the live bundle.

    One writer at a time: a change takes a lock. Its alias changes are written to an intent file before the
    first is made (write-ahead logging), so that the next writer completes the change of a process that was
    killed. A rollback needs the audit log and the local copies only: the link is switched at once, and MLflow
    is updated afterwards, by the next change if its server cannot be reached.
    """

    def __init__(self, tracker: Tracker | None = None, root: Path | str = ".") -> None:
        self.tracker = tracker or Tracker(EXPERIMENT, root=root)
        # Beside the store whose aliases they follow, also from the workspace of an experiment.
        self.bundles = LiveBundle(self.tracker, project_folder(root))
        self.live = self.bundles.link
        self.home = self.bundles.home
        self.audit = AuditLog(self.home / "audit.jsonl")
        self._intent = self.home / "intent.json"

    # Registering

    def register(
        self, bundle: Bundle, *, tags: Mapping[str, str], runs: Mapping[str, str] | None = None
    ) -> dict[str, ModelVersion]:
        """Drum -> its version; an existing one where the files are the same.

        The first version of a model becomes champion at once, a later new one challenger. `runs` names the
        MLflow run that trained each drum.
        """
        with self._writing():
            versions = {}
            for drum in bundle.drums:
                # The content hash makes this idempotent: a start after a kill finds its version again.
                with self._single_drum(bundle, drum) as folder:
                    versions[drum] = self.tracker.register(
                        model_name(drum),
                        folder,
                        hash=_content_hash(bundle, drum),
                        tags={**tags, "dose.drum": drum, "dose.codec_id": bundle.codec_id},
                        run_id=(runs or {}).get(drum),
                        about=ABOUT.format(drum=drum),
                        description=_describe(bundle, drum),
                        flavour=FLAVOUR,
                    )
                self._set_first_alias(drum, versions[drum].version)
            # The first champions go into service at once.
            if not self.live.exists():
                self.deploy()
            return versions

    def _set_first_alias(self, drum: str, version: int) -> None:
        """Makes a version without an alias champion or challenger; one older than either stays without."""
        before = self.aliases(drum)
        # The same files registered again, or a killed registration completed.
        if version in before.values():
            return
        if CHAMPION not in before:
            after = {**before, CHAMPION: version}
        # An older model that was registered again is no challenger to a newer one.
        elif version < before[CHAMPION] or version < before.get(CHALLENGER, 0):
            return
        else:
            after = {**before, CHALLENGER: version}
        self._apply_durably([new_change("register", drum, version, before, after, "a new version")])

    @contextlib.contextmanager
    def _single_drum(self, bundle: Bundle, drum: str) -> Iterator[Path]:
        """A temporary bundle of one drum, which is what a version stores."""
        folder = self.home / "incoming" / drum
        shutil.rmtree(folder, ignore_errors=True)
        try:
            assemble(
                folder,
                codec=bundle.codec,
                transcription=bundle.own_transcription,
                checkpoints={drum: bundle.checkpoint(drum)},
                metrics=_of_drum(bundle.metrics, drum),
                calibration=_of_drum(bundle.calibration, drum),
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
        """The audit log, oldest change first."""
        return self.audit.read()

    def champions(self) -> dict[str, int]:
        """Drum -> version in service, for the drums that have one."""
        found = {drum: self.aliases(drum).get(CHAMPION) for drum in DRUMS}
        return {drum: version for drum, version in found.items() if version is not None}

    # Changing

    def promote(self, choice: Mapping[str, int | None], *, reason: str) -> list[AliasChange]:
        """Makes each drum's version (None: its challenger) champion; the old champions become `previous`.

        Drums given together are promoted together, as they must be when the codec changes. Raises
        MissingInputError where there is no such version or no challenger, IntegrityError where the champions
        would not share a codec; nothing is changed then.
        """
        with self._writing():
            before = {drum: self.aliases(drum) for drum in choice}
            after = {drum: self._promoted(drum, before[drum], version) for drum, version in choice.items()}
            # First the bundle that will serve, which is where unfit champions fail; then aliases; then link.
            champions = self.champions() | {drum: aliases[CHAMPION] for drum, aliases in after.items()}
            target = self.bundles.assemble(champions)
            changes = [
                new_change("promote", d, after[d][CHAMPION], before[d], after[d], reason) for d in after
            ]
            self._apply_durably(changes)
            self.bundles.switch_to(target)
            return changes

    def _promoted(self, drum: str, before: dict[str, int], version: int | None) -> dict[str, int]:
        """The drum's aliases after the promotion of `version`."""
        version = version if version is not None else before.get(CHALLENGER)
        if version is None:
            raise MissingInputError(f"{model_name(drum)} has no challenger; name the version to promote.")
        if before.get(CHAMPION) == version:
            raise DoseError(f"Version {version} of {model_name(drum)} is the champion already.")
        self.tracker.version(model_name(drum), version)  # raises where there is none
        # Without the alias that the version had; a challenger of another version keeps its alias.
        after = {a: v for a, v in before.items() if (a, v) != (CHALLENGER, version)}
        if CHAMPION in before:
            after[PREVIOUS] = before[CHAMPION]
        return {**after, CHAMPION: version}

    def rollback(
        self,
        drums: Sequence[str] = DRUMS,
        *,
        reason: str,
        on_switch: Callable[[list[AliasChange]], None] | None = None,
    ) -> list[AliasChange]:
        """Swaps champion and previous, so that a second rollback undoes the first.

        Drums without a previous champion are left alone. `on_switch` is called when the link is switched and
        before MLflow is updated. Raises MissingInputError where no drum has a previous champion, and
        DoseError when the link is switched but MLflow could not be updated.
        """
        with self._locked():
            # From the audit log, so that a rollback does not need MLflow.
            known = {drum: self._last_known_aliases(drum) for drum in DRUMS}
            before = {drum: known[drum] for drum in drums if {CHAMPION, PREVIOUS} <= known[drum].keys()}
            if not before:
                names = ", ".join(drums)
                raise MissingInputError(f"There is no earlier champion of {names} to go back to.")
            after = {d: {**a, CHAMPION: a[PREVIOUS], PREVIOUS: a[CHAMPION]} for d, a in before.items()}
            champions = {d: a[CHAMPION] for d, a in known.items() if CHAMPION in a}
            target = self.bundles.assemble(champions | {d: a[CHAMPION] for d, a in after.items()})
            changes = [
                new_change("rollback", d, after[d][CHAMPION], before[d], after[d], reason) for d in after
            ]
            # After earlier changes that MLflow has not received yet, and before anything changes.
            files.write_json(self._intent, [*self._pending(), *changes])
            # Logged before the link is switched: the service reads the action of a new bundle in the log.
            for change in changes:
                self.audit.append(change)
            self.bundles.switch_to(target)
            if on_switch:
                on_switch(changes)
            try:
                self._complete_pending()
            except Exception as e:
                raise DoseError(
                    f"It is in service, but MLflow could not be updated ({' '.join(str(e).split())[:200]}); "
                    "the next change of the registry does so."
                ) from e
            return changes

    def _last_known_aliases(self, drum: str) -> dict[str, int]:
        """By audit log and intent file, which may be newer than MLflow; MLflow's own for an empty log."""
        for change in reversed([*self.history(), *self._pending()]):
            if change.drum == drum:
                return change.after
        return self.aliases(drum)

    def deploy(self) -> Path:
        """Switches the link `live` to a bundle of the present champions; gives that bundle's folder."""
        champions = self.champions()
        if not champions:
            raise MissingInputError("No model has a champion yet; run `dvc repro package`.")
        target = self.bundles.assemble(champions)
        self.bundles.switch_to(target)
        return target

    # Write-ahead logging

    def _apply_durably(self, changes: Sequence[AliasChange]) -> None:
        """Applies all changes, or leaves them in the intent file for the next writer."""
        files.write_json(self._intent, list(changes))
        self._apply(changes)

    def _apply(self, changes: Sequence[AliasChange]) -> None:
        logged = self.history()
        for change in changes:
            self._set_aliases(change)
            # A process that was killed after logging must not log the change twice.
            if change not in logged:
                self.audit.append(change)
        self._intent.unlink()

    def _set_aliases(self, change: AliasChange) -> None:
        name, now = model_name(change.drum), self.aliases(change.drum)
        # Aliases that the change removes.
        for alias in now.keys() - change.after.keys():
            self.tracker.set_alias(name, alias, None)
        # The champion last: a process killed before that leaves the old champion in place.
        for alias in sorted(change.after, key=lambda a: a == CHAMPION):
            if now.get(alias) != change.after[alias]:
                self.tracker.set_alias(name, alias, change.after[alias])

    def _pending(self) -> list[AliasChange]:
        """Changes in the intent file: written down and not yet applied to MLflow."""
        return [AliasChange(**c) for c in files.read_json(self._intent)] if self._intent.is_file() else []

    def _complete_pending(self) -> None:
        if self._intent.is_file():
            self._apply(self._pending())
            self.deploy()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "lock").open("w") as lock:
            try:
                # Does not wait: the error asks the user to try again.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                raise DoseError("Another process is changing the registry; try again when it is done.") from e
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """The lock, with every earlier change completed."""
        with self._locked():
            self._complete_pending()
            yield


def _content_hash(bundle: Bundle, drum: str) -> str:
    """Identifies a version by its model, codec and calibration, whenever and wherever they were packed."""
    digests = {
        f"{part}/{p.relative_to(folder).as_posix()}": files.sha256(p)
        for part, folder in (("codec", bundle.codec), ("model", bundle.checkpoint(drum)))
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    return files.hash_json([digests, _of_drum(bundle.calibration, drum)])


def _describe(bundle: Bundle, drum: str) -> str:
    """Where a version is from, and its scores where it has any."""
    scores = [
        f"MSS {values['mss']:.3g} on {dataset}"
        for dataset, values in bundle.metrics.get(drum, {}).items()
        if isinstance(values, Mapping) and "mss" in values
    ]
    origin = f"{drum} of {bundle.version}, trained on data {bundle.data_id} with codec {bundle.codec_id}"
    return "; ".join([origin, *scores]) + "."


def _of_drum(by_drum: Mapping[str, Any], drum: str) -> dict[str, Any]:
    return {drum: by_drum[drum]} if drum in by_drum else {}
