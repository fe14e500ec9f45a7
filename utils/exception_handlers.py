"""The only way out for failures: whatever is raised becomes the envelope with its true HTTP status."""

from asyncio import CancelledError
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
CUT_OFF = "The service stops; whether this was done is not known."
NOT_KEPT = "The body could not be kept just now; send it again in a moment."
DENIAL = "websocket.http.response"  # the extension of ASGI by which a socket is refused with an answer
NORMAL = 1000  # the close code of whoever gives none
NO_SOCKET = "There is no WebSocket at this address."
REFUSED_SOCKET = "You may not open this WebSocket."
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
    if isinstance(error.__cause__, OSError):  # the framework blames the client for our disk
        logger.warning("A body could not be kept: {}", error.__cause__)
        return answer_error(NotReady(NOT_KEPT))
    headers = error.headers
    if error.status_code == MethodNotAllowed.status_code:
        headers = {"Allow": ", ".join(sorted(_allowed_methods(request)))}
    return answer_error(error_of_status(error.status_code, str(error.detail), headers))


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
        self._start = {"status": answer.status_code}
        self._headers = tuple(answer.raw_headers)
        self._body = {"body": bytes(answer.body)}

    async def send(self, scope: Scope, send: Send) -> None:
        prefix = "websocket." if scope["type"] == "websocket" else ""
        await send({**self._start, "type": f"{prefix}http.response.start", "headers": list(self._headers)})
        await send({**self._body, "type": f"{prefix}http.response.body"})


class FailureMiddleware:
    """Answers crashes, and failures of the framework that are plain text or no answer at all, in the envelope.

    It stands inside the CORS and request-id middleware, so that these answers carry their headers too:
    Starlette's own handler for crashes stands outside of everything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through until something fails."""
        if scope["type"] != "http" and DENIAL not in scope.get("extensions", {}):
            await self.app(scope, receive, send)
            return
        answer = Answer(scope, receive, send)
        try:
            await self.app(scope, receive, answer.send)
        except CancelledError:  # at the end of the time that the service has to stop
            await answer.fail(NotReady(CUT_OFF))
            raise
        except Exception:
            if answer.started:
                raise  # the server can only cut the connection
            logger.exception("{} {} failed", scope.get("method", "WS"), scope["path"])
            await answer.fail(InternalError())


class Answer:
    """What an application sends: passed on, or replaced when it begins as a failure that is not in the envelope."""

    __slots__ = ("_receive", "_replaced", "_scope", "_send", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self.started = self._replaced = False

    async def send(self, message: Message) -> None:
        if not self.started:
            if error := _failure(message):
                self._replaced = True
                await self.fail(error)
            self.started = True
        if not self._replaced:
            await self._send(message)

    async def fail(self, error: ServiceError) -> None:
        """Answer with an error, unless an answer is on its way."""
        if not self.started:
            self.started = True
            await answer_error(error)(self._scope, self._receive, self._send)


def _allowed_methods(request: Request) -> set[str]:
    """The methods of all routes at this path; the framework names those of the first one only."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = {method for route in routes for method in getattr(route, "methods", None) or ()}
    return allowed | {"HEAD"} if "GET" in allowed else allowed


def _failure(start: Message) -> ServiceError | None:
    """What fails, if an answer that begins like this is not in the envelope."""
    if start["type"] == "websocket.close":  # with its own code the framework means that there is nothing
        return NotFound(NO_SOCKET) if start.get("code", NORMAL) == NORMAL else Forbidden(REFUSED_SOCKET)
    status: int = start.get("status", 0)
    if status >= 400 and Headers(raw=start["headers"]).get("content-type", "").startswith("text/plain"):
        return error_of_status(status, headers=_kept_headers(start))
    return None


def _kept_headers(start: Message) -> dict[str, str]:
    """The headers that do not describe the plain text."""
    headers = Headers(raw=start["headers"])
    return {name: value for name, value in headers.items() if name not in ("content-type", "content-length")}


def error_of_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> ServiceError:
    """The error of this HTTP status, with our own sentence instead of the bare phrase of the status."""
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
