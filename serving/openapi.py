"""OpenAPI parts that FastAPI cannot derive from the routes: uploads, options, kits and errors."""

from typing import Any

import pydantic

from serving.schemas import ErrorResponse, KitResponse, deprecated_names

Responses = dict[int | str, dict[str, Any]]  # as FastAPI's argument `responses`
BINARY = {"type": "string", "format": "binary"}
_ERRORS = {
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
    """The request body with the file, and the options of `model`."""
    schema = {
        # The document names one field; the service accepts a file in a field of any name.
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
    """The fields of `model` as optional query parameters; old names of renamed ones are deprecated."""
    schemas = model.model_json_schema()["properties"]
    parameters = [_parameter(name, schema) for name, schema in schemas.items()]
    for old, name in deprecated_names(model).items():
        # No default: a generated client sends defaults, and then both names would come.
        alias = {k: v for k, v in schemas[name].items() if k != "default"}
        alias["description"] = f"Old name of `{name}`."
        parameters.append({**_parameter(old, alias), "deprecated": True})
    return {"parameters": parameters}


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": schema.get("description", ""),
        "schema": {k: v for k, v in schema.items() if k not in ("title", "description")},
    }


def errors(*statuses: int) -> Responses:
    return {s: {"model": ErrorResponse, "description": _ERRORS[s]} for s in statuses}


def kit(*statuses: int) -> Responses:
    """A kit, or errors with these statuses."""
    return {
        200: {
            "description": "The kit, as JSON with base64 WAVs or as a ZIP.",
            "model": KitResponse,
            "content": {"application/zip": {"schema": BINARY}},
        },
        **errors(*statuses),
    }
