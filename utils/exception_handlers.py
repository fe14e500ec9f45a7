"""The only way out for failures: whatever is raised becomes the envelope with its true HTTP status."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from loguru import logger
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.custom_exc import (
    BadRequest,
    Conflict,
    ContentTooLarge,
    Forbidden,
    HeadersTooLarge,
    InternalError,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    NotReady,
    PaymentRequired,
    PreconditionFailed,
    PreconditionRequired,
    RangeNotSatisfiable,
    RequestTimeout,
    ServiceError,
    TooManyRequests,
    UnsupportedMediaType,
    ValidationFailed,
)
from utils.response_code import resp_error

_BY_STATUS: Mapping[int, type[ServiceError]] = {
    error.status_code: error
    for error in (
        BadRequest, NotAuthenticated, PaymentRequired, Forbidden, NotFound, MethodNotAllowed, RequestTimeout,
        Conflict, PreconditionFailed, ContentTooLarge, UnsupportedMediaType, RangeNotSatisfiable, ValidationFailed,
        PreconditionRequired, TooManyRequests, HeadersTooLarge, InternalError, NotReady,
    )
}  # fmt: skip
MAX_TOLD = 100  # errors in one answer: a body of 1 MiB can have 90,000, and the answer would be eight times as long
LONGEST_KEY = 100  # characters of a client's own key in the place of an error
_FRAMEWORK_PHRASES = ("Content Too Large",)  # the phrase of 413 is another one before Python 3.13


def register_exception_handlers(app: FastAPI) -> None:
    """Put every failure of `app` into the envelope."""
    app.add_exception_handler(ServiceError, answer_service_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, answer_http_exception)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, answer_validation_error)  # type: ignore[arg-type]


async def answer_service_error(_: Request, error: ServiceError) -> Response:
    return answer_error(error)


async def answer_http_exception(request: Request, error: HTTPException) -> Response:
    """Answer the errors of the framework itself, such as an unknown path."""
    headers = error.headers
    if error.status_code == MethodNotAllowed.status_code:
        headers = {"Allow": ", ".join(sorted(_allowed_methods(request)))}
    return answer_error(_from_status(error.status_code, str(error.detail), headers))


async def answer_validation_error(_: Request, error: RequestValidationError) -> Response:
    """List what does not fit where, up to a bound; never the rejected input, it can be a password."""
    found = [
        {"loc": [_shortened(part) for part in item["loc"]], "message": readable(item["msg"]), "type": item["type"]}
        for item in error.errors()[:MAX_TOLD]
    ]
    return answer_error(ValidationFailed(data={"errors": found}))


def _shortened(part: str | int) -> str | int:
    return part if isinstance(part, int) or len(part) <= LONGEST_KEY else f"{part[:LONGEST_KEY]}…"


def readable(message: str) -> str:
    """Pydantic's message for people: without the words it puts before our own."""
    return message.removeprefix("Value error, ")


class Refusal:
    """The answer to what is not looked at any further, made once: refusing must cost little."""

    def __init__(self, error: ServiceError) -> None:
        answer = answer_error(error)
        self._start = {"type": "http.response.start", "status": answer.status_code}
        self._headers = tuple(answer.raw_headers)
        self._body = {"type": "http.response.body", "body": bytes(answer.body)}

    async def send(self, send: Send) -> None:
        await send({**self._start, "headers": list(self._headers)})
        await send(self._body)


class FailureMiddleware:
    """Answers crashes, and failures of the framework that are plain text, in the envelope.

    It stands inside the CORS and request-id middleware, so that these answers carry their headers too:
    Starlette's own handler for crashes stands outside of everything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through until something fails."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = replaced = False

        async def send_enveloped(message: Message) -> None:
            nonlocal started, replaced
            if message["type"] == "http.response.start":
                started = True
                if replaced := _is_plain_failure(message):
                    await answer_error(_from_status(message["status"], "", _kept_headers(message)))(
                        scope, receive, send
                    )
            if not replaced:
                await send(message)

        try:
            await self.app(scope, receive, send_enveloped)
        except Exception:
            if started:
                raise  # the answer is on its way; the server can only cut the connection
            logger.exception("{} {} failed", scope["method"], scope["path"])
            await answer_error(InternalError())(scope, receive, send)


def _allowed_methods(request: Request) -> set[str]:
    """The methods of all routes at this path; the framework names those of the first one only."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = {method for route in routes for method in getattr(route, "methods", None) or ()}
    return allowed | {"HEAD"} if "GET" in allowed else allowed


def _is_plain_failure(start: Message) -> bool:
    return start["status"] >= 400 and Headers(raw=start["headers"]).get("content-type", "").startswith("text/plain")


def _kept_headers(start: Message) -> dict[str, str]:
    """The headers that do not describe the plain text."""
    headers = Headers(raw=start["headers"])
    return {name: value for name, value in headers.items() if name not in ("content-type", "content-length")}


def _from_status(status: int, detail: str, headers: Mapping[str, str] | None) -> ServiceError:
    message = None if detail in (HTTPStatus(status).phrase, *_FRAMEWORK_PHRASES) else detail or None
    if known := _BY_STATUS.get(status):
        return known(message, headers=headers)
    error = ServiceError(message or HTTPStatus(status).phrase, headers=headers)
    error.status_code = error.code = status
    return error


def answer_error(error: ServiceError) -> Response:
    """The envelope of a failure."""
    headers = dict(error.headers)
    return resp_error(error.status_code, code=error.code, message=error.message, data=error.data, headers=headers)
