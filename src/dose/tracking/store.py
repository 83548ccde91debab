"""The MLflow store: runs that are found by a key, logged models, registered versions and their aliases."""

import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dose import files
from dose.errors import DoseError, MissingInputError
from dose.tracking import flavour as flavours
from dose.tracking.flavour import PyfuncFlavour
from dose.tracking.project import project_folder
from dose.tracking.records import DatasetInput, ModelVersion, RunRecord, Status
from dose.tracking.sqlite import create_database, sqlite_path, sqlite_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "dose.key"  # by which a run is found again after any crash
HASH_TAG = "dose.hash"  # of a model version: the hash of its files
# Of an experiment: MLflow's UI shows it as model training, not as an application of language models.
KIND_TAG = {"mlflow.experimentKind": "custom_model_development"}
MAX_METRICS = 1000  # MLflow's limit for one log_batch request


class Tracker:
    """One experiment in one MLflow store.

    The store is `uri`, else MLFLOW_TRACKING_URI, else the SQLite file mlflow.db in the project of `root` with
    artifacts under mlartifacts/. Can be pickled; connects on first use. Errors of MLflow pass through
    unchanged unless a method states otherwise, so that `Outbox` can tell an unreachable store from an invalid
    request.
    """

    def __init__(self, experiment: str, uri: str | None = None, root: Path | str = ".") -> None:
        self.experiment = experiment
        self.root = project_folder(root).resolve()
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(self.root / "mlflow.db")
        self._client: MlflowClient | None = None
        self._experiment_id: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_client": None}

    @property
    def client(self) -> "MlflowClient":
        if self._client is None:
            # Outbox retries; MLflow's own retries would block a stage for minutes.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            for verbose in ("mlflow.store.db.utils", "alembic"):
                logging.getLogger(verbose).setLevel(logging.WARNING)
            from mlflow import MlflowClient

            self._client = MlflowClient(self.uri, self.uri)
        return self._client

    @property
    def experiment_id(self) -> str:
        if self._experiment_id is None:
            self._experiment_id = self._find_experiment()
        return self._experiment_id

    def _find_experiment(self) -> str:
        # MLflow has no atomic get-or-create.
        found = self.client.get_experiment_by_name(self.experiment)
        if found is not None:
            # One of an earlier release.
            for name, value in KIND_TAG.items() if not KIND_TAG.items() <= found.tags.items() else ():
                self.client.set_experiment_tag(found.experiment_id, name, value)
            return found.experiment_id
        local = sqlite_path(self.uri) is not None
        # A server chooses the location of artifacts itself.
        location = (self.root / "mlartifacts" / self.experiment).as_uri() if local else None
        return self.client.create_experiment(self.experiment, artifact_location=location, tags=KIND_TAG)

    def ensure_store(self) -> None:
        """Creates the database and the experiment; call it in the driver, before trials can race for it.

        Raises DoseError where the store cannot be reached or created.
        """
        path = sqlite_path(self.uri)
        try:
            if path is not None:
                create_database(path)
            _ = self.experiment_id
        except Exception as e:
            cause = " ".join(str(e).split())[:200]
            if path is not None:
                advice = f"see that {path.parent} can be written"
            else:
                advice = "start its server, or unset MLFLOW_TRACKING_URI to use mlflow.db here"
            raise DoseError(f"The MLflow store {self.uri} cannot be used ({cause}); {advice}.") from e

    # Runs

    def open_run(self, key: str, name: str, *, parent: str | None = None) -> str:
        """The id of the run whose key is `key`, set RUNNING; created when there is none.

        Searching first makes the call idempotent: it may be repeated after a crash, and after a response that
        was lost. `parent` is a run id.
        """
        found = self.find_run(key)
        if found is not None:
            # A run that is resumed after it was ended.
            if found.status != "RUNNING":
                self.client.update_run(found.id, "RUNNING")
            return found.id
        tags = {KEY_TAG: key} | ({"mlflow.parentRunId": parent} if parent else {})
        created = self.client.create_run(self.experiment_id, tags=tags, run_name=name)
        return str(created.info.run_id)

    def find_run(self, key: str) -> RunRecord | None:
        return next(iter(self.runs({KEY_TAG: key})), None)

    def run(self, run_id: str) -> RunRecord | None:
        """The run of that id, deleted or not; None where there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return _record(self.client.get_run(run_id))
        except MlflowException as e:
            if e.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def runs(self, tags: Mapping[str, str]) -> Iterator[RunRecord]:
        """Every live run of the experiment that carries all of `tags`, newest first."""
        query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        # MLflow returns runs in pages.
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            yield from map(_record, page)
            token = page.token
            if not token:
                return

    def log_metrics(self, run_id: str, rows: Sequence[tuple[int, int, Mapping[str, float]]]) -> None:
        """Rows of (step, milliseconds since 1970, values); idempotent."""
        from mlflow.entities import Metric

        flat = [
            Metric(name, float(value), ms, step)
            for step, ms, values in rows
            for name, value in values.items()
        ]
        # Synchronous: the call returns when the store has the values.
        for start in range(0, len(flat), MAX_METRICS):
            self.client.log_batch(run_id, metrics=flat[start : start + MAX_METRICS], synchronous=True)

    def last_steps(self, run_id: str) -> dict[str, int]:
        """For each metric of a run the last step in the store."""
        return {name: self.curve(run_id, name)[-1][0] for name in self.client.get_run(run_id).data.metrics}

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """(step, value) in the order of steps, with duplicates."""
        history = self.client.get_metric_history(run_id, metric)
        return sorted((m.step, m.value) for m in history)

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        self.client.log_batch(run_id, params=[Param(k, str(v)) for k, v in params.items()], synchronous=True)

    def log_inputs(
        self, run_id: str, datasets: Sequence[DatasetInput] = (), models: Sequence[str] = ()
    ) -> None:
        """The data and the logged models (ids) that a run reads; idempotent."""
        from mlflow import entities

        self.client.log_inputs(
            run_id,
            [
                entities.DatasetInput(
                    entities.Dataset(
                        name=d.name,
                        digest=d.digest,
                        source_type="local",
                        source=json.dumps({"uri": d.path}),
                        profile=json.dumps({"items": d.items}),
                    ),
                    [entities.InputTag("mlflow.data.context", d.context)],
                )
                for d in datasets
            ],
            [entities.LoggedModelInput(model) for model in models],
        )

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()], synchronous=True)

    def end_run(self, run_id: str, status: Status) -> None:
        self.client.set_terminated(run_id, status)

    def log_artifacts(self, run_id: str, path: Path | str, to: str | None = None) -> None:
        """A file, or a folder's content, below `to` in the run's artifacts."""
        path = Path(path)
        if path.is_dir():
            self.client.log_artifacts(run_id, str(path), to)
        else:
            self.client.log_artifact(run_id, str(path), to)

    # Models

    def log_model(self, run_id: str | None, name: str, folder: Path | str, tags: Mapping[str, str]) -> str:
        """Stores a folder as a logged model of the run, once per (run, name, dose.hash); returns its id.

        Resumes an upload that another process began and did not finish.
        """
        # Idempotent by the hash: a repeated call finds what an earlier one stored.
        query = f"name = '{name}' and tags.`{HASH_TAG}` = '{tags[HASH_TAG]}'"
        model = None
        for found in self.client.search_logged_models([self.experiment_id], query):
            if (found.source_run_id or None) == run_id:
                if found.status.name == "READY":
                    return found.model_id
                model = found
        model = model or self.client.create_logged_model(
            self.experiment_id, name=name, source_run_id=run_id, tags=dict(tags), model_type="dose"
        )
        self.client.log_model_artifacts(model.model_id, str(folder))
        self.client.finalize_logged_model(model.model_id, "READY")
        return model.model_id

    def logged_models(self, hashes: Sequence[str]) -> list[str]:
        """Ids of the logged models with these values of dose.hash, where the experiment has them."""
        found = (
            self.client.search_logged_models([self.experiment_id], f"tags.`{HASH_TAG}` = '{digest}'")
            for digest in dict.fromkeys(hashes)
        )
        return [models[0].model_id for models in found if models]

    def register(
        self,
        name: str,
        folder: Path | str,
        *,
        hash: str,
        tags: Mapping[str, str],
        run_id: str | None = None,
        about: str = "",
        description: str = "",
        flavour: PyfuncFlavour | None = None,
    ) -> ModelVersion:
        """The version of `name` with this `hash`; where there is none, a new one of the files in `folder`.

        `about` describes the model, `description` the version; with a `flavour` MLflow can load it.
        """
        from mlflow.exceptions import MlflowException

        # The same files are one version, however often they are registered.
        for version in self.versions(name):
            if version.hash == hash:
                return version
        try:
            # Creating is the only atomic test of existence.
            self.client.create_registered_model(name, description=about)
        except MlflowException as e:
            if e.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = dict(tags) | {HASH_TAG: hash}
        with flavours.packed(Path(folder), flavour) as files_to_store:
            model = self.log_model(run_id, name, files_to_store, tags)
        source = self.client.get_logged_model(model).artifact_location
        with self._as_global_store():
            created = self.client.create_model_version(
                name, source=source, run_id=run_id, tags=tags, model_id=model, description=description
            )
        return self.version(name, int(created.version))

    @contextlib.contextmanager
    def _as_global_store(self) -> Iterator[None]:
        """Sets MLflow's global store: it looks up a logged model there, whichever client registers it."""
        before = os.environ.get("MLFLOW_TRACKING_URI")
        os.environ["MLFLOW_TRACKING_URI"] = self.uri
        try:
            yield
        finally:
            del os.environ["MLFLOW_TRACKING_URI"]
            if before is not None:
                os.environ["MLFLOW_TRACKING_URI"] = before

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a registered model, oldest first; none where the model is unknown."""
        found = self.client.search_model_versions(f"name = '{name}'", max_results=10_000)
        return sorted((self.version(name, int(v.version)) for v in found), key=lambda v: v.version)

    def version(self, name: str, version: int) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        try:
            v = self.client.get_model_version(name, str(version))
        except MlflowException as e:
            raise MissingInputError(f"There is no version {version} of the model {name}.") from e
        return ModelVersion(
            name=name,
            version=int(v.version),
            hash=v.tags.get(HASH_TAG, ""),
            aliases=tuple(v.aliases),
            tags=dict(v.tags),
            run_id=v.run_id or None,
        )

    def aliases(self, name: str) -> dict[str, int]:
        """Alias to version; empty where the model is unknown."""
        from mlflow.exceptions import MlflowException

        try:
            return {a: int(v) for a, v in self.client.get_registered_model(name).aliases.items()}
        except MlflowException as e:
            if e.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return {}

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Points `alias` at `version`; None removes it."""
        if version is None:
            self.client.delete_registered_model_alias(name, alias)
        else:
            self.client.set_registered_model_alias(name, alias, str(version))

    def download(self, name: str, version: int, to: Path | str) -> None:
        """Downloads the files of a version to the folder `to`, whole or not at all."""
        from mlflow.artifacts import download_artifacts

        source = self.client.get_model_version(name, str(version)).source
        # Beside the target, so that the rename stays on one file system.
        with files.atomic(to) as beside, tempfile.TemporaryDirectory(dir=beside.parent) as scratch:
            downloaded = download_artifacts(artifact_uri=source, dst_path=scratch, tracking_uri=self.uri)
            flavours.content(Path(downloaded)).rename(beside)


def _record(run: Any) -> RunRecord:
    return RunRecord(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )


def now_ms() -> int:
    return int(time.time() * 1000)
