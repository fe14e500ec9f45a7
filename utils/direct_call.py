"""Calling simple routes without FastAPI's machinery for what they do not use: half the time of a request.

A route is simple when it and its dependencies are `async def` functions that take only `Request`, `Response`, single
parameters of path, query, headers and cookies, one model of the query, and one model as a JSON body. Whatever is
unusual at run time, a value that does not fit above all, is left to FastAPI: its errors are the documented ones.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Any, Self, Union, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import Request, Response, params
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Message, Receive, Scope, Send

from utils.request_body import receive_again

Values = dict[str, Any]
Asgi = tuple[Scope, Receive, Send]  # a request as the server hands it over
ModelField = Any  # FastAPI does not export its class

CHILDREN = ""  # no parameter is called so
SCALARS = (str, int, float, bool, type(None))


class Sent:
    """What a client sent, read as far as somebody asks for it."""

    def __init__(self, asgi: Asgi, body: list[Message]) -> None:
        self.scope, self._receive, self._send = asgi
        self._messages = body
        self.query = parse_query(self.scope["query_string"])
        self.headers: Mapping[str, str] = Headers(scope=self.scope)

    @property
    def body(self) -> bytes:
        """The body, if it was read."""
        return b"".join(message.get("body", b"") for message in self._messages)

    @cached_property
    def request(self) -> Request:
        """The one request that all who want it get; whoever reads the body from it gets the whole of it."""
        receive = receive_again(self._messages, self._receive) if self._messages else self._receive
        return Request(self.scope, receive, self._send)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        return cookie_parser(self.headers.get("cookie", ""))


@dataclass(frozen=True)
class DirectCall:
    """A function, where its arguments come from, and the same for its dependencies."""

    call: Callable[..., Any]
    name: str | None
    path: tuple[ModelField, ...]
    query: tuple[ModelField, ...]
    query_model: ModelField | None
    headers: tuple[ModelField, ...]
    cookies: tuple[ModelField, ...]
    body: ModelField | None
    request_names: tuple[str, ...]
    response_name: str | None
    children: tuple["DirectCall", ...]

    @classmethod
    def of(cls, dependant: Dependant, call: Callable[..., Any] | None = None) -> Self | None:
        """Plan the call of a route or dependency; None when it is not simple."""
        call = call or dependant.call
        children = [cls.of(child) for child in dependant.dependencies]
        model = _only_model(dependant.query_params)
        query = () if model else tuple(dependant.query_params)
        if not (_is_plain(dependant, call, query) and all(children)):
            return None
        return cls(
            call=call,  # type: ignore[arg-type]
            name=dependant.name,
            path=tuple(dependant.path_params),
            query=query,
            query_model=model,
            headers=tuple(dependant.header_params),
            cookies=tuple(dependant.cookie_params),
            body=dependant.body_params[0] if dependant.body_params else None,
            request_names=tuple(filter(None, (dependant.request_param_name, dependant.http_connection_param_name))),
            response_name=_own(dependant.response_param_name, call),
            children=tuple(child for child in children if child),
        )

    @property
    def wants_response(self) -> bool:
        """Whether the function or a dependency sets headers or the status."""
        return self.response_name is not None or any(child.wants_response for child in self.children)

    def bind(self, sent: Sent, response: Response) -> Values | None:
        """The arguments, under CHILDREN those of each dependency; None when a value does not fit."""
        values: Values = {}
        if not (
            _bind_fields(self.path, sent.scope["path_params"], values)
            and _bind_fields(self.query, sent.query, values)
            and _bind_fields(self.headers, sent.headers, values)
            and (not self.cookies or _bind_fields(self.cookies, sent.cookies, values))
            and (not self.query_model or _bind_model(self.query_model, sent.query, values))
            and (not self.body or _bind_body(self.body, sent.body, values))
        ):
            return None
        for name in self.request_names:
            values[name] = sent.request
        if self.response_name:
            values[self.response_name] = response
        inner = [child.bind(sent, response) for child in self.children]
        if None in inner:
            return None
        values[CHILDREN] = inner
        return values

    async def run(self, values: Values, known: dict[Callable[..., Any], Any] | None = None) -> Any:
        """Call the dependencies, each once, then the function, with what `bind` has found."""
        known = {} if known is None else known
        for child, inner in zip(self.children, values.pop(CHILDREN), strict=True):
            if child.call not in known:
                known[child.call] = await child.run(inner, known)
            if child.name:  # one that only has to pass has none
                values[child.name] = known[child.call]
        return await self.call(**values)


def parse_query(query_string: bytes) -> Values:
    """The query by name; of a repeated name the last value counts, as everywhere in Starlette."""
    return dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)) if query_string else {}


def _is_plain(dependant: Dependant, call: Any, query: tuple[ModelField, ...]) -> bool:
    unusual = (
        dependant.websocket_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
    )
    single = (*query, *dependant.header_params, *dependant.cookie_params)
    bodies = dependant.body_params
    return (
        (inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None)))  # noqa: B004
        and not any(unusual)
        and dependant.use_cache
        and all(_is_named_plainly(field) for field in single)
        and (not bodies or (len(bodies) == 1 and _is_json_model(bodies[0])))
    )


def _own(name: str | None, call: Any) -> str | None:
    """The name if the function itself has it, not only what wraps it for FastAPI."""
    return name if name in inspect.signature(call).parameters else None


def _only_model(fields: list[ModelField]) -> ModelField | None:
    """The query model of a route, if it has one, and nothing beside it, and only plain fields in it."""
    if len(fields) != 1:
        return None
    model = fields[0].field_info.annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    plain = all(info.alias is None and info.validation_alias is None for info in model.model_fields.values())
    return fields[0] if plain and model.model_config.get("extra") in (None, "ignore") else None


def _is_named_plainly(field: ModelField) -> bool:
    annotation = field.field_info.annotation
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return set(choices) <= set(SCALARS) and field.validation_alias is None


def _is_json_model(field: ModelField) -> bool:
    info = field.field_info
    is_json = isinstance(info, params.Body) and not isinstance(info, params.Form) and not info.embed
    return is_json and isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)


def _bind_fields(fields: tuple[ModelField, ...], sent: Mapping[str, Any], values: Values) -> bool:
    for field in fields:
        value = sent.get(_sent_name(field))
        if value is not None:
            values[field.name], errors = field.validate(value)
            if errors:
                return False
        elif field.field_info.is_required():
            return False
        else:
            values[field.name] = field.get_default()
    return True


def _bind_model(field: ModelField, query: Values, values: Values) -> bool:
    try:
        values[field.name] = field.field_info.annotation.model_validate(query)
    except ValidationError:
        return False
    return True


def _bind_body(field: ModelField, body: bytes, values: Values) -> bool:
    """As FastAPI reads it: Python's JSON first, then the model. Both kinds of failure are told by FastAPI."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return False
    values[field.name], errors = field.validate(content)
    return not errors


def _sent_name(field: ModelField) -> str:
    """How a client calls it: a header's name has hyphens."""
    alias: str = field.alias
    return alias.replace("_", "-") if getattr(field.field_info, "convert_underscores", False) else alias
