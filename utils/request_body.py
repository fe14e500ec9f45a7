"""What a route does with a body before FastAPI sees it: its content type is checked, and a short one is read."""

import re
from email.message import Message

from fastapi import params
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope

from utils.custom_exc import UnsupportedMediaType


def body_types(route: APIRoute) -> frozenset[str]:
    """The content types that the route's body may have; empty when it takes none."""
    if route.body_field is None:
        return frozenset()
    info = route.body_field.field_info
    if isinstance(info, params.File):
        return frozenset({"multipart/form-data"})
    if isinstance(info, params.Form):
        return frozenset({"multipart/form-data", "application/x-www-form-urlencoded"})
    return frozenset({"application/json"})


def check_content_type(headers: Headers, allowed: frozenset[str]) -> None:
    if headers.get("content-type") in allowed:
        return
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    found = message.get_content_type() if headers.get("content-type") else ""
    if re.fullmatch(r"application/[^/]+\+json", found):
        found = "application/json"
    if found not in allowed:
        given = f"not as {found}" if found else "and say so in Content-Type"
        raise UnsupportedMediaType(f"Send the body as {' or '.join(sorted(allowed))}, {given}.")


async def read_body(scope: Scope, receive: Receive, limit: int | None) -> list[AsgiMessage]:
    """The messages of a body whose length is known and allowed; any other is left to FastAPI, which may refuse it."""
    length = Headers(scope=scope).get("content-length", "")
    if not length.isdecimal() or (limit is not None and int(length) > limit):
        return []
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def receive_again(messages: list[AsgiMessage], receive: Receive) -> Receive:
    """Hand out what was received before, then go on receiving."""
    left = iter(messages)

    async def receive_next() -> AsgiMessage:
        return next(left, None) or await receive()

    return receive_next
