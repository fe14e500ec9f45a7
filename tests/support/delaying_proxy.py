"""The network between the service and what it depends on: it can be slow, swallow everything, or be cut."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

CHUNK_BYTES = 64 * 1024


class DelayingProxy:
    """Passes TCP connections on to one port of this machine, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.delay = 0.0  # seconds that each piece takes, there and back
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._passes = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def swallow(self) -> None:
        """Accept connections and bytes, and pass nothing on: a network that was lost without a word."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def pass_on(self) -> None:
        """Let what was swallowed go on, as TCP does."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        self._do(self._close())

    def mend(self) -> None:
        """Accept connections again, on the same port."""
        self._do(self._listen())

    @contextmanager
    def open(self) -> Iterator[None]:
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            self.pass_on()
            self.mend()
            yield
        finally:
            self.cut()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._listener:
            self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._talk(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours = {writer}
        self._writers |= ours
        try:
            await self._passes.wait()
            from_target, to_target = await asyncio.open_connection("127.0.0.1", self._target)
            ours.add(to_target)
            self._writers |= ours
            await asyncio.gather(self._carry(reader, to_target), self._carry(from_target, writer))
        except OSError:
            return  # whoever is left notices by the end of the connection
        finally:
            self._writers -= ours
            for one in ours:
                one.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await asyncio.sleep(self.delay)
            await self._passes.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


@contextmanager
def delaying_proxy(target: int) -> Iterator[DelayingProxy]:
    """A proxy before this port."""
    proxy = DelayingProxy(target)
    with proxy.open():
        yield proxy
