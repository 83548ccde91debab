"""GET /state: readiness, models, formats and limits."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dose.drums import DRUMS
from dose.kits.write import FORMATS
from serving.models.licence import licence_of
from serving.schemas import StatusResponse
from serving.state import request_state


async def get_state(request: Request) -> Response:
    """Whether the service is ready, with which models, and its limits."""
    state = request_state(request)
    manager, config = state.manager, state.config
    rollout = manager.rollout
    # For people: the version and the rollout's progress or reason.
    canary = f"{rollout.canary.version}: {rollout.verdict()[1]}" if rollout else ""
    return JSONResponse(
        StatusResponse(
            ready=manager.ready,
            problem=manager.problem or "",
            version=manager.version,
            licence=licence_of(manager.version),
            canary=canary,
            trial=canary,
            drums=list(DRUMS),
            formats=list(FORMATS),
            max_candidates=config.max_candidates,
            upload_mb=config.upload_mb,
            short_seconds=config.short.seconds,
            song_seconds=config.song.seconds,
            keep_hours=config.keep_hours,
            key_needed=state.api_key is not None,
        ).model_dump()
    )
