"""The OpenAPI document, where FastAPI says it less well than it could be said."""

from collections.abc import Callable, Iterable
from typing import Any

from utils.custom_exc import (
    BadRequest,
    ContentTooLarge,
    HeadersTooLarge,
    Overloaded,
    RateLimited,
    RequestTimeout,
    errors,
    merge_errors,
)
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

# What a request may get anywhere before its operation is looked at. Once for all, not a row of each under each.
NOT_REACHED = errors(BadRequest, RequestTimeout, ContentTooLarge, HeadersTooLarge)

# The request headers that lead to an answer of this status; no route reads them, so FastAPI knows nothing of them.
# Without examples: Swagger UI would send those.
ASKED_BY = {
    "206": {"name": "Range", "description": "Which part or parts of the file to send, such as `bytes=0-1023`."},
    "304": {
        "name": "If-None-Match",
        "description": "The ETag of what you have; it is not sent again while it is the same.",
    },
}


def tidy_openapi(build: Callable[[], Document], never_refused: frozenset[str]) -> Document:
    """Build the document and tidy it; FastAPI keeps it, so both happen once.

    A parameter is never null, examples are whole, and what the layers around all routes read, answer and add is there;
    the paths in `never_refused` know no quotas and no overload.
    """
    document = build()
    components = document["components"]
    if "responses" in components:
        return document
    components["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.items()
    }
    components["responses"] = {"NotReached": _not_reached()}
    schemas = components.setdefault("schemas", {})
    components["schemas"] = dict(sorted({**schemas, ErrorEnvelope.__name__: ERROR_MODEL}.items()))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _tidy_operation(operation, is_refused=path not in never_refused)
    return document


def _tidy_operation(operation: Document, *, is_refused: bool) -> None:
    added = _refer_to(HEADERS if is_refused else ("X-Request-ID",))
    if is_refused:
        operation["responses"] = dict(sorted(merge_errors(operation["responses"], REFUSALS).items()))
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
    for status, response in operation["responses"].items():
        _correct_content(status, response.get("content", {}))
        _complete_examples(response)
        response["headers"] = {**response.get("headers", {}), **added}
    for status, header in ASKED_BY.items():
        if status in operation["responses"]:
            parameter = {**header, "in": "header", "required": False, "schema": {"type": "string"}}
            operation.setdefault("parameters", []).append(parameter)
    operation["responses"]["default"] = {"$ref": "#/components/responses/NotReached"}


def _refer_to(headers: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _not_reached() -> Document:
    """What any operation may answer by another status than those it lists."""
    reasons = " ".join(f"{status}: {response['description']}" for status, response in NOT_REACHED.items())
    content = [response["content"]["application/json"] for response in NOT_REACHED.values()]
    examples = {name: example for each in content for name, example in each["examples"].items()}
    return {
        "description": f"The request did not get as far as this operation. {reasons}",
        "headers": _refer_to(HEADERS),
        "content": {"application/json": {"schema": content[0]["schema"], "examples": examples}},
    }


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
