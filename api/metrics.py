"""What a Prometheus server reads; it needs no token, and the reverse proxy does not hand it to the outside."""

import asyncio

from fastapi import APIRouter, Request, Response

from extensions.metrics import render
from settings.metrics_folder import metrics_folder
from utils.routing import EnvelopeRoute

TEXT = {"schema": {"type": "string"}}

router = APIRouter(route_class=EnvelopeRoute, tags=["service"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus text, or OpenMetrics if the client accepts it; no envelope.",
            "content": {"text/plain": TEXT, "application/openmetrics-text": TEXT},
        }
    },
)
async def show_metrics(request: Request) -> Response:
    """The metrics of all workers of this machine, of whichever is asked."""
    await request.app.state.sampler.look()
    accept = request.headers.get("accept", "")
    # The files of many workers take a while to read; figures of this one are told as they were just looked at.
    body, content_type = await asyncio.to_thread(render, accept) if metrics_folder() else render(accept)
    return Response(body, media_type=content_type, headers={"Cache-Control": "no-store", "Vary": "Accept"})
