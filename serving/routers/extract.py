"""POST /extract: a short sound in, its kit in the same answer."""

import asyncio
import threading

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dose.extract.result import Kit
from serving import inference, responses, telemetry
from serving.limits import APIError
from serving.state import app_state
from serving.uploads import ExtractParams, RenderParams, parse, received


async def extract(request: Request) -> Response:
    """Takes a WAV, FLAC, OGG, MP3, AIFF, M4A ... file and gives a ZIP with one WAV per drum (or JSON).

    The options may also come as form fields, and the sound as the bare body.
    """
    house = app_state(request)
    async with house.desk.place(), received(request, house.config) as (file, values):
        ask = parse(ExtractParams, values)
        house.check_candidates(ask)
        async with house.desk.turn():
            cancelled = threading.Event()
            watcher = asyncio.create_task(_watch(request, cancelled))

            def make() -> Response:
                clock = telemetry.StageClock()
                kit = inference.run(
                    house.engine,
                    file,
                    ask,
                    house.config.short,
                    clock=clock,
                    route="/extract",
                    cancelled=cancelled,
                )
                house.signals.note(kit, reroll=False)
                house.shadows.offer(telemetry.request_id.get(), file, ask)
                with clock("pack"):
                    return kit_response(request, kit, ask)

            try:
                return await anyio.to_thread.run_sync(make)
            except inference.Stopped:
                raise APIError(499, "The caller went away.") from None
            finally:
                watcher.cancel()


async def _watch(request: Request, gone: threading.Event) -> None:
    """Sets `gone` when the caller hangs up, so that nobody computes for nobody."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def kit_response(request: Request, kit: Kit, shape: RenderParams, pick: str = "") -> Response:
    """The kit in the form asked for by the option `reply`, else by the Accept header, else as a ZIP."""
    accept = request.headers.get("accept", "")
    hits = responses.chosen(kit, shape, pick)
    if shape.reply == "json" or (shape.reply == "auto" and "application/json" in accept):
        return JSONResponse(responses.as_json(kit, hits, shape).model_dump())
    formats = "" if shape.formats == ("wav",) else "-" + "-".join(f for f in shape.formats if f != "wav")
    packed = responses.as_zip(kit, hits, shape)
    return Response(
        packed.body,
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="kit{formats}.zip"',
            "X-Dose-Version": kit.version,
            "X-Dose-Confidence": ", ".join(
                f"{drum}={found[0].confidence if found else 0:.2f}" for drum, found in hits.items()
            ),
            "X-Dose-Absent": ", ".join(drum for drum in kit.hits if not kit.detected(drum)),
            **({"X-Dose-Left-Out": " ".join(packed.left_out)} if packed.left_out else {}),
        },
    )
