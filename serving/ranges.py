"""Parts of an answer: players ask for a sound in pieces, and some play nothing that comes only whole."""

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

from serving.middleware import problem


def ranged(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """`body`, or the one range of it that the request asks for (RFC 9110, section 14); 416 for one outside.

    Several ranges at once, and units other than bytes, are answered with the whole.
    """
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {**headers, "Accept-Ranges": "bytes", "ETag": tag}
    asked = re.fullmatch(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", request.headers.get("range", ""))
    if not asked or asked.groups() == ("", "") or request.headers.get("if-range", tag) != tag:
        return Response(body, media_type=media_type, headers=headers)
    first, last = asked.groups()
    if not first:  # the last so many bytes
        start, end = max(0, len(body) - int(last)), len(body)
    else:
        start, end = int(first), min(len(body), int(last) + 1 if last else len(body))
        if last and int(last) < start:  # not a range, says the RFC
            return Response(body, media_type=media_type, headers=headers)
    if start >= end:
        told = f"The file has {len(body)} bytes; ask for a range within them."
        return problem(416, told, {"Content-Range": f"bytes */{len(body)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
    return Response(body[start:end], 206, media_type=media_type, headers=headers)
