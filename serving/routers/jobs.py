"""The task API: hand in a song, watch it, fetch its kit, re-roll a drum, cancel, retry, delete."""

import datetime
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO, Literal

import anyio.to_thread
import pydantic
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from dose import audio
from serving import responses
from serving.jobs import kit_store
from serving.jobs.store import Job
from serving.limits import APIError
from serving.ranges import ranged
from serving.routers.extract import kit_response
from serving.state import AppState, app_state
from serving.telemetry import REJECTED
from serving.uploads import NAME, InferenceParams, KitParams, RenderParams, parse, received


class JobResponse(pydantic.BaseModel):
    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = pydantic.Field(description="0 to 1.")
    stage: str = pydantic.Field(description="What is being done.")
    position: int = pydantic.Field(description="Jobs before this one in the queue.")
    attempts: int
    seconds: float = pydantic.Field(description="Length of the song.")
    drums: list[str]
    candidates: int
    seed: int
    created: datetime.datetime
    error: str = pydantic.Field(description="Why it failed and what to do; else empty.")


async def submit(request: Request) -> Response:
    """Takes a whole song; GET /jobs/{id} tells how far it is.

    The options may also come as form fields, and the sound as the bare body.
    """
    house = app_state(request)
    check_room(house)
    async with house.uploads.place(), received(request, house.config) as (file, values):
        options = parse(InferenceParams, values)
        house.check_candidates(options)
        job = await anyio.to_thread.run_sync(_accept, house, file, options)
    return _accepted(request, job)


def _accept(house: AppState, file: BinaryIO, options: InferenceParams) -> Job:
    """Looks at the header, so that what is no sound is refused at once and not kept."""
    info = audio.probe(file, NAME)
    file.seek(0)

    def fill(folder: Path) -> None:
        with open(folder / "song", "wb") as song:
            shutil.copyfileobj(file, song, 1 << 20)

    return house.store.add(options.model_dump(), min(info.seconds, house.config.song.seconds), fill)


async def reroll(request: Request, id: str) -> Response:
    """A new job on the same song: the drums asked for are made again, the others are taken over.

    Give another seed than before; the answer is the new job.
    """
    house = app_state(request)
    job = find(house, id)
    options = parse(InferenceParams, request.query_params)
    house.check_candidates(options)
    if job.state != "done":
        raise APIError(409, f"The job is {job.state}; a drum can be made again once it is done.")
    check_room(house)

    def fill(folder: Path) -> None:
        os.link(house.store.path(job.id) / "song", folder / "song")
        shutil.copytree(house.store.path(job.id) / "kit", folder / "base", copy_function=os.link)

    new = await anyio.to_thread.run_sync(house.store.add, options.model_dump(), job.seconds, fill)
    return _accepted(request, new)


async def status(request: Request, id: str) -> Response:
    """How far a job is."""
    house = app_state(request)
    return JSONResponse(_reply(house, find(house, id)).model_dump(mode="json"))


async def kit(request: Request, id: str) -> Response:
    """The finished kit: JSON or ZIP, any format, tails, levels and choice of candidates."""
    house = app_state(request)
    job = done(house, id)
    choice = parse(KitParams, request.query_params)

    def make() -> Response:
        found = kit_store.load(house.store.path(job.id) / "kit")
        return kit_response(request, found, choice, choice.pick)

    return await anyio.to_thread.run_sync(make)


async def song(request: Request, id: str) -> Response:
    """The song as it was sent, for a page that was opened again."""
    house = app_state(request)
    path = house.store.path(find(house, id).id) / "song"
    return FileResponse(path, media_type="application/octet-stream")


async def hit(request: Request, id: str, drum: str, rank: int) -> Response:
    """One candidate as a WAV file, with the tail and level asked for; ranks count from 1."""
    house = app_state(request)
    job = done(house, id)
    shape = parse(RenderParams, request.query_params)

    def make() -> Response:
        found = kit_store.load(house.store.path(job.id) / "kit")
        name, body = responses.one_wav(found, drum, rank, shape)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return ranged(request, body, "audio/wav", headers)

    return await anyio.to_thread.run_sync(make)


async def cancel(request: Request, id: str) -> Response:
    """Stops a job that waits or runs; one that is over stays as it is."""
    house = app_state(request)
    find(house, id)
    if not house.store.cancel_queued(id):
        house.runner.cancel(id)
    return JSONResponse(_reply(house, find(house, id)).model_dump(mode="json"))


async def retry(request: Request, id: str) -> Response:
    """Queues a failed or cancelled job again."""
    house = app_state(request)
    job = find(house, id)
    check_room(house)
    if not house.store.retry(id):
        raise APIError(409, f"The job is {job.state}; only a failed or cancelled one can be tried again.")
    return _accepted(request, find(house, id))


async def delete(request: Request, id: str) -> Response:
    """Stops the job and deletes its song and its kit now, not when they expire."""
    house = app_state(request)
    find(house, id)
    house.runner.cancel(id)
    await anyio.to_thread.run_sync(house.store.delete, id)
    return Response(status_code=204)


def check_room(house: AppState) -> None:
    if house.store.waiting() >= house.config.songs_queue:
        REJECTED.labels("songs").inc()
        raise APIError(429, "Too many songs are waiting; send yours again in a minute.", 60)


def find(house: AppState, id: str) -> Job:
    job = house.store.get(id)
    if job is None:
        raise APIError(404, "There is no such job; it may have expired. Send the song again.")
    return job


def done(house: AppState, id: str) -> Job:
    job = find(house, id)
    if job.state != "done":
        why = f" ({job.error})" if job.error else ""
        raise APIError(409, f"The job is {job.state}{why}; only a job that is done has a kit.")
    return job


def _accepted(request: Request, job: Job) -> Response:
    house = app_state(request)
    house.runner.wake()
    return JSONResponse(
        _reply(house, job).model_dump(mode="json"),
        status_code=202,
        headers={"Location": f"{request.scope.get('root_path', '')}/jobs/{job.id}"},
    )


def _reply(house: AppState, job: Job) -> JobResponse:
    run = house.runner.running(job.id) if job.state == "running" else None
    progress: dict[str, Any] = {"progress": float(job.state == "done"), "stage": job.state}
    if run:
        progress = {"progress": round(min(run.fraction, 0.99), 3), "stage": run.stage}
    options = InferenceParams(**job.options)
    return JobResponse(
        id=job.id,
        state=job.state,
        position=house.store.position(job) if job.state == "queued" else 0,
        attempts=job.attempts,
        seconds=round(job.seconds, 3),
        drums=list(options.drum_list()),
        candidates=options.candidates,
        seed=options.seed,
        created=datetime.datetime.fromtimestamp(job.created, datetime.UTC),
        error=job.error or "",
        **progress,
    )
