"""The route class that puts the envelope around what a route returns, on the wire and in OpenAPI."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from types import NoneType
from typing import Any, NamedTuple, get_type_hints

from fastapi import APIRouter, FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from pydantic import TypeAdapter
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from utils.custom_exc import (
    BadRequest,
    ContentTooLarge,
    InternalError,
    ServiceError,
    UnsupportedMediaType,
    ValidationFailed,
    errors,
    merge_errors,
)
from utils.direct_call import DirectCall, Sent
from utils.ready_answers import Revalidation, answer_and_keep, header
from utils.request_body import body_types, check_content_type, read_body, receive_again
from utils.response_code import SUCCESS_CODE, SUCCESS_MESSAGE, Envelope, document_headers, document_not_modified

Endpoint = Callable[..., Any]

_BEFORE_DATA = f'{{"code":{SUCCESS_CODE},"message":"{SUCCESS_MESSAGE}","data":'.encode()
_AFTER_DATA = b"}"

_TAGGED = {**document_headers(200, "ETag"), **document_not_modified("ETag")}

_ROUTE_OPTIONS = inspect.signature(APIRouter.add_api_route).parameters.keys() - {
    "self", "path", "endpoint", "route_class_override", "form_limits", "max_body_size",
}  # fmt: skip


class _Written(NamedTuple):
    """The endpoint inside a wrapped one, and how its result becomes the bytes of the answer."""

    endpoint: Endpoint
    write: Callable[[Any], bytes]


class EnvelopeRoute(APIRoute):
    """Answers `{"code": 200, "message": "Success", "data": T}` for a route annotated `-> T`.

    The result is trusted to be what the annotation says and is written to bytes once; an `Envelope` of the route's own
    is written as it is. Routes that return a `Response`, stream, or answer without a body (`-> None`) are left alone.
    """

    def __init__(
        self,
        path: str,
        endpoint: Endpoint,
        *,
        responses: dict[int | str, dict[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        if not hasattr(endpoint, "written"):
            result = _result_type(path, endpoint)
            if result is not None and isinstance(options.get("response_class"), DefaultPlaceholder | NoneType):
                endpoint = _written_by_us(endpoint, _writer(result), options.get("status_code") or 200)
                options["response_model"] = result if _is_envelope(result) else Envelope[result]  # type: ignore[valid-type]
            else:
                options["response_model"] = None
        super().__init__(path, endpoint, responses=responses, **options)
        written: _Written | None = getattr(endpoint, "written", None)
        self._direct = DirectCall.of(self.dependant, written.endpoint) if written else None
        self._write = written.write if written else None
        self._status = self.status_code or 200
        self._fixed_part = path.partition("{")[0]
        self.body_types = body_types(self)
        self._guards = _guards(self.dependant) if "multipart/form-data" in self.body_types else ()
        self.is_cached = getattr(endpoint, "is_cached", False)
        self.responses = merge_errors(errors(*self._errors_of_any_route()), responses or {})
        if self.is_cached:
            self.responses |= _TAGGED

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Look at the part before the first parameter before trying the whole pattern: most routes end here."""
        if not scope.get("root_path") and scope["type"] == "http":
            if not scope["path"].startswith(self._fixed_part):
                return Match.NONE, {}
            if scope["path"] == self.path and scope["method"] in (self.methods or ()) and not self.param_convertors:
                return Match.FULL, {"endpoint": self.endpoint, "path_params": {}, "route": self}
        match, child_scope = super().matches(scope)
        if match is Match.PARTIAL and self._answers_head(scope):
            match = Match.FULL
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what needs no route: 415, and 401 of a form, before a body is read; ready answers; 304."""
        if self._answers_head(scope):
            scope = {**scope, "method": "GET"}  # a copy: the server must still see HEAD, it drops the body
        if self.body_types and scope["method"] in (self.methods or ()):
            check_content_type(Headers(scope=scope), self.body_types)
            await self._ask_guards(scope, receive, send)
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
        elif scope["method"] != "GET":
            await self._answer(scope, receive, send)
        elif self.is_cached:
            await answer_and_keep(scope["app"].state.cache, scope, receive, send, self._answer)
        elif if_none_match := header(scope, b"if-none-match"):
            await self._answer(scope, receive, Revalidation(send, if_none_match).send)
        else:
            await self._answer(scope, receive, send)

    async def _ask_guards(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask who may before a form is read: FastAPI asks (again) when its files are on disk."""
        if scope["app"].dependency_overrides:
            return
        for guard in self._guards:
            values = guard.bind(Sent((scope, receive, send), []), _empty_answer())
            if values is not None:  # what does not fit is FastAPI's to tell
                await guard.run(values)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the route: directly if it is simple and nothing of FastAPI's is in use, else through FastAPI."""
        if self._direct is None or self._write is None or scope["app"].dependency_overrides:
            await super().handle(scope, receive, send)
            return
        answer = _empty_answer() if self._direct.wants_response else _NO_HEADERS
        messages = await read_body(scope, receive, self.max_body_size) if self.body_field else []
        values = self._direct.bind(Sent((scope, receive, send), messages), answer)
        if values is None:
            await super().handle(scope, receive_again(messages, receive), send)
            return
        result = await self._direct.run(values)
        if isinstance(result, Response):
            await result(scope, receive, send)
            return
        data = self._write(result)
        headers = [(b"content-length", b"%d" % len(data)), (b"content-type", b"application/json"), *answer.raw_headers]
        await send({"type": "http.response.start", "status": answer.status_code or self._status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    def _answers_head(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] == "HEAD" and "GET" in (self.methods or ())

    def _errors_of_any_route(self) -> list[type[ServiceError]]:
        found: list[type[ServiceError]] = [InternalError]
        if self.body_field:
            found += [BadRequest, ContentTooLarge, UnsupportedMediaType, ValidationFailed]
        elif _takes_input(self.dependant):
            found.append(ValidationFailed)
        return found


def mount_flat(app: FastAPI, router: APIRouter, *, max_body_size: int | None = None) -> None:
    """Mount all routes of `router`, and of the routers in it, side by side on `app`.

    `include_router` keeps the tree and walks it twice at every level for every request (17 µs for two levels).
    """
    contexts: Iterable[Any] = iter_route_contexts(router.routes)
    for context in contexts:
        if isinstance(context.original_route, APIRoute):
            options = {name: getattr(context, name) for name in _ROUTE_OPTIONS}
            options["form_limits"] = context.original_route.form_limits
            options["max_body_size"] = max_body_size if context.max_body_size is None else context.max_body_size
            route_class = type(context.original_route)
            app.router.add_api_route(context.path, context.endpoint, route_class_override=route_class, **options)
        elif isinstance(context.original_route, APIWebSocketRoute):
            app.router.add_api_websocket_route(
                context.path, context.endpoint, context.name, dependencies=context.dependencies
            )
        else:
            raise TypeError(f"{context.path}: a sub-project has API routes and WebSocket routes only")


def route_template(scope: Scope) -> str | None:
    """The path of the route that answers this request, with its parameters' names; None when none does."""
    if route := scope.get("route"):
        template: str = route.path_format
        return template
    if "endpoint" not in scope:
        return None
    if mounted_at := scope.get("root_path", "").removeprefix(scope.get("app_root_path", scope.get("root_path", ""))):
        return f"{mounted_at}/{{path}}"
    return None if scope.get("path_params") else scope["path"]  # Starlette's own route does not say which it is


def cached(endpoint: Endpoint) -> Endpoint:
    """Mark a GET route whose answer depends on nothing but its URL and the database: it is kept while data stays.

    Put it under the router's decorator; the sub-project must require `open_cache`.
    """
    endpoint.is_cached = True  # type: ignore[attr-defined]
    return endpoint


def _result_type(path: str, endpoint: Endpoint) -> Any:
    """Return the annotated result, or None where nothing is to be put into an envelope."""
    hints = get_type_hints(endpoint, include_extras=True)
    if "return" not in hints:
        raise TypeError(
            f"The route {endpoint.__qualname__} ({path}) needs a return annotation: it is the response model."
        )
    result = hints["return"]
    is_generator = inspect.isgeneratorfunction(endpoint) or inspect.isasyncgenfunction(endpoint)
    if result is NoneType or is_generator or (isinstance(result, type) and issubclass(result, Response)):
        return None
    return result


def _is_envelope(result: Any) -> bool:
    return isinstance(result, type) and issubclass(result, Envelope)


def _writer(result: Any) -> Callable[[Any], bytes]:
    """What makes the bytes of an answer from a result of this type."""
    dump = TypeAdapter(result).dump_json
    if _is_envelope(result):
        return partial(dump, warnings="error")

    def write(value: Any) -> bytes:
        return _BEFORE_DATA + dump(value, warnings="error") + _AFTER_DATA

    return write


def _written_by_us(endpoint: Endpoint, write: Callable[[Any], bytes], status_code: int) -> Endpoint:
    """Wrap a route so that it answers with what `write` makes of its result; headers set on `Response` are kept.

    FastAPI sees a finished response and skips its own validation and encoding of the result.
    """
    signature = inspect.signature(endpoint)
    answer_parameter = inspect.Parameter("answer_", inspect.Parameter.KEYWORD_ONLY, annotation=Response)
    is_async = inspect.iscoroutinefunction(endpoint)
    given = next((name for name, p in signature.parameters.items() if p.annotation is Response), None)

    @wraps(endpoint)
    async def route(**values: Any) -> Response:
        answer: Response = values[given] if given else values.pop("answer_")
        result = await endpoint(**values) if is_async else await run_in_threadpool(endpoint, **values)
        if isinstance(result, Response):
            return result
        response = Response(write(result), answer.status_code or status_code, media_type="application/json")
        response.raw_headers.extend(answer.raw_headers)
        return response

    parameters = list(signature.parameters.values())
    route.__signature__ = signature.replace(parameters=parameters if given else [*parameters, answer_parameter])  # type: ignore[attr-defined]
    route.written = _Written(endpoint, write)  # type: ignore[attr-defined]
    return route


def _empty_answer() -> Response:
    """What a route sets headers and status on, as FastAPI makes it."""
    answer = Response()
    del answer.headers["content-length"]
    answer.status_code = None  # type: ignore[assignment]
    return answer


_NO_HEADERS = _empty_answer()  # for routes that set none


def _guards(dependant: Dependant) -> tuple[DirectCall, ...]:
    """The dependencies that only have to pass. Those of a form cannot need its body: FastAPI has read it by then."""
    guards = (DirectCall.of(child) for child in dependant.dependencies if child.name is None)
    return tuple(guard for guard in guards if guard)


def _takes_input(dependant: Dependant) -> bool:
    return bool(
        dependant.path_params
        or dependant.query_params
        or dependant.header_params
        or dependant.cookie_params
        or any(_takes_input(child) for child in dependant.dependencies)
    )
