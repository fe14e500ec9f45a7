"""The OpenAPI document, where FastAPI says it less well than it could be said."""

from collections.abc import Callable
from typing import Any

from utils.custom_exc import Overloaded, RateLimited, errors, merge_errors
from utils.response_code import ErrorEnvelope

Document = dict[str, Any]

ERROR_MODEL = ErrorEnvelope.model_json_schema()

REFUSALS: dict[int | str, dict[str, Any]] = {
    str(status): response for status, response in errors(RateLimited, Overloaded).items()
}

HEADERS = {
    "X-Request-ID": "The id of this request in the log: the one sent in X-Request-ID if it is sane, or a new one.",
    "RateLimit": "Where quotas are set: what is left (r), and seconds until all of it is there again (t).",
    "RateLimit-Policy": "Where quotas are set: the quota of this user or address (q) in a window of seconds (w).",
}


def tidy_openapi(build: Callable[[], Document], never_refused: frozenset[str]) -> Document:
    """Build the document (FastAPI does it once and keeps it) and tidy it.

    A parameter is never null, examples are whole, and what the layers around all routes answer and add is there: at
    the paths in `never_refused` nothing but X-Request-ID.
    """
    document = build()
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.items()}
    document["components"].setdefault("headers", {}).update(headers)
    schemas = document["components"].setdefault("schemas", {})
    document["components"]["schemas"] = dict(sorted({**schemas, ErrorEnvelope.__name__: ERROR_MODEL}.items()))
    for path, operations in document["paths"].items():
        is_refused = path not in never_refused
        added = HEADERS if is_refused else ("X-Request-ID",)
        for operation in operations.values():
            if is_refused:
                operation["responses"] = dict(sorted(merge_errors(operation["responses"], REFUSALS).items()))
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            for status, response in operation["responses"].items():
                _correct_content(status, response.get("content", {}))
                _complete_examples(response)
                for name in added:
                    response.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}
    return document


def _correct_content(status: str, content: dict[str, Any]) -> None:
    """A failure is JSON whatever a success is; and a stream of events is text: `itemSchema` came after 3.1."""
    for media_type in [media_type for media_type in content if media_type != "application/json"]:
        if status >= "400":
            content["application/json"].update(content.pop(media_type))
        elif content[media_type].pop("itemSchema", None):
            content[media_type]["schema"] = {"type": "string"}


def _complete_examples(response: dict[str, Any]) -> None:
    """FastAPI drops what is null, but a failure without details is sent with `"data": null`."""
    for content in response.get("content", {}).values():
        for example in content.get("examples", {}).values():
            example["value"].setdefault("data", None)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is sent or left out, it is never null: `str | None` in code is a string here."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **choices[0]}
