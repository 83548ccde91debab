"""Byte ranges of a response (RFC 9110, section 14): media players request a sound in parts."""

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

from serving.middleware import error_response

# "bytes=first-last", "bytes=first-" or "bytes=-suffix length"; 18 digits hold any file's size.
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")


def range_response(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """`body`, or the one range of it that the request asks for; 416 for one outside.

    Several ranges at once, other units than bytes and malformed ranges get the whole body.
    """
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {**headers, "Accept-Ranges": "bytes", "ETag": etag}
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    # If-Range: the range counts only while the body is the one that the client already has a part of.
    if not match or match.groups() == ("", "") or request.headers.get("if-range", etag) != etag:
        return Response(body, media_type=media_type, headers=headers)
    first, last = match.groups()
    if not first:  # a suffix range: the last so many bytes
        start, end = max(0, len(body) - int(last)), len(body)
    else:
        start, end = int(first), min(len(body), int(last) + 1 if last else len(body))
        if last and int(last) < start:  # invalid by section 14.1.1, so it is ignored
            return Response(body, media_type=media_type, headers=headers)
    if start >= end:
        message = f"The file has {len(body)} bytes; ask for a range within them."
        return error_response(416, message, {"Content-Range": f"bytes */{len(body)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
    return Response(body[start:end], 206, media_type=media_type, headers=headers)
