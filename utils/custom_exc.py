"""The tree of errors; every error knows its HTTP status, its code and its sentence, and documents itself."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from utils.response_code import ErrorEnvelope

# Referred to, not given as a model: FastAPI would make a validator of it for every status of every route, which took
# three quarters of the start. `api.openapi` adds what is referred to.
ERROR_SCHEMA = {"$ref": f"#/components/schemas/{ErrorEnvelope.__name__}"}


class ServiceError(Exception):
    """Base of everything the service answers with on purpose; subclasses set the three class attributes.

    `code` is the HTTP status for a general error, status × 100 + serial for a named one (40401).
    """

    status_code: int = 500
    code: int = 500
    message: str = "Something went wrong on our side."
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        message: str | None = None,
        *,
        data: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.message
        self.data = data
        self.headers = {**self.headers, **(headers or {})}
        super().__init__(self.message)


class BadRequest(ServiceError):
    """The request cannot be understood."""

    status_code = code = 400
    message = "The request could not be understood."


class NotAuthenticated(ServiceError):
    """No token, or one that is not valid (any more)."""

    status_code = code = 401
    message = "A valid access token is required: send it as “Authorization: Bearer …”."
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class PaymentRequired(ServiceError):
    """It must be paid for first."""

    status_code = code = 402
    message = "A payment is required."


class Forbidden(ServiceError):
    """The token is valid, but its roles do not allow this."""

    status_code = code = 403
    message = "Your token does not allow this."


class NotFound(ServiceError):
    """Unknown path or thing."""

    status_code = code = 404
    message = "There is nothing at this address."


class MethodNotAllowed(ServiceError):
    """The path exists, but not with this method; `Allow` names the ones it has."""

    status_code = code = 405
    message = "This address does not support that method; see the Allow header."


class RequestTimeout(ServiceError):
    """The request did not arrive completely in the time that one may take."""

    status_code = code = 408
    message = "The request took too long to arrive; send it again."


class Conflict(ServiceError):
    """The request contradicts what is stored."""

    status_code = code = 409
    message = "The request conflicts with what is stored."


class PreconditionFailed(ServiceError):
    """`If-Match` names another version than the stored one."""

    status_code = code = 412
    message = "It was changed meanwhile: read it again and repeat the change with the new ETag in If-Match."


class ContentTooLarge(ServiceError):
    """The body is larger than the limit."""

    status_code = code = 413
    message = "The request body is too large."


class UnsupportedMediaType(ServiceError):
    """The body's content type is not the one this operation reads."""

    status_code = code = 415
    message = "The body's Content-Type is not supported here."


class RangeNotSatisfiable(ServiceError):
    """`Range` names a part that the file does not have; `Content-Range` says how long it is."""

    status_code = code = 416
    message = "The file has no such part; Content-Range says how long it is."


class ValidationFailed(ServiceError):
    """A value does not fit; `data.errors` lists where and why, never the value itself."""

    status_code = code = 422
    message = "Some values are not valid; data.errors says which."


class PreconditionRequired(ServiceError):
    """A change needs `If-Match`, so that nobody overwrites another's change unseen."""

    status_code = code = 428
    message = "Send the ETag you last read in an If-Match header."


class TooManyRequests(ServiceError):
    """A rate limit was reached; `Retry-After` says when to come back, in seconds."""

    status_code = code = 429
    message = "Too many requests; wait as long as Retry-After says."


class RateLimited(TooManyRequests):
    """The quota of requests of this user or address is used up; `RateLimit-Policy` says what it is."""

    code = 42901
    headers = MappingProxyType({"Retry-After": "1"})


class HeadersTooLarge(ServiceError):
    """More or longer headers than are read."""

    status_code = code = 431
    message = "The headers are too many or too long."


class InternalError(ServiceError):
    """A crash; the log has the reason under the same request id."""

    status_code = code = 500


class NotReady(ServiceError):
    """Something the service depends on cannot be reached right now."""

    status_code = code = 503
    message = "The service is not ready; try again in a moment."
    headers = MappingProxyType({"Retry-After": "2"})


class Overloaded(NotReady):
    """There is more to do than can be done in time; `Retry-After` says when to come back, in seconds."""

    code = 50301
    message = "Too many requests are under way; try again in a moment."
    headers = MappingProxyType({"Retry-After": "1"})


def errors(*classes: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of these errors: one entry a status, one named example a class."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in classes:
        entry = responses.setdefault(
            error.status_code,
            {"description": "", "content": {"application/json": {"schema": ERROR_SCHEMA, "examples": {}}}},
        )
        first_line = (error.__doc__ or error.message).strip().splitlines()[0]
        entry["description"] = " ".join(filter(None, [entry["description"], first_line]))
        example = {"code": error.code, "message": error.message, "data": None}
        entry["content"]["application/json"]["examples"][error.__name__] = {"summary": first_line, "value": example}
        for name in error.headers:
            entry.setdefault("headers", {})[name] = {"schema": {"type": "string"}}
    return responses


def merge_errors(*groups: Mapping[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Join several `errors(…)` without losing the examples of a status that stands in more than one."""
    merged: dict[int | str, dict[str, Any]] = {}
    for group in groups:
        for status, entry in group.items():
            known = merged.get(status)
            merged[status] = _join(known, entry) if known and "content" in known and "content" in entry else entry
    return merged


def _join(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    examples = {
        **first["content"]["application/json"]["examples"],
        **second["content"]["application/json"]["examples"],
    }
    sentences = dict.fromkeys(example["summary"] for example in examples.values())
    return {
        **first,
        **second,
        "headers": {**first.get("headers", {}), **second.get("headers", {})},
        "description": " ".join(sentences),
        "content": {"application/json": {"schema": ERROR_SCHEMA, "examples": examples}},
    }
