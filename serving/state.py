"""What lives as long as the service runs, and how a route gets at it."""

import dataclasses
from typing import Any

from starlette.requests import Request

from serving.feedback import FeedbackLog
from serving.jobs.store import JobStore
from serving.jobs.worker import Runner
from serving.limits import APIError, ConcurrencyLimiter, TokenBuckets
from serving.models.manager import ModelManager
from serving.models.shadow import ShadowTraffic
from serving.settings import ServingConfig


@dataclasses.dataclass(kw_only=True)
class AppState:
    config: ServingConfig
    engine: ModelManager
    desk: ConcurrencyLimiter  # for POST /extract
    uploads: ConcurrencyLimiter  # bounds the uploads to POST /jobs that are on their way
    buckets: TokenBuckets
    store: JobStore
    runner: Runner
    shadows: ShadowTraffic
    signals: FeedbackLog
    key: str | None

    def check_candidates(self, ask: Any) -> None:
        most = self.config.max_candidates
        if ask.candidates > most:
            raise APIError(400, f"At most {most} candidates can be asked for, not {ask.candidates}.")


def app_state(request: Request) -> AppState:
    return request.app.state.house
