"""The bodies that clients get, as tests compare them: whole."""

import re
from typing import Any

from utils.custom_exc import ServiceError, ValidationFailed

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z").fullmatch


class Time(str):
    """Equal to any RFC 3339 time in UTC."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and _TIME(other) is not None


A_TIME = Time("a time")


def success(data: Any) -> dict[str, Any]:
    return {"code": 200, "message": "Success", "data": data}


def failure(error: type[ServiceError], message: str | None = None, data: Any = None) -> dict[str, Any]:
    return {"code": error.code, "message": message or error.message, "data": data}


def invalid(*wrong: tuple[tuple[str | int, ...], str, str]) -> dict[str, Any]:
    """The body of a 422: where, the sentence, the type of each."""
    errors = [{"loc": list(loc), "message": message, "type": type_} for loc, message, type_ in wrong]
    return failure(ValidationFailed, data={"errors": errors})


def goods_answer(goods_id: int, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Goods as the service shows them, made from the body that created them."""
    return {
        "id": goods_id,
        **body,
        "sales": 0,
        "pictures": [],
        "created_at": A_TIME,
        "updated_at": A_TIME,
        **changes,
    }
