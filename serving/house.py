"""What lives as long as the service runs, and how a route gets at it."""

import dataclasses
from typing import Any

from starlette.requests import Request

from serving.admission import Buckets, Desk, Refusal
from serving.engine import Engine
from serving.jobs import JobStore
from serving.runner import Runner
from serving.settings import ServingConfig
from serving.shadow import Shadows
from serving.signals import Signals


@dataclasses.dataclass(kw_only=True)
class House:
    config: ServingConfig
    engine: Engine
    desk: Desk  # for POST /extract
    uploads: Desk  # bounds the uploads to POST /jobs that are on their way
    buckets: Buckets
    store: JobStore
    runner: Runner
    shadows: Shadows
    signals: Signals
    key: str | None

    def check_candidates(self, ask: Any) -> None:
        most = self.config.max_candidates
        if ask.candidates > most:
            raise Refusal(400, f"At most {most} candidates can be asked for, not {ask.candidates}.")


def house_of(request: Request) -> House:
    return request.app.state.house
