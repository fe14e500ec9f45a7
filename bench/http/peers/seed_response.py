"""The seed's `resp_200`: encode to plain values, then let JSONResponse write them."""

from typing import Any

from fastapi import Response, status
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse


def resp_200(*, data: Any) -> Response:
    content = jsonable_encoder({"code": 200, "message": "Success", "data": data})
    return JSONResponse(status_code=status.HTTP_200_OK, content=content)
