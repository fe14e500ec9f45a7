"""A chat with rooms, private messages, history and push, right with any number of workers."""

from fastapi import APIRouter

from api.websocketdemo import asyncapi, chat, history, page, push
from api.websocketdemo.hub import open_hub
from extensions.broker import open_broker
from extensions.database import open_database
from extensions.security import open_tokens

requires = (open_database, open_tokens, open_broker, open_hub)

router = APIRouter()
router.include_router(page.router, prefix="/websocketdemo")
router.include_router(history.router, prefix="/websocketdemo")
router.include_router(push.router, prefix="/websocketdemo")
router.include_router(chat.router, prefix="/websocketdemo")
router.include_router(asyncapi.router)
