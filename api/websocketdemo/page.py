"""The chat page."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from utils.html_pages import STYLED, render
from utils.routing import EnvelopeRoute

TEMPLATE = Path(__file__).parent / "templates" / "chat.html"

router = APIRouter(route_class=EnvelopeRoute, tags=["chat"])


@router.get("/", response_class=HTMLResponse, summary="Chat")
async def show_chat(request: Request) -> Response:
    """The chat page: rooms, people, private messages, history; it comes back by itself after a lost connection."""
    return render(request, TEMPLATE, STYLED)
