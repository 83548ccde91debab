"""The OpenAPI parts that are not told by the routes' types: uploads, options, kits and problems."""

from typing import Any

import pydantic

from serving import responses

Answers = dict[int | str, dict[str, Any]]  # as FastAPI's `responses`
BINARY = {"type": "string", "format": "binary"}
_PROBLEMS = {
    400: "The sound or an option cannot be used.",
    401: "An API key is needed.",
    404: "There is no such job.",
    408: "The upload took too long.",
    409: "The job is not in the right state.",
    413: "The sound is too large or too long.",
    416: "The hit has no such bytes.",
    429: "Too busy, or too many requests; see Retry-After.",
    503: "There are no models yet.",
}


def upload(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """A request body with a sound in it, and the options of `model`."""
    schema = {
        "title": "Upload",
        "type": "object",
        "required": ["audio"],
        "properties": {
            "audio": {
                **BINARY,
                "description": "A WAV, FLAC, OGG, MP3, AIFF, M4A, WMA or WebM file, among others.",
            }
        },
    }
    return {
        **options(model),
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
    }


def options(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The fields of `model` as optional query parameters."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.get("description", ""),
                "schema": {k: v for k, v in schema.items() if k not in ("title", "description")},
            }
            for name, schema in model.model_json_schema()["properties"].items()
        ]
    }


def problems(*statuses: int) -> Answers:
    return {s: {"model": responses.Problem, "description": _PROBLEMS[s]} for s in statuses}


def kit(*statuses: int) -> Answers:
    return {
        200: {
            "description": "The kit, as JSON with base64 WAVs or as a ZIP.",
            "model": responses.KitResponse,
            "content": {"application/zip": {"schema": BINARY}},
        },
        **problems(*statuses),
    }
