"""Settings of the service: section `serving` of params.yaml, and the paths that the service uses.

Paths in the section are relative to the project's root: inside a built Bento its source folder, for an
installed package the working directory. Without a params.yaml there, defaults.yaml beside this file applies.
Three environment variables override what an operator changes per machine: DOSE_PARAMS (another params file),
DOSE_STATE (folder of the job store) and DOSE_BUNDLE (the models). When DOSE_API_KEY is set, every request
that costs computing time must carry it.
"""

import dataclasses
import os
from pathlib import Path
from typing import Literal

from dose import config


def project_root(source: Path) -> Path:
    """`source`, the folder that holds this package, if it is a project's; else the working directory."""
    # An installed package lies among other packages, which are no project.
    return source if (source / "params.yaml").is_file() else Path.cwd()


ROOT = project_root(Path(__file__).resolve().parent.parent)
DEFAULTS = Path(__file__).parent / "defaults.yaml"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioLimit:
    """How much audio one request may contain; checked while decoding, whatever the file's header states."""

    seconds: float
    decoded_mb: int  # float32 samples of all channels, before any resampling; never in memory at once

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.decoded_mb <= 0:
            raise ValueError("seconds and decoded_mb must be above 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CanaryConfig:
    """Canary release of new models: traffic shares, and when the rollout succeeds or is rolled back."""

    share: float  # of requests, by a hash of their id, that the new models answer during the rollout
    shadow: float  # of POST /extract answered by the old models that the new ones also run, unseen
    requests: int  # extractions by the new models before they are promoted; 0: at once
    errors: float  # failure rate above the old models' at which the new ones are rolled back
    confidence_fall: float  # relative drop of the mean confidence at which they are rolled back

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.shadow <= 1 and self.requests >= 0):
            raise ValueError("canary.share and canary.shadow must lie between 0 and 1, requests not below 0.")
        # A rollout without traffic would never end.
        if self.requests and self.share == self.shadow == 0:
            raise ValueError(
                "canary.share or canary.shadow must be above 0, or the new models get no traffic."
            )
        if self.errors < 0 or not 0 <= self.confidence_fall <= 1:
            raise ValueError("canary.errors must not be below 0, confidence_fall between 0 and 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """The limits of the service; a request beyond one of them gets a 4xx whose message says what to do."""

    state: str  # folder of the job store
    upload_mb: int
    upload_seconds: float  # a slower upload is aborted
    short: AudioLimit  # POST /extract
    song: AudioLimit  # POST /jobs
    max_candidates: int
    concurrency: int  # extractions of POST /extract at once; the job worker adds at most one
    queue: int  # POST /extract requests that may wait
    wait_seconds: float  # a POST /extract that waited longer gets 429
    songs_queue: int  # jobs that may wait
    song_timeout_s: float
    song_attempts: int  # runs of one job, counting those that a crash interrupted
    keep_hours: float  # retention of a job's song and result
    rate_per_minute: float  # per client: POST requests to /extract and /jobs
    burst: int
    proxy_hops: int  # trusted proxies in front that append to X-Forwarded-For
    batch_wait_ms: float  # how long sequences wait for sequences of other requests
    batch_size: int = dataclasses.field(metadata=config.was("batch_rows"))  # sequences at once, at most
    reload_seconds: float  # interval at which the bundle is checked for a change; 0 never checks
    canary: CanaryConfig
    # What the feedback log stores per extraction, for the triggers of `dose retrain`.
    feedback: Literal["none", "quality", "features"] = dataclasses.field(metadata=config.was("signals"))
    cors_origins: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.short.seconds > self.song.seconds:
            raise ValueError("short.seconds must not exceed song.seconds.")
        for name in ("upload_mb", "max_candidates", "concurrency", "queue", "songs_queue", "burst"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")
        if self.song_attempts < 1 or self.rate_per_minute <= 0 or self.batch_size < 1:
            raise ValueError("song_attempts, rate_per_minute and batch_size must be above 0.")


def load_config() -> ServingConfig:
    """The section `serving`. Raises ConfigError or MissingInputError when it does not fit."""
    own = ROOT / "params.yaml"
    params = os.environ.get("DOSE_PARAMS") or (own if own.is_file() else DEFAULTS)
    return config.load("serving", ServingConfig, params)


def state_folder(settings: ServingConfig) -> Path:
    return Path(os.environ.get("DOSE_STATE") or ROOT / settings.state)


def api_key() -> str | None:
    return os.environ.get("DOSE_API_KEY") or None
