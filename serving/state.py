"""The objects that live as long as the service runs, and how a route reaches them."""

import dataclasses
from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request

from serving.feedback import FeedbackLog
from serving.jobs.store import JobStore
from serving.jobs.worker import JobWorker
from serving.limits import APIError, ConcurrencyLimiter, TokenBuckets
from serving.models.manager import ModelManager
from serving.models.shadow import ShadowTraffic
from serving.schemas import InferenceParams
from serving.settings import ServingConfig


@dataclasses.dataclass(kw_only=True)
class AppState:
    config: ServingConfig
    manager: ModelManager
    extract_limiter: ConcurrencyLimiter  # of POST /extract
    upload_limiter: ConcurrencyLimiter  # of uploads to POST /jobs that are in transfer
    rate_limiter: TokenBuckets
    store: JobStore
    worker: JobWorker
    shadow: ShadowTraffic
    feedback: FeedbackLog
    api_key: str | None

    def check_candidates(self, params: InferenceParams) -> None:
        """APIError (400) for more candidates than the settings allow."""
        limit = self.config.max_candidates
        if params.candidates > limit:
            raise APIError(400, f"At most {limit} candidates can be asked for, not {params.candidates}.")


def app_state(app: Starlette) -> AppState:
    # Starlette's `State` is untyped.
    return cast(AppState, app.state.dose)


def request_state(request: Request) -> AppState:
    return app_state(request.app)
