"""Answers of other services, no longer than anybody here needs: what they send is not ours to decide."""

from collections.abc import AsyncIterator
from typing import cast

import httpx

MAX_ANSWER_BYTES = 1024 * 1024


class BoundedTransport(httpx.AsyncBaseTransport):
    """Cuts off an answer that is longer than MAX_ANSWER_BYTES, or packed: a kilobyte can unpack to any length."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass the request on; raises RemoteProtocolError for such an answer, at once or when it is read."""
        request.headers["Accept-Encoding"] = "identity"
        response = await self._transport.handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise httpx.RemoteProtocolError("the answer is packed, which was not asked for", request=request)
        response.stream = _BoundedStream(cast("httpx.AsyncByteStream", response.stream), request)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ANSWER_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx.RemoteProtocolError(
                    f"the answer is longer than {MAX_ANSWER_BYTES} bytes", request=self._request
                )
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
