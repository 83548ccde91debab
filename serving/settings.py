"""What the service allows: params.yaml section `serving`, and where things lie.

Paths in the section are relative to the project's root, which inside a built Bento is its source folder.
Three environment variables override what an operator changes per machine: DOSE_PARAMS (another params file),
DOSE_STATE (where jobs are kept) and DOSE_BUNDLE (the models). DOSE_API_KEY, when set, must come with every
request that costs something.
"""

import dataclasses
import os
from pathlib import Path
from typing import Literal

from dose import config

ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bound:
    """How much sound one request may bring, whatever its header claims."""

    seconds: float
    decoded_mb: int  # float32 samples of all channels, before any resampling; never in memory at once

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.decoded_mb <= 0:
            raise ValueError("seconds and decoded_mb must be above 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CanaryConfig:
    """How models that move prove themselves before the old ones are let go."""

    share: float  # of requests, by a hash of their id, that the new models answer meanwhile
    shadow: float  # of POST /extract that they score without answering, where they do not answer
    requests: int  # answered or scored before they are trusted; 0: at once
    errors: float  # share of failures, beyond the old models', from which on they are taken back
    confidence_fall: float  # of the mean confidence, as a fraction, from which on they are taken back

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.shadow <= 1 and self.requests >= 0):
            raise ValueError("canary.share and canary.shadow must lie between 0 and 1, requests not below 0.")
        if self.requests and self.share == self.shadow == 0:
            raise ValueError(
                "canary.share or canary.shadow must be above 0, or the new models are never tried."
            )
        if self.errors < 0 or not 0 <= self.confidence_fall <= 1:
            raise ValueError("canary.errors must not be below 0, confidence_fall between 0 and 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """The limits of the service; every one of them is answered with a 4xx that says what to do."""

    state: str  # folder of the job store
    upload_mb: int
    upload_seconds: float  # a slower upload is given up
    short: Bound  # POST /extract
    song: Bound  # POST /jobs
    max_candidates: int
    concurrency: int  # extractions at once, short ones and songs together at most one more
    queue: int  # short requests that may wait
    wait_seconds: float  # a short request that waited longer is sent away
    songs_queue: int  # jobs that may wait
    song_timeout_s: float
    song_attempts: int  # runs of one job, counting those cut off by a crash
    keep_hours: float  # a job's song and result are deleted after this
    rate_per_minute: float  # per client: requests that cost something
    burst: int
    proxy_hops: int  # trusted proxies in front that append to X-Forwarded-For
    batch_wait_ms: float  # how long rows wait for rows of other requests
    batch_rows: int
    reload_seconds: float  # how often to look whether the models moved; 0 never looks
    canary: CanaryConfig
    signals: Literal["none", "quality", "features"]  # what is kept of extractions for retraining's triggers
    cors_origins: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.short.seconds > self.song.seconds:
            raise ValueError("short.seconds must not exceed song.seconds.")
        for name in ("upload_mb", "max_candidates", "concurrency", "queue", "songs_queue", "burst"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")
        if self.song_attempts < 1 or self.rate_per_minute <= 0 or self.batch_rows < 1:
            raise ValueError("song_attempts, rate_per_minute and batch_rows must be above 0.")


def load_config() -> ServingConfig:
    """The section as it stands; ConfigError or MissingInputError when it does not fit."""
    return config.load("serving", ServingConfig, os.environ.get("DOSE_PARAMS") or ROOT / "params.yaml")


def state_folder(settings: ServingConfig) -> Path:
    return Path(os.environ.get("DOSE_STATE") or ROOT / settings.state)


def api_key() -> str | None:
    return os.environ.get("DOSE_API_KEY") or None
