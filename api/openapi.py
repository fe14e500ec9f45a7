"""The OpenAPI document, where FastAPI says it less well than it could be said."""

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]


def tidy_openapi(build: Callable[[], Document]) -> Document:
    """Build the document (FastAPI does it once and keeps it) and tidy its parameters."""
    document = build()
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    return document


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is sent or left out, it is never null: `str | None` in code is a string here."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **choices[0]}
