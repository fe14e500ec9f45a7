"""The one envelope of every JSON answer: `{"code", "message", "data"}`."""

from typing import Any, Generic, Literal, TypeVar

from fastapi import Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

SUCCESS_CODE = 200
SUCCESS_MESSAGE = "Success"


HEADERS = {
    "Cache-Control": "How long the answer may be kept.",
    "Content-Disposition": "The name of the file.",
    "Content-Range": "Which part of the file this is, and how long the file is.",
    "ETag": "The version of what is sent, for If-None-Match and If-Match.",
    "Location": "The address of what was created, as a path from the root of the service.",
    "Set-Cookie": "What the client keeps for us, or is to forget.",
}


class Output(BaseModel):
    """What the service sends: a field with a default is there every time too, and the documents say so."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Envelope(Output, Generic[T]):
    """A success: `code` is 200 whatever the 2xx status is, `data` the typed result."""

    code: Literal[200] = 200
    message: str = SUCCESS_MESSAGE
    data: T


class ErrorEnvelope(BaseModel):
    """A failure: `code` is the HTTP status, or status × 100 + serial for a named error such as 40401."""

    code: int = Field(examples=[404, 40401])
    message: str = Field(description="A sentence for people.")
    data: dict[str, Any] | None = Field(description="Details, or null.")


def resp_200(*, data: Any = None, message: str = SUCCESS_MESSAGE, status_code: int = 200) -> Response:
    """Wrap `data` by hand, for the places where no route class does it; any 2xx `status_code`."""
    content = {"code": SUCCESS_CODE, "message": message, "data": jsonable_encoder(data)}
    return JSONResponse(content, status_code)


def resp_201(*, data: Any = None, location: str, message: str = SUCCESS_MESSAGE) -> Response:
    """Something was created and can be read at `location`."""
    response = resp_200(data=data, message=message, status_code=201)
    response.headers["Location"] = location
    return response


def resp_204() -> Response:
    """Done, and there is nothing to say."""
    return Response(status_code=204)


def resp_error(
    status_code: int,
    *,
    code: int | None = None,
    message: str,
    data: Any = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A failure with its true HTTP status; `code` is the status unless the error has a number of its own."""
    content = {"code": code or status_code, "message": message, "data": jsonable_encoder(data)}
    return JSONResponse(content, status_code, headers)


def resp_400(*, message: str = "The request is malformed.", data: Any = None) -> Response:
    """The request cannot be understood."""
    return resp_error(400, message=message, data=data)


def resp_401(*, message: str = "Authentication is required.", data: Any = None) -> Response:
    """Nobody is logged in; tells the client how to."""
    return resp_error(401, message=message, data=data, headers={"WWW-Authenticate": "Bearer"})


def resp_403(*, message: str = "You may not do this.", data: Any = None) -> Response:
    """Somebody is logged in who may not do this."""
    return resp_error(403, message=message, data=data)


def resp_404(*, message: str = "Not found.", data: Any = None) -> Response:
    """There is no such thing."""
    return resp_error(404, message=message, data=data)


def resp_500(*, message: str = "Something went wrong on our side.", data: Any = None) -> Response:
    """The service failed; says nothing about why."""
    return resp_error(500, message=message, data=data)


def document_headers(status_code: int, *names: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` entry that says which of HEADERS an answer of this status carries."""
    headers = {name: {"description": HEADERS[name], "schema": {"type": "string"}} for name in names}
    return {status_code: {"headers": headers}}


def document_not_modified(*names: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` entry of 304, which carries these of HEADERS."""
    return {
        304: {"description": "It is what If-None-Match names; there is no body.", **document_headers(304, *names)[304]}
    }
