"""One drum's sweep from start to outputs; resumes where an earlier driver was killed."""

import errno
import functools
import math
import os
import posixpath
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from dose import cluster, files
from dose.bundle import SHIPPED
from dose.errors import DoseError
from dose.sweep import space
from dose.sweep.config import SweepConfig
from dose.sweep.ddp import train_distributed
from dose.sweep.table import Trial, ranking, write_tables
from dose.sweep.trial import DrumTask, Train, run_trial
from dose.tokens.shards import Index, read_index
from dose.tracking import DatasetInput, Outbox, Tracker, dvc_outputs, lineage_tags

if TYPE_CHECKING:
    from dose.sweep.callback import SweepLogger

EXPERIMENT = "dose"
LOCAL_STATE = Path("data/.sweep")  # the driver's own state, also where trials are on remote storage
TUNE_SETTINGS = {
    "TUNE_GLOBAL_CHECKPOINT_S": "2",  # seconds of Tune's own state that a killed driver may lose
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # `SweepLogger` stores the metrics
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_sweep(
    config: SweepConfig,
    drum: str,
    tokens_dir: Path | str,
    codec_dir: Path | str,
    out: Path | str,
    *,
    root: Path | str = ".",
    train: Train | None = None,
) -> list[Trial]:
    """Searches for `drum`'s best model; returns the trials, best first.

    Writes `out`: best/ and ablation/ (checkpoints), trials.json, trials.csv, learning.csv and plots. best/ is
    the trial with the lowest `config.select`. With `config.paired_run` the same hyperparameters and steps are
    also trained with onset weight 0 (ablation/) or, where the best trial has none, with it (onset/; ablation/
    is then the best trial). A sweep whose driver was killed resumes when it is run
    again with the same params, data and codec. Raises DoseError when no trial gave a result, the disk is
    full, or no machine is as large as a trial asks for.
    """
    sweep = _Sweep(config.for_drum(drum), drum, Path(tokens_dir), Path(codec_dir), Path(root), train)
    try:
        return sweep.run(Path(out))
    except OSError as e:
        if e.errno != errno.ENOSPC:
            raise
        raise DoseError(
            f"No space left on device for the {drum} sweep (its state lies in {sweep.state}); make room and "
            "run the same command again, which resumes from the last evaluations."
        ) from e


class _Sweep:
    def __init__(
        self, config: SweepConfig, drum: str, tokens: Path, codec: Path, root: Path, train: Train | None
    ) -> None:
        self.config, self.drum, self.root = config, drum, root.resolve()
        # The id covers everything that shapes the result: the same sweep resumes, another one does not.
        index, val = read_index(tokens / "train"), read_index(tokens / "val")
        init = SHIPPED / drum if config.init == "bundled" and (SHIPPED / drum).is_dir() else None
        start = files.sha256(init / "model.json") if init else None
        self.id = files.hash_json([config, drum, index, val, start])
        # Trials may be stored remotely; the driver's logs and outbox are always local.
        remote = "://" in config.storage
        self.state = (self.root / (LOCAL_STATE if remote else config.storage)).resolve() / drum / self.id
        self.storage = f"{config.storage}/{drum}/{self.id}" if remote else str(self.state / "tune")
        self.tags = {
            "dose.sweep": self.id,
            "dose.drum": drum,
            "dose.params": files.hash_json(config),
            "dose.codec_id": index.codec_id,
            "dose.data_id": index.data_id,
            "dose.seed": str(config.seed),
        }
        self.datasets = _datasets(tokens, self.root, index, val)
        self.started_ray = False
        self.train: Train = train or DrumTask(
            config=config,
            drum=drum,
            tokens=tokens.resolve(),
            codec=codec.resolve(),
            init=init,
            meta={"sweep": self.id},
        )
        if config.resources.processes > 1:
            self.train = functools.partial(train_distributed, self.train, config.resources.processes)

    def run(self, out: Path) -> list[Trial]:
        from dose.sweep.callback import SweepLogger

        tracker = Tracker(EXPERIMENT, root=self.root)
        tracker.ensure_store()
        self._end_superseded(tracker)
        (self.state / "trials").mkdir(parents=True, exist_ok=True)
        tags = {**lineage_tags(self.root), **self.tags}
        with Outbox(tracker, self.state / "outbox") as outbox:
            outbox.open(
                self.id,
                f"{self.drum} sweep",
                tags={**tags, "dose.kind": "sweep"},
                params={
                    "drum": self.drum,
                    "codec_id": self.tags["dose.codec_id"],
                    "data_id": self.tags["dose.data_id"],
                    "search": self.config.search,
                    "scheduler": self.config.scheduler,
                    "select": self.config.select,
                    "steps": self.config.fit.steps,
                },
                datasets=self.datasets,
            )
            # Whatever happens, the sweep's own run and those of its trials are ended.
            logger = SweepLogger(
                self.id, self.config, self.drum, self.state / "trials", outbox, tags, self.datasets
            )
            try:
                trials = self._search_and_write(logger, out)
                outbox.artifacts(self.id, out / "trials.csv")
                outbox.artifacts(self.id, out / "parallel.png")
                outbox.artifacts(self.id, out / "learning.png")
                outbox.end(self.id, "FINISHED")
            except BaseException as e:
                logger.abandon()
                outbox.end(self.id, "FAILED" if isinstance(e, Exception) else "KILLED")
                raise
            finally:
                logger.close()
        if not outbox.waiting:  # otherwise some runs' ends are still to be delivered
            self._end_orphans(tracker)
        return trials

    def _search_and_write(self, logger: "SweepLogger", out: Path) -> list[Trial]:
        try:
            self._search(logger, "search")
            best = self._winner(logger)
            paired = self._pair(logger, best) if self.config.paired_run else {}
        finally:
            if self.started_ray:
                cluster.stop_ray()
        trials = ranking(logger.trials())
        labels = {"best": best, **paired}
        with files.atomic(out) as beside:
            beside.mkdir()
            for name, trial in labels.items():
                if logger.best(trial).is_dir():
                    shutil.copytree(logger.best(trial), beside / name)
            about = {
                "drum": self.drum,
                "sweep": self.id,
                "select": self.config.select,
                **{name: trial.id for name, trial in labels.items()},
            }
            write_tables(beside, trials, {t.id: logger.rows(t.id) for t in trials}, about)
        return trials

    def _winner(self, logger: "SweepLogger") -> Trial:
        """The trial with the lowest `config.select`, whatever its onset weight."""
        trials = ranking([t for t in logger.trials() if t.score is not None and math.isfinite(t.score)])
        if not trials:
            first = (logger.errors() or ["no trial was started"])[0].splitlines()[-1]
            raise DoseError(f"No trial of the {self.drum} sweep gave a result; the first error is: {first}")
        # A failed trial has a score from before its failure; it wins only where none finished.
        return next((t for t in trials if t.status == "FINISHED"), trials[0])

    def _onset_weight(self, trial: Trial) -> float:
        return float(trial.hyper.get("onset_weight", self.config.fit.onset_weight))

    def _pair(self, logger: "SweepLogger", best: Trial) -> dict[str, Trial]:
        """The models with and without onset loss, less `best` itself where it has the loss."""
        if self._onset_weight(best) > 0:
            return {"ablation": self._paired_run(logger, best, 0.0)}
        # The weight of the best trial that has the loss; 1, the paper's, where the search held none.
        weights = [w for t in ranking(logger.trials()) if (w := self._onset_weight(t)) > 0]
        return {"ablation": best, "onset": self._paired_run(logger, best, weights[0] if weights else 1.0)}

    def _paired_run(self, logger: "SweepLogger", best: Trial, onset_weight: float) -> Trial:
        """The trial that differs from `best` in the onset weight alone; trained (further) where needed."""
        # The search may already hold it, at fewer steps than the winner: then it is continued.
        hyper = {**best.hyper, "onset_weight": onset_weight}
        same = [t for t in logger.trials() if t.hyper == hyper and t.score is not None]
        if same and same[0].steps >= best.steps:
            return same[0]
        logger.bar.expect(best.steps - (same[0].steps if same else 0))
        self._search(logger, "paired-run", hyper, best.steps, same[0].id if same else None)
        return next(t for t in logger.trials() if t.hyper == hyper and t.score is not None)

    def _search(
        self,
        logger: "SweepLogger",
        name: str,
        hyper: dict[str, Any] | None = None,
        steps: int | None = None,
        resumed: str | None = None,
    ) -> None:
        """Runs Tune over the whole space, or with the hyperparameters `hyper` up to `steps`; once per `name`.

        `resumed` is the trial that a search of one point continues.
        """
        done = self.state / f"{name}.done"
        if done.exists():
            return
        self._start_ray()
        for variable, value in TUNE_SETTINGS.items():
            os.environ.setdefault(variable, value)
        from ray import tune

        from dose.sweep.storage import open_storage

        system, path = open_storage(f"{self.storage}/{name}")
        last = logger.checkpoint_path(resumed) if resumed else None
        start = tune.Checkpoint(last, filesystem=system) if last else None
        logger.resumed = resumed
        trial = functools.partial(run_trial, train=self.train, source=cluster.SOURCE, start=start)
        trainable = tune.with_resources(trial, self._trial_resources())
        if tune.Tuner.can_restore(path, storage_filesystem=system):
            tuner = tune.Tuner.restore(path, trainable, resume_errored=True, storage_filesystem=system)
        else:
            tuner = self._new_tuner(trainable, system, path, hyper, steps)
        tuner.fit()
        logger.resumed = None
        if all(t.status == "FINISHED" for t in logger.trials()):  # failed trials run again next time
            done.touch()

    def _start_ray(self) -> None:
        """Connects to Ray and prints to which cluster; raises DoseError where no trial could ever start."""
        if cluster.start_ray():
            self.started_ray = True
            tqdm.write(f"sweep {self.drum}: {cluster.describe_cluster()}", file=sys.stderr)
        waiting = cluster.require_room(
            self._trial_resources(),
            f"A trial of the {self.drum} sweep",
            "lower params.yaml: sweep.resources, or set RAY_ADDRESS to a cluster with larger machines",
        )
        if waiting:
            tqdm.write(waiting, file=sys.stderr)

    def _trial_resources(self) -> dict[str, float]:
        """What a trial reserves, in Ray's names and units; all its processes are on one machine."""
        r = self.config.resources
        per_process = {"CPU": r.cpus, "GPU": r.gpus, "memory": r.memory_gib * 2**30}
        return {k: v * r.processes for k, v in per_process.items() if v}

    def _new_tuner(
        self, trainable: Any, system: Any, path: str, hyper: dict[str, Any] | None, steps: int | None
    ) -> Any:
        from ray import tune

        from dose.sweep.callback import TrialCallback

        c = self.config
        return tune.Tuner(
            trainable,
            param_space=hyper or space.tune_space(c),
            tune_config=tune.TuneConfig(
                metric=c.select,
                mode="min",
                search_alg=None if hyper else space.searcher(c),
                scheduler=None if hyper else space.scheduler(c),
                num_samples=1 if hyper or c.search == "grid" else c.trials,
                max_concurrent_trials=c.resources.parallel or None,
                time_budget_s=c.minutes * 60 or None,
            ),
            run_config=tune.RunConfig(
                name=posixpath.basename(path),
                storage_path=posixpath.dirname(path),
                storage_filesystem=system,
                stop={"step": steps} if steps and steps < c.fit.steps else None,
                failure_config=tune.FailureConfig(max_failures=c.retries),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
                callbacks=[TrialCallback(self.id)],
                verbose=0,
            ),
        )

    def _end_superseded(self, tracker: Tracker) -> None:
        """Ends what earlier sweeps of this drum, of other params or data, left RUNNING; deletes their state.

        Metrics that still wait in their outbox are delivered first.
        """
        if not self.state.parent.is_dir():
            return
        for other in [p for p in self.state.parent.iterdir() if p != self.state]:
            Outbox(tracker, other / "outbox").close()
            for run in tracker.runs({"dose.sweep": other.name}):
                if run.status == "RUNNING":
                    tracker.end_run(run.id, "KILLED")
            shutil.rmtree(other)

    def _end_orphans(self, tracker: Tracker) -> None:
        """Ends runs without a trial: those of a driver that was killed before Tune first saved its state."""
        for run in tracker.runs({"dose.sweep": self.id}):
            if run.status == "RUNNING":
                tracker.end_run(run.id, "KILLED")


def _datasets(tokens: Path, root: Path, train: Index, val: Index) -> tuple[DatasetInput, ...]:
    """The two splits, with DVC's hash of the tokens; outside of DVC with the id of their data."""
    path = tokens.as_posix()
    digest = dvc_outputs(root).get(path, train.data_id)
    return (
        DatasetInput(
            name="tokens/train", digest=digest, path=f"{path}/train", context="training", items=train.count
        ),
        DatasetInput(
            name="tokens/val", digest=digest, path=f"{path}/val", context="validation", items=val.count
        ),
    )
