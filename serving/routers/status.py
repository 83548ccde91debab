"""GET /state: what a page or a client needs to know before it sends anything."""

import pydantic
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dose.drums import DRUMS
from dose.kits.write import FORMATS
from serving.state import app_state


class StatusResponse(pydantic.BaseModel):
    ready: bool
    problem: str = pydantic.Field(description="Why the service is not ready; else empty.")
    version: str = pydantic.Field(description="The models in use.")
    trial: str = pydantic.Field(
        description="New models that are being tried, and how far that is; else empty."
    )
    drums: list[str]
    formats: list[str] = pydantic.Field(description="Kit formats that can be downloaded.")
    max_candidates: int
    upload_mb: int
    short_seconds: float = pydantic.Field(description="Longest sound for POST /extract.")
    song_seconds: float = pydantic.Field(description="Longest song for POST /jobs.")
    keep_hours: float = pydantic.Field(description="How long songs and kits are kept.")
    key_needed: bool


async def state(request: Request) -> Response:
    """Whether the service is ready, with which models, and its limits."""
    house = app_state(request)
    engine, config = house.engine, house.config
    trial = engine.trial
    return JSONResponse(
        StatusResponse(
            ready=engine.ready,
            problem=engine.problem or "",
            version=engine.version,
            trial=f"{trial.new.version}: {trial.verdict()[1]}" if trial else "",
            drums=list(DRUMS),
            formats=list(FORMATS),
            max_candidates=config.max_candidates,
            upload_mb=config.upload_mb,
            short_seconds=config.short.seconds,
            song_seconds=config.song.seconds,
            keep_hours=config.keep_hours,
            key_needed=house.key is not None,
        ).model_dump()
    )
