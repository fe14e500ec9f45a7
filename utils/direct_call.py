"""Calling simple GET routes without FastAPI's machinery for what they do not use: half the time of a request.

A route is simple when it and its dependencies are `async def` functions that take only path and query parameters,
`Request` and `Response`. Whatever is unusual at run time, a value that does not fit above all, is left to FastAPI:
its errors are the documented ones.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

Values = dict[str, Any]
Asgi = tuple[Scope, Receive, Send]  # a request as the server hands it over
ModelField = Any  # FastAPI does not export its class

CHILDREN = ""  # no parameter is called so
SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class DirectCall:
    """A function, where its arguments come from, and the same for its dependencies."""

    call: Callable[..., Any]
    name: str | None
    path: tuple[ModelField, ...]
    query: tuple[ModelField, ...]
    query_model: ModelField | None
    request_name: str | None
    response_name: str | None
    children: tuple["DirectCall", ...]

    @classmethod
    def of(cls, dependant: Dependant, call: Callable[..., Any] | None = None) -> Self | None:
        """Plan the call of a route or dependency; None when it is not simple."""
        call = call or dependant.call
        children = [cls.of(child) for child in dependant.dependencies]
        model = _only_model(dependant.query_params)
        query = () if model else tuple(dependant.query_params)
        if not (_is_plain(dependant, call) and all(children) and all(_is_named_plainly(field) for field in query)):
            return None
        return cls(
            call=call,  # type: ignore[arg-type]
            name=dependant.name,
            path=tuple(dependant.path_params),
            query=query,
            query_model=model,
            request_name=dependant.request_param_name,
            response_name=_own(dependant.response_param_name, call),
            children=tuple(child for child in children if child),
        )

    @property
    def wants_response(self) -> bool:
        """Whether the function or a dependency sets headers or the status."""
        return self.response_name is not None or any(child.wants_response for child in self.children)

    def bind(self, asgi: Asgi, response: Response, query: Values) -> Values | None:
        """The arguments, under CHILDREN those of each dependency; None when a value does not fit."""
        values: Values = {}
        if not (_bind_fields(self.path, asgi[0]["path_params"], values) and _bind_fields(self.query, query, values)):
            return None
        if self.query_model and not _bind_model(self.query_model, query, values):
            return None
        if self.request_name:
            values[self.request_name] = Request(*asgi)
        if self.response_name:
            values[self.response_name] = response
        inner = [child.bind(asgi, response, query) for child in self.children]
        if None in inner:
            return None
        values[CHILDREN] = inner
        return values

    async def run(self, values: Values) -> Any:
        """Call the dependencies, then the function, with what `bind` has found."""
        for child, inner in zip(self.children, values.pop(CHILDREN), strict=True):
            result = await child.run(inner)
            if child.name:  # one that only has to pass has none
                values[child.name] = result
        return await self.call(**values)


def parse_query(query_string: bytes) -> Values:
    """The query by name; of a repeated name the last value counts, as everywhere in Starlette."""
    return dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)) if query_string else {}


def _is_plain(dependant: Dependant, call: Any) -> bool:
    unusual = (
        dependant.header_params,
        dependant.cookie_params,
        dependant.body_params,
        dependant.websocket_param_name,
        dependant.http_connection_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
    )
    calls = [child.call for child in _all(dependant)]
    return inspect.iscoroutinefunction(call) and not any(unusual) and len(set(calls)) == len(calls)


def _own(name: str | None, call: Any) -> str | None:
    """The name if the function itself has it, not only what wraps it for FastAPI."""
    return name if name in inspect.signature(call).parameters else None


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for child in dependant.dependencies:
        yield child
        yield from _all(child)


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
    return annotation in SCALARS and field.validation_alias is None


def _bind_fields(fields: tuple[ModelField, ...], sent: Values, values: Values) -> bool:
    for field in fields:
        value = sent.get(field.alias)
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
