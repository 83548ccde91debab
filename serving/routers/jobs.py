"""The jobs API: submit a song, poll its job, fetch its kit, re-roll a drum, cancel, retry, delete."""

import datetime
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from dose import audio
from serving import rendering
from serving.byte_ranges import range_response
from serving.decoding import UPLOAD_NAME
from serving.groove_schemas import MidiParams
from serving.jobs import kit_store
from serving.jobs.store import Job
from serving.limits import APIError
from serving.routers.extract import kit_response
from serving.schemas import InferenceParams, JobResponse, KitParams, RenderParams
from serving.state import AppState, request_state
from serving.telemetry import REJECTED
from serving.uploads import parse_params, receive_upload

_QUEUE_RETRY_AFTER = 60  # seconds, in a 429 for a full job queue
_COPY_BYTES = 1 << 20


async def submit_job(request: Request) -> Response:
    """Queues a whole song as a job; GET /jobs/{id} gives its progress.

    The options may also come as form fields, and the file as the bare body.
    """
    state = request_state(request)
    _check_queue(state)
    # A full job queue is reported before the upload; the limiter bounds uploads in transfer.
    async with state.upload_limiter.queue(), receive_upload(request, state.config) as (file, options):
        params = parse_params(InferenceParams, options)
        state.check_candidates(params)
        job = await anyio.to_thread.run_sync(_add_job, state, file, params)
    return _accepted(request, job)


def _add_job(state: AppState, file: BinaryIO, params: InferenceParams) -> Job:
    """Reads the header first, so that a file that is not audio is rejected at once and not stored."""
    info = audio.probe(file, UPLOAD_NAME)
    file.seek(0)

    def fill(folder: Path) -> None:
        with open(folder / "song", "wb") as song:
            shutil.copyfileobj(file, song, _COPY_BYTES)

    return state.store.add(params.model_dump(), min(info.seconds, state.config.song.seconds), fill)


async def reroll_job(request: Request, id: str) -> Response:
    """A new job on the same song: the named drums are extracted again, the others are copied.

    Give another seed than before; the response is the new job.
    """
    state = request_state(request)
    job = _find(state, id)
    params = parse_params(InferenceParams, request.query_params)
    state.check_candidates(params)
    if job.state != "done":
        raise APIError(409, f"The job is {job.state}; a drum can be made again once it is done.")
    _check_queue(state)

    def fill(folder: Path) -> None:
        # Hard links: the new job outlives the old one without a copy of the song.
        os.link(state.store.path(job.id) / "song", folder / "song")
        shutil.copytree(state.store.path(job.id) / "kit", folder / "base", copy_function=os.link)

    new = await anyio.to_thread.run_sync(state.store.add, params.model_dump(), job.seconds, fill)
    return _accepted(request, new)


async def get_job(request: Request, id: str) -> Response:
    """State and progress of a job."""
    state = request_state(request)
    return JSONResponse(_job_response(state, _find(state, id)).model_dump(mode="json"))


async def get_kit(request: Request, id: str) -> Response:
    """The finished kit: JSON or ZIP, any format, tails, levels and choice of candidates."""
    state = request_state(request)
    job = _find_done(state, id)
    params = parse_params(KitParams, request.query_params)

    def respond() -> Response:
        kit = kit_store.load(state.store.path(job.id) / "kit")
        return kit_response(request, kit, params, params.pick)

    return await anyio.to_thread.run_sync(respond)


async def get_song(request: Request, id: str) -> Response:
    """The song as it was uploaded, for a page that was reloaded."""
    state = request_state(request)
    path = state.store.path(_find(state, id).id) / "song"
    return FileResponse(path, media_type="application/octet-stream")


async def get_hit(request: Request, id: str, drum: str, rank: int) -> Response:
    """One candidate as a WAV file, with the tail and level of the options; ranks count from 1."""
    state = request_state(request)
    job = _find_done(state, id)
    params = parse_params(RenderParams, request.query_params)

    def respond() -> Response:
        kit = kit_store.load(state.store.path(job.id) / "kit")
        name, body = rendering.render_wav(kit, drum, rank, params)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return range_response(request, body, "audio/wav", headers)

    return await anyio.to_thread.run_sync(respond)


async def get_midi(request: Request, id: str) -> Response:
    """The groove of the song as a MIDI file: all drum hits, as they were played or quantised."""
    state = request_state(request)
    job = _find_done(state, id)
    params = parse_params(MidiParams, request.query_params)

    def respond() -> Response:
        name, body = rendering.render_midi(kit_store.load(state.store.path(job.id) / "kit"), params)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(body, media_type="audio/midi", headers=headers)

    return await anyio.to_thread.run_sync(respond)


async def cancel_job(request: Request, id: str) -> Response:
    """Cancels a queued or running job; one that has ended stays as it is."""
    state = request_state(request)
    _find(state, id)
    if not state.store.cancel_queued(id):
        state.worker.cancel(id)
    return JSONResponse(_job_response(state, _find(state, id)).model_dump(mode="json"))


async def retry_job(request: Request, id: str) -> Response:
    """Queues a failed or cancelled job again."""
    state = request_state(request)
    job = _find(state, id)
    _check_queue(state)
    if not state.store.retry(id):
        raise APIError(409, f"The job is {job.state}; only a failed or cancelled one can be tried again.")
    return _accepted(request, _find(state, id))


async def delete_job(request: Request, id: str) -> Response:
    """Cancels the job and deletes its song and its kit now, before they expire."""
    state = request_state(request)
    _find(state, id)
    state.worker.cancel(id)
    await anyio.to_thread.run_sync(state.store.delete, id)
    return Response(status_code=204)


def _check_queue(state: AppState) -> None:
    """APIError (429) when the job queue is full."""
    if state.store.waiting() >= state.config.songs_queue:
        REJECTED.labels("songs").inc()
        message = "Too many songs are waiting; send yours again in a minute."
        raise APIError(429, message, _QUEUE_RETRY_AFTER)


def _find(state: AppState, id: str) -> Job:
    job = state.store.get(id)
    if job is None:
        raise APIError(404, "There is no such job; it may have expired. Send the song again.")
    return job


def _find_done(state: AppState, id: str) -> Job:
    job = _find(state, id)
    if job.state != "done":
        reason = f" ({job.error})" if job.error else ""
        raise APIError(409, f"The job is {job.state}{reason}; only a job that is done has a kit.")
    return job


def _accepted(request: Request, job: Job) -> Response:
    state = request_state(request)
    state.worker.wake()
    return JSONResponse(
        _job_response(state, job).model_dump(mode="json"),
        status_code=202,
        headers={"Location": f"{request.scope.get('root_path', '')}/jobs/{job.id}"},
    )


def _job_response(state: AppState, job: Job) -> JobResponse:
    run = state.worker.running(job.id) if job.state == "running" else None
    # A running job stays below 1: it is done only when its kit is stored.
    progress = round(min(run.fraction, 0.99), 3) if run else float(job.state == "done")
    # The store has given the job to a worker that has not begun: it waits still.
    idle = "waiting" if job.state == "running" else job.state
    params = InferenceParams(**job.options)
    return JobResponse(
        id=job.id,
        state=job.state,
        progress=progress,
        stage=run.stage if run else idle,
        position=state.store.position(job) if job.state == "queued" else 0,
        attempts=job.attempts,
        seconds=round(job.seconds, 3),
        drums=list(params.drum_list()),
        candidates=params.candidates,
        seed=params.seed,
        created=datetime.datetime.fromtimestamp(job.created, datetime.UTC),
        error=job.error or "",
    )
