"""The recorder goes on, whatever happens to one batch."""

import asyncio

import pytest
from loguru import logger

from api.websocketdemo.adding import Said
from api.websocketdemo.recorder import Outcome, Recorder
from api.websocketdemo.store import ChatStore
from extensions.broker_memory import MemoryBroker
from extensions.database import connect
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from utils.fields import utc_now

pytestmark = [pytest.mark.anyio, only_sqlite]


async def test_a_room_that_fails_does_not_end_the_chat(settings: TestingSettings) -> None:
    def fail(_: bytes) -> int:
        raise RuntimeError("a room that fails")

    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    database = await connect(settings)
    broker = MemoryBroker()
    await broker.subscribe("tea", fail)
    recorder = Recorder(ChatStore(database), broker, lambda *_: None)
    try:
        stored: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await recorder.put(Said("tea", "User1", "lost on its way", None, utc_now()), lambda _: None)
        while not lines:  # noqa: ASYNC110  (it tells only the log)
            await asyncio.sleep(0)
        await recorder.put(Said("lobby", "User1", "hi", None, utc_now()), stored.set_result)
        assert await asyncio.wait_for(stored, 10) == 1
        assert "1 messages were stored, but not everybody was told" in lines[0]
        assert [m.message for m in await ChatStore(database).after("tea", 0, 10)] == ["lost on its way"]
    finally:
        await recorder.close()
        await database.close()
        logger.remove(sink)
