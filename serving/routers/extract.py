"""POST /extract: a short file in, its kit in the response."""

import asyncio
import threading

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dose.extract.result import Kit
from serving import inference, rendering, telemetry
from serving.limits import CLIENT_CLOSED_REQUEST, APIError
from serving.schemas import ExtractParams, RenderParams
from serving.state import request_state
from serving.uploads import parse_params, receive_upload


async def extract(request: Request) -> Response:
    """Extracts a kit from a WAV, FLAC, OGG, MP3, AIFF, M4A ... file: a ZIP with one WAV per drum, or JSON.

    The options may also come as form fields, and the file as the bare body.
    """
    state = request_state(request)
    # The place in the queue is taken before the upload is read, so that a full queue costs no transfer.
    async with state.extract_limiter.queue(), receive_upload(request, state.config) as (file, options):
        params = parse_params(ExtractParams, options)
        state.check_candidates(params)
        async with state.extract_limiter.slot():
            cancelled = threading.Event()
            # The extraction runs in a thread; this task watches the connection meanwhile.
            watcher = asyncio.create_task(_watch_disconnect(request, cancelled))

            def respond() -> Response:
                clock = telemetry.StageClock()
                kit = inference.run(
                    state.manager,
                    file,
                    params,
                    state.config.short,
                    clock=clock,
                    route="/extract",
                    cancelled=cancelled,
                )
                state.feedback.add(kit, reroll=False)
                state.shadow.offer(telemetry.request_id.get(), file, params)
                with clock("pack"):
                    return kit_response(request, kit, params)

            try:
                return await anyio.to_thread.run_sync(respond)
            except inference.Cancelled:
                raise APIError(CLIENT_CLOSED_REQUEST, "The client closed the connection.") from None
            finally:
                watcher.cancel()


async def _watch_disconnect(request: Request, disconnected: threading.Event) -> None:
    """Sets `disconnected` when the client closes the connection, which stops the extraction."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    disconnected.set()


def kit_response(request: Request, kit: Kit, params: RenderParams, pick: str = "") -> Response:
    """The kit as JSON or ZIP: by the option `response`, else by the Accept header, else a ZIP."""
    accept = request.headers.get("accept", "")
    hits = rendering.select_hits(kit, params, pick)
    if params.response == "json" or (params.response == "auto" and "application/json" in accept):
        return JSONResponse(rendering.render_json(kit, hits, params).model_dump())
    formats = "" if params.formats == ("wav",) else "-" + "-".join(f for f in params.formats if f != "wav")
    zipped = rendering.render_zip(kit, hits, params)
    rhythm = kit.transcription.rhythm if kit.transcription else None
    undetected = ", ".join(drum for drum in kit.hits if not kit.detected(drum))
    return Response(
        zipped.body,
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="kit{formats}.zip"',
            "X-Dose-Version": kit.version,
            "X-Dose-Confidence": ", ".join(
                f"{drum}={found[0].confidence if found else 0:.2f}" for drum, found in hits.items()
            ),
            "X-Dose-Undetected": undetected,
            "X-Dose-Absent": undetected,  # deprecated name
            **({"X-Dose-Tempo": f"{rhythm.tempo:.2f}"} if rhythm else {}),
            **({"X-Dose-Left-Out": " ".join(zipped.left_out)} if zipped.left_out else {}),
        },
    )
